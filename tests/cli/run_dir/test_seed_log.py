"""Labels of log lines, and rows that only the first of several searches prints."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator

import pytest

from nas.cli.run_dir.seed_log import SAME_FOR_ALL_SEEDS, labeled_log
from nas.cli.run_dir.terminal import TerminalHandler

LINES = ("device         cpu (x86_64)", "memory         5 MB", "epoch 1/2")


@pytest.fixture
def streams() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Return the streams of the log's console and file."""
    root, console, file = logging.getLogger(), io.StringIO(), io.StringIO()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [logging.StreamHandler(file), TerminalHandler(console)]
    root.setLevel(logging.INFO)
    yield console, file
    root.handlers[:] = before
    root.setLevel(level)


def test_console_shows_common_rows_of_the_first_search(streams: tuple[io.StringIO, io.StringIO]) -> None:
    console, file = streams
    begun, done = threading.Event(), threading.Event()

    def second() -> None:
        with labeled_log("seed=1", SAME_FOR_ALL_SEEDS):
            begun.set()
            done.wait(20)
            for line in LINES:
                logging.info(line)

    thread = threading.Thread(target=second)
    thread.start()
    assert begun.wait(20)
    with labeled_log("seed=0"):
        for line in LINES:
            logging.info(line)
    done.set()
    thread.join()
    whole = [f"seed={seed}  {line}" for seed in (0, 1) for line in LINES]
    assert file.getvalue().splitlines() == whole
    assert console.getvalue().splitlines() == [line for line in whole if line != f"seed=1  {LINES[0]}"]
    logging.info(LINES[0])
    assert console.getvalue().splitlines()[-1] == LINES[0], "without a label"
