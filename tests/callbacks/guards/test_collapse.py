"""Guards against collapse: counts, limits and early stopping of a search."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import pytest
import torch

import nas.cli.jobs.search
from nas.callbacks.guards.collapse import EntropyCollapse, SkipCollapse
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.compose_tools import composed, lines, tiny
from tests.support.search_tools import weight_step


def search(space: Space) -> GradientSearch:
    """Build a search with all alphas at 0."""
    return GradientSearch(space, lambda cells: Softmax(cells, init_std=0.0), weight_step())


def test_skip_collapse_counts_the_normal_cell() -> None:
    made = search(Darts((1, 6, 6), 3, channels=2, layers=3))
    alpha, skip = made.relaxation.alpha, made.space.cells["normal"].ops.index("skip_connect")
    alpha["normal"].data[[0, 4, 6], skip] = torch.tensor([2.0, 3.0, 1.0])  # edges 0->2, 2->3 and 1->4
    alpha["reduce"].data[:, skip] = 5.0
    for limit, past in ((None, False), (3, False), (2, True)):
        values, wrong = SkipCollapse(limit).measure(made)
        assert values == {"skip_connect/normal": 3.0} and (wrong is not None) == past
    assert "3 of 8 links of the normal cell are skip_connect" in str(SkipCollapse(2).measure(made)[1])


def test_entropy_collapse_measures_each_cell() -> None:
    made = search(NasBench201((1, 8, 8), 3, channels=2, cells_per_stage=1))
    made.relaxation.alpha["cell"].data[:3] = torch.tensor([0.7, 0.1, 0.1, 0.05, 0.05]).log()
    decided = -sum(p * math.log(p) for p in (0.7, 0.1, 0.1, 0.05, 0.05))
    values, _ = EntropyCollapse().measure(made)
    assert values == {"entropy/cell": pytest.approx((decided + math.log(5)) / 2, rel=1e-6)}
    assert EntropyCollapse(limit=1.2).measure(made)[1] is None
    assert EntropyCollapse(limit=2.0).measure(made)[1] is not None


def test_monitor_with_stop_ends_the_search(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The history has the values of the last epoch and no epoch after it."""
    limits = ["callbacks.entropy_collapse.limit=5", "callbacks.entropy_collapse.stop=true"]
    options = ["callbacks=collapse_monitors", "~callbacks.cell_plots", *limits]
    run = composed("search", *tiny("darts"), *options, "epochs=3", f"paths.output={tmp_path}")
    with run as cfg, caplog.at_level(logging.WARNING):
        nas.cli.jobs.search.run(cfg)
    (line,) = lines(tmp_path / "history.jsonl")
    assert {"entropy/cell", "skip_connect/cell", "val/loss"} <= set(line)
    assert "stopping the search" in caplog.text and "entropy of cell 'cell'" in caplog.text


def test_skip_collapse_counts_another_op() -> None:
    made = search(NasBench201((1, 8, 8), 3, channels=2, cells_per_stage=1))
    made.relaxation.alpha["cell"].data[:2, made.space.cells["cell"].ops.index("avg_pool_3x3")] = 1.0
    assert SkipCollapse(op="avg_pool_3x3").measure(made)[0] == {"avg_pool_3x3/cell": 2.0}
