"""Ctrl-C in a run: one line with the command that resumes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra.core.hydra_config import HydraConfig

import nas.cli.jobs.sweep_job
import nas.cli.main
from nas.cli.interrupt import end_with_parent, how_to_resume, resend_ignored_interrupts
from tests.support.compose_tools import ROOT
from tests.support.error_tools import SEARCH, bomb, hydra_files, run, snapshot, unfinished


def test_interrupt_keeps_the_last_epoch_and_names_the_resume_command(short_search: Path, tmp_path: Path) -> None:
    directory = unfinished(short_search, tmp_path / "run")
    before = snapshot(directory)
    found = run("search", f"ckpt_path={directory}", bomb("interrupt"))
    found.refused("interrupted", f"To resume, run python search.py ckpt_path={directory}", code=130)
    after = snapshot(directory)
    assert {name for name in after if after[name] != before.get(name)} <= hydra_files(after)
    found = run("search", *SEARCH, f"hydra.run.dir={tmp_path}/new", bomb("interrupt", epoch=0))
    found.refused("there is nothing to resume from in", "Start from scratch", code=130)
    run("search", f"ckpt_path={directory}", "~callbacks.bomb").succeeded()


def test_run_with_results_elsewhere_is_resumed_in_place(short_search: Path, tmp_path: Path) -> None:
    """The record is in one directory, and the checkpoint and the logs are in that of paths.output."""
    results, directory = unfinished(short_search, tmp_path / "results"), tmp_path / "run"
    directory.mkdir()
    (results / ".hydra").rename(directory / ".hydra")
    overrides = directory / ".hydra" / "overrides.yaml"
    overrides.write_text(f"{overrides.read_text()}- paths.output={results}\n")
    with (results / "history.jsonl").open("a") as file:
        file.write('{"epoch": 1}\n')  # of an epoch that a kill has cut off before its checkpoint
    run("search", f"ckpt_path={directory}").refused("its checkpoints elsewhere", f"Add paths.output={results}.")
    resumed = (f"ckpt_path={directory}", f"paths.output={results}")
    run("search", *resumed, bomb("interrupt")).refused(
        "interrupted", f"To resume, run python search.py {' '.join(resumed)}", code=130
    )
    run("search", *resumed).succeeded()
    lines = (results / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1]
    assert json.loads((results / "summary.json").read_text())["epochs"] == 2


def test_checkpoint_with_a_damaged_entry_is_refused(short_search: Path, tmp_path: Path) -> None:
    """Its checksum may be right: the entries are a stranger's."""
    directory = unfinished(short_search, tmp_path / "run")
    file = directory / "checkpoints" / "last.ckpt"
    whole = torch.load(file, weights_only=True)
    before = snapshot(directory)
    for name, value in {"run": "x", "optimizer_states": 5}.items():
        torch.save({**whole, name: value}, file)
        run("search", f"ckpt_path={directory}").refused(
            "ckpt_path: the checkpoint is damaged", "Set ckpt_path to an older checkpoint."
        )
    torch.save(whole, file)
    after = snapshot(directory)
    assert {name for name in after if after[name] != before.get(name)} <= {*hydra_files(after), "checkpoints/last.ckpt"}


def test_interrupt_after_the_summary_names_no_resume_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt(*(("SIGUSR1",) if end_of_job else ()))

    monkeypatch.setattr("nas.cli.jobs.search.log_results", interrupted)
    monkeypatch.setattr("nas.cli.interrupt.requeue", lambda *args: "SLURM starts the job again.")
    for end_of_job in (False, True):
        directory = tmp_path / f"run{end_of_job}"
        line = f"error: interrupted after the results were written: {directory} holds a finished run.\n"
        assert run("search", *SEARCH, f"hydra.run.dir={directory}").erred == line
        assert (directory / "summary.json").is_file()


def test_interrupt_with_files_of_the_first_epoch_names_another_directory(tmp_path: Path) -> None:
    assert how_to_resume(tmp_path).endswith("Start from scratch.")
    (tmp_path / "metrics.csv").touch()  # the directory is refused from now on
    assert how_to_resume(tmp_path).endswith("Start from scratch in another directory.")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- seed=1\n")
    advice = f"Start from scratch: run the same command again with hydra.run.dir={tmp_path}, or in another directory."
    assert how_to_resume(tmp_path).endswith(advice)
    run("search", f"ckpt_path={tmp_path}").refused("the run was stopped before its first epoch ended", advice)


def test_resume_command_of_several_searches_names_their_run(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        directory = tmp_path / f"seed_{seed}"
        (directory / ".hydra").mkdir(parents=True)
        (directory / "checkpoints").mkdir()
        (directory / "checkpoints" / "last.ckpt").touch()
    for seed in (0, 1, 2):
        assert how_to_resume(tmp_path).endswith(f"ckpt_path={tmp_path}")
        (tmp_path / f"seed_{seed}" / "summary.json").touch()
    assert "holds a finished run" in how_to_resume(tmp_path)


@pytest.mark.parametrize("sweep", [False, True])
def test_error_of_a_library_that_was_interrupted_is_an_interrupt(
    sweep: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(cfg: Any) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise AttributeError("'NoneType' object has no attribute 'flags'")

    monkeypatch.setattr(nas.cli.jobs.sweep_job if sweep else nas.cli.main, "run_job", interrupted)
    place = ["-m", f"hydra.sweep.dir={tmp_path}/s", "seed=0,1"] if sweep else [f"hydra.run.dir={tmp_path}/r"]
    found = run("search", *SEARCH, *place)
    assert found.code == 130
    assert "error: interrupted: there is nothing to resume from" in found.erred and "NoneType" not in found.erred


@pytest.mark.parametrize("name", ["prepare", "reserved"])
def test_error_of_a_library_that_was_interrupted_before_the_job_is_an_interrupt(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise AttributeError("'NoneType' object has no attribute 'flags'")

    monkeypatch.setattr(nas.cli.main, name, interrupted)
    run("search", *SEARCH, f"hydra.run.dir={tmp_path}/r").refused("interrupted before the run started", code=130)
    assert not list(tmp_path.iterdir())


PROGRAM = """
import os, signal, time
import nas.cli.main


def prepare(job, arguments):
    try:
        os.kill(os.getpid(), signal.{name})
        time.sleep(5)
    except KeyboardInterrupt:
        pass
    raise AttributeError("a library has lost the interrupt")


nas.cli.main.prepare = prepare
from nas.cli.entry import run_program
run_program("nas.cli.programs.search")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_signal_before_the_run_is_not_lost_by_a_library(name: str, tmp_path: Path) -> None:
    """OmegaConf may report a damaged configuration in place of the interrupt."""
    (tmp_path / "search.py").write_text(PROGRAM.format(name=name))
    command = [sys.executable, "search.py", "method=gdas"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "error: interrupted before the run started\n"


def test_second_signal_during_the_end_of_a_run_prints_no_second_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def interrupted(*args: Any) -> Iterator[None]:
        try:
            yield
        finally:
            raise KeyboardInterrupt

    def first(cfg: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(nas.cli.main, "run_job", first)
    monkeypatch.setattr(nas.cli.main, "known_mode", interrupted)
    found = run("search", *SEARCH, f"hydra.run.dir={tmp_path}/r")
    found.refused("interrupted: there is nothing to resume from", code=130)


def test_interrupt_of_a_resume_while_hydra_prepares_it_names_the_run(
    short_search: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra's configuration is known, the directory of the output is not yet."""
    directory = unfinished(short_search, tmp_path)

    def interrupted(config: Any, **options: Any) -> None:
        HydraConfig.instance().set_config(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(HydraConfig.instance(), "cfg", HydraConfig.instance().cfg)  # restored after the test
    monkeypatch.setattr("hydra._internal.hydra.run_job", interrupted)
    run("search", f"ckpt_path={directory}").refused(
        "interrupted", f"To resume, run python search.py ckpt_path={directory}", code=130
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_signal_outside_of_a_fit_ends_with_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.Signals[name])
    monkeypatch.setattr(nas.cli.main, "run_job", lambda cfg: os.kill(os.getpid(), signal.Signals[name]))
    try:
        signal.signal(signal.Signals[name], signal.SIG_DFL)
        found = run("search", *SEARCH, f"hydra.run.dir={tmp_path}/r")
    finally:
        signal.signal(signal.Signals[name], before)
    found.refused("interrupted: there is nothing to resume from", "Start from scratch", code=130)


def test_process_ends_with_the_one_that_started_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parents, ended = iter([7, 7, 7, 1]), threading.Event()
    monkeypatch.setattr("nas.cli.interrupt.os.getppid", lambda: next(parents))
    monkeypatch.setattr("nas.cli.interrupt.os._exit", lambda code: ended.set())
    end_with_parent(seconds=0.01)
    assert ended.wait(10) and next(parents, None) is None
    assert capsys.readouterr().err == "error: the first process of the run has ended\n"


class _InterruptedFinalizer:
    """Object in whose finalizer a signal arrives."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_interrupt_in_a_finalizer_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python ignores the first KeyboardInterrupt, as in a hook of fork; the signal arrives again."""
    others: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", others.append)
    resend_ignored_interrupts()
    resend_ignored_interrupts()
    _InterruptedFinalizer()
    with pytest.raises(KeyboardInterrupt):
        time.sleep(10)
    assert others == [] and capsys.readouterr().err == ""


def test_other_ignored_exceptions_are_reported_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    others: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", others.append)
    resend_ignored_interrupts()
    sys.unraisablehook(SimpleNamespace(exc_value=ValueError()))  # type: ignore[arg-type]
    assert len(others) == 1
