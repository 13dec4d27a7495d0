"""The steps of a pruning search's rounds, and what it says of the time that is left."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nas.searches.pruning import rounds
from nas.searches.pruning.rounds import Pace, duration
from tests.searches.pruning.test_search import QUICK
from tests.support.compose_tools import lines
from tests.support.error_tools import run


def test_the_time_left_of_a_round(caplog: pytest.LogCaptureFixture) -> None:
    """Six measurements, 20 s each: a line after at least 30 s, none of the last."""
    clock = 0.0
    caplog.set_level(logging.INFO, logger=rounds.__name__)
    pace = Pace(2, 6, now=lambda: clock)
    for _ in range(6):
        clock += 20
        pace("zen", 20.0)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "round 2: 2 of 6 measurements, now of zen, 20 s each, 80 s left of this round",
        "round 2: 4 of 6 measurements, now of zen, 20 s each, 40 s left of this round",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(42.4, "42 s"), (600.0, "10 min"), (9000.0, "2.5 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_step_is_a_candidate(tmp_path: Path) -> None:
    """However many batches the images fill: 24, 18 and 12 steps, and what a bar shows of each round."""
    params = "method.proxies=[{_target_:nas.proxies.params_macs.Params}]"
    quick = [part for part in QUICK if not part.startswith("method.proxies")]
    watch = "+callbacks.watch={_target_:tests.support.tenas_tools.StepsSeen,file:" + str(tmp_path / "seen.jsonl") + "}"
    run("search", *quick, params, watch, f"hydra.run.dir={tmp_path / 'run'}").succeeded()
    assert lines(tmp_path / "seen.jsonl") == [{"steps": n, "bar": n} for n in (24, 18, 12)]
