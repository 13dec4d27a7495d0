"""Tests of searches with ``space.fused=true``: their losses equal those of plain cells up to rounding."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.nn.fused_cell_graph import FusedCellGraph
from nas.searches.base import SupernetSearch
from tests.support.compose_tools import DATA, QUERYING, REFUSED, SIZED, searches, small
from tests.support.watch_tools import run_watched

pytestmark = pytest.mark.slow

SUPERNETS = [method for method in searches() if method not in (*QUERYING, *SIZED, "te_nas")]
OTHER_RANDOM_ORDER = ("noisy_darts", "p_darts")  # fused cells use the generator in another order
UNFUSED = ("tangle_nas",)  # candidates that share their kernels are executed one after another
SPACES = {"nas_bench_201": [], "darts": [pytest.mark.slow]}
PAIRS = [
    pytest.param(method, space, marks=marks)
    for method in SUPERNETS
    for space, marks in SPACES.items()
    if (method, space) not in REFUSED
]


@pytest.mark.parametrize(("method", "space"), PAIRS)
def test_search_with_fused_cells_has_equal_losses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, space: str
) -> None:
    losses = []
    for fused in ("false", "true"):
        given = [f"method={method}", *small(space, method), *DATA, f"space.fused={fused}", "epochs=1"]
        with monkeypatch.context() as patch:
            watched = run_watched(patch, tmp_path / fused, *given)
        assert isinstance(watched.search, SupernetSearch)
        graphs = [module for module in watched.search.supernet.modules() if isinstance(module, FusedCellGraph)]
        assert bool(graphs) == (fused == "true")
        assert all(graph.can_fuse == (method not in UNFUSED) for graph in graphs)
        losses.append(watched.losses)
    assert losses[0].keys() == losses[1].keys() and losses[0]
    for half, expected in losses[0].items():
        assert len(losses[1][half]) == len(expected)
        if method not in OTHER_RANDOM_ORDER:
            assert losses[1][half] == pytest.approx(expected, rel=2e-4), half
