"""Console output: panels and fitted lines in a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from nas.cli.run_dir.terminal import TerminalHandler, as_row, is_terminal, panel


class Terminal(io.StringIO):
    """Stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Yield the root logger without its handlers."""
    root = logging.getLogger()
    handlers, level, root.handlers[:] = root.handlers[:], root.level, []
    root.setLevel(logging.INFO)
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def in_terminal(log: logging.Logger, monkeypatch: pytest.MonkeyPatch, columns: int = 60) -> Terminal:
    """Give the logger a handler in a terminal, and return its screen."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    log.addHandler(TerminalHandler(screen))
    return screen


def test_rows_of_a_terminal_form_one_panel(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = in_terminal(log, monkeypatch)
    with panel("search finished"):
        log.info("%-14s %s", "val accuracy", "50 % [of] 8 images")
        log.warning("a warning")
        log.info("%-14s %s", "genotype", "|x|" * 30)
        assert screen.getvalue().rstrip() == "a warning"
    lines = screen.getvalue().splitlines()[1:]
    assert "search finished" in lines[0] and "50 % [of] 8 images" in lines[1]
    assert sum("|x|" in line for line in lines) > 1 and len(lines) > 4
    log.info("%-14s %s", "upload", "wandb sync RUN")
    assert screen.getvalue().splitlines()[-1] == "upload         wandb sync RUN"


@pytest.mark.parametrize(("columns", "shown"), [(60, "epoch 1/2  train 2.3 10.0%  |genotype|"), (30, "epoch 1/2  10%")])
def test_line_of_an_epoch_fits_the_terminal(
    log: logging.Logger, monkeypatch: pytest.MonkeyPatch, columns: int, shown: str
) -> None:
    screen = in_terminal(log, monkeypatch, columns)
    shorter = ["epoch 1/2  train 2.3 10.0% " + "-" * 20, "epoch 1/2  10%"]
    log.info("epoch 1/2  train 2.3 10.0%  |genotype|", extra={"shorter": shorter})
    assert screen.getvalue() == f"{shown}\n"


def test_plain_output_is_the_log_itself(log: logging.Logger) -> None:
    stream = io.StringIO()
    log.addHandler(TerminalHandler(stream))
    with panel("search finished"):
        log.info("%-14s %s", "genotype", "|x|")
        log.info("epoch 1/2  |x|", extra={"shorter": ["epoch 1/2"]})
    assert stream.getvalue() == "genotype       |x|\nepoch 1/2  |x|\n"


def test_jobs_of_a_sweep_print_a_short_form(log: logging.Logger) -> None:
    stream = io.StringIO()
    handler = TerminalHandler(stream)
    handler.short = True
    log.addHandler(handler)
    for label in ("run", "memory", "genotype"):
        log.info("%-14s %s", label, "x")
    log.info("epoch 1/2  |x|", extra={"shorter": ["epoch 1/2"]})
    log.warning("%-14s %s", "memory", "does not fit")
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["run", "genotype", "epoch", "memory"]
    assert "|x|" not in stream.getvalue()


def test_no_color_and_simple_terminals_have_plain_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert is_terminal(Terminal()) and not is_terminal(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not is_terminal(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_terminal(Terminal())


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("val accuracy   50 %", ("val accuracy", "50 %")),
        ("run            /tmp/x", ("run", "/tmp/x")),
        ("epoch 1/30  train 2.3", None),
        ("waiting for another process", None),
    ],
)
def test_rows_have_a_label_of_fixed_width(line: str, row: tuple[str, str] | None) -> None:
    assert as_row(line) == row


def test_text_that_is_not_unicode_does_not_end_a_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logging.Logger("apart from the root, so that pytest does not capture surrogates")
    screen = in_terminal(log, monkeypatch)
    (handler,) = log.handlers
    assert isinstance(handler, TerminalHandler)
    handler.begin("search")
    log.info("%-14s %s", "run directory", "/data/caf\udce9")
    handler.finish()
    assert "/data/caf" in screen.getvalue()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    log.info("na\u00efve")
    assert "UnicodeEncodeError" in capsys.readouterr().err
