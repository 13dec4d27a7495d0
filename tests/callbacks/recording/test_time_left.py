"""Expected time of a run, logged within a long first epoch."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from nas.blackbox.ask_tell import Budget
from nas.blackbox.search import BlackBoxSearch
from nas.blackbox.strategies.random_search import RandomSearch
from nas.callbacks.recording import time_left
from nas.callbacks.recording.time_left import ExpectedTime
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.error_tools import TINY as SMALL
from tests.support.error_tools import run


@pytest.mark.parametrize(
    ("step_seconds", "lines"), [(20.0, ["time left      about 5:00, from the first 3 steps"]), (5.0, [])]
)
def test_expected_time_is_logged_once_in_a_long_epoch(
    caplog: pytest.LogCaptureFixture, step_seconds: float, lines: list[str]
) -> None:
    """Two epochs of nine steps: three steps are done after 40 s without the first one, and 15 remain."""
    trainer: Any = SimpleNamespace(max_epochs=2, num_training_batches=9, current_epoch=0)
    callback = ExpectedTime()
    times = [100.0 + step_seconds * step for step in range(5)]
    with caplog.at_level(logging.INFO), mock.patch.object(time_left.time, "monotonic", side_effect=times):
        for step in range(5):
            callback.on_train_batch_end(trainer, mock.MagicMock(), None, None, step)
    assert caplog.messages == lines


def test_search_with_fewer_queries_than_epochs_counts_the_epochs_that_come(tmp_path: Path) -> None:
    options = ["method=random_search", "proxy=params", "method.budget.queries=3", "epochs=20", "logger=none"]
    found = run("search", *SMALL, *options, f"hydra.run.dir={tmp_path}/r")
    found.succeeded()
    lines = [line for line in found.said.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert " left" not in lines[-1]


@pytest.mark.parametrize(
    ("budget", "spent", "ended", "progress"),
    [
        (Budget(queries=5), 0.0, None, (0.0, 5)),
        (Budget(queries=50), 0.0, None, (0.0, 20)),
        (Budget(seconds=100.0), 25.0, None, (5.0, 20)),
        (Budget(queries=10, seconds=100.0), 25.0, None, (2.5, 10)),
        (Budget(seconds=100.0), 25.0, "seconds", (20.0, 20)),
        (Budget(queries=50), 0.0, "repeats", (20.0, 20)),
    ],
)
def test_progress_of_a_black_box_search_is_the_used_share_of_its_budget(
    budget: Budget, spent: float, ended: str | None, progress: tuple[float, int]
) -> None:
    """An epoch limited by seconds alone has no number of steps from which its progress would follow."""
    search = BlackBoxSearch(NasBench201((3, 32, 32), 10), RandomSearch, mock.MagicMock(), budget)
    search.loop.spent, search.loop.ended = spent, ended
    trainer: Any = SimpleNamespace(max_epochs=20, num_training_batches=10**9, current_epoch=0)
    assert time_left.progress_of(trainer, search, 3) == progress
