"""Tests of the rounds of a pruning search: steps per round and progress in the log."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nas.searches.pruning import rounds
from nas.searches.pruning.rounds import RoundProgress, format_duration
from tests.searches.pruning.test_search import QUICK
from tests.support.compose_tools import lines
from tests.support.error_tools import run


def test_round_progress_logs_the_remaining_time(caplog: pytest.LogCaptureFixture) -> None:
    """Of six measurements of 20 s each, log a line after at least 30 s, and none for the last."""
    clock = 0.0
    caplog.set_level(logging.INFO, logger=rounds.__name__)
    progress = RoundProgress(2, 6, now=lambda: clock)
    for _ in range(6):
        clock += 20
        progress.update("zen")
    assert [record.getMessage() for record in caplog.records] == [
        "round 2: 2 of 6 measurements (zen), 20 s each, about 80 s remaining",
        "round 2: 4 of 6 measurements (zen), 20 s each, about 40 s remaining",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(42.4, "42 s"), (600.0, "10 min"), (9000.0, "2.5 h")])
def test_format_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_candidate_data_module_has_a_step_per_candidate(tmp_path: Path) -> None:
    """The rounds have 24, 18 and 12 steps, also in the progress bar, for any number of image batches."""
    params = "method.proxies=[{_target_:nas.proxies.params_macs.Params}]"
    quick = [part for part in QUICK if not part.startswith("method.proxies")]
    watch = "+callbacks.watch={_target_:tests.support.tenas_tools.StepsSeen,file:" + str(tmp_path / "seen.jsonl") + "}"
    run("search", *quick, params, watch, f"hydra.run.dir={tmp_path / 'run'}").succeeded()
    assert lines(tmp_path / "seen.jsonl") == [{"steps": n, "bar": n} for n in (24, 18, 12)]
