"""Folded mixing weights in searches: results equal plain searches, selection by mode and length of the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

import nas.callbacks.execution_switch
from nas.callbacks.fold_weights import FoldWeights
from nas.nn.edges.folded import WeightFolding
from nas.nn.edges.mixed import MixedEdge
from nas.nn.fused_cell_graph import FusedCellGraph
from nas.searches.gradient import GradientSearch
from nas.utils.errors import NasError
from tests.callbacks.test_compile import assert_close, losses
from tests.support.error_tools import SEARCH, TINY, run

SHORT = ("epochs=2", "~callbacks.cell_plots")
PC_DARTS = (*TINY, "method=pc_darts", "space=darts", "space.channels=4", "space.layers=3", *SHORT)


@pytest.fixture
def executors(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Record for each epoch whether the edges have an executor."""
    found: list[bool] = []
    original = FoldWeights.on_train_epoch_end

    def record(self: FoldWeights, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        original(self, trainer, pl_module)
        edges = [module for module in pl_module.modules() if isinstance(module, MixedEdge)]
        assert len({isinstance(edge.executor, WeightFolding) for edge in edges}) == 1
        found.append(edges[0].executor is not None)

    monkeypatch.setattr(FoldWeights, "on_train_epoch_end", record)
    return found


@pytest.mark.parametrize("method", ["gdas", "darts"])
def test_modes(method: str, tmp_path: Path, executors: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    search = (*SEARCH, f"method={method}", *SHORT)
    for name, mode in (("plain", "false"), ("true", "true"), ("auto", "auto")):
        run("search", *search, f"fold_weights={mode}", f"hydra.run.dir={tmp_path}/{name}").succeeded()
    assert executors == [False] * 2 + [True] * 2 + [False] * 2
    assert losses(tmp_path / "auto") == losses(tmp_path / "plain"), "the estimate draws no random number"
    assert_close(tmp_path / "plain", tmp_path / "true")
    monkeypatch.setattr(nas.callbacks.execution_switch, "LONG", 0.0)
    run("search", *search, "channels_last=false", f"hydra.run.dir={tmp_path}/long").succeeded()
    assert losses(tmp_path / "long") == losses(tmp_path / "true")


def test_cells_with_partial_channels_run_node_by_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[set[bool | None]] = []
    original = FoldWeights.on_train_epoch_end

    def record(self: FoldWeights, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        original(self, trainer, pl_module)
        states.append({module.fused for module in pl_module.modules() if isinstance(module, FusedCellGraph)})

    monkeypatch.setattr(FoldWeights, "on_train_epoch_end", record)
    for name, mode in (("plain", "false"), ("true", "true")):
        run("search", *PC_DARTS, f"fold_weights={mode}", f"hydra.run.dir={tmp_path}/{name}").succeeded()
    assert states == [{None}] * 2 + [{True}] * 2
    assert_close(tmp_path / "plain", tmp_path / "true")


def test_search_without_edges_refuses(tmp_path: Path) -> None:
    for more in (["method=random_search", "proxy=params"], ["method=te_nas"]):
        found = run("search", *SEARCH, *more, "fold_weights=true", f"hydra.run.dir={tmp_path}/r")
        found.refused("fold_weights=true: this search has no mixed edges")


def test_wrong_mode_is_one_line() -> None:
    with pytest.raises(NasError, match="fold_weights=yes: use auto, true or false"):
        FoldWeights("yes")  # type: ignore[arg-type]


def test_later_stages_are_folded_from_their_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folded: list[bool] = []
    original = GradientSearch.training_step

    def step(self: GradientSearch, batch: Any, batch_idx: int) -> None:
        edges = [module for module in self.supernet.modules() if isinstance(module, MixedEdge)]
        folded.append(all(isinstance(edge.executor, WeightFolding) for edge in edges))
        original(self, batch, batch_idx)

    monkeypatch.setattr(GradientSearch, "training_step", step)
    options = ("method=drnas_progressive", "method.arch_step.warmup_epochs=0", "fold_weights=true")
    run("search", *SEARCH, *options, *SHORT, f"hydra.run.dir={tmp_path}/r").succeeded()
    assert len(folded) == 4 and all(folded), "two stages of an epoch of two steps"


def test_resumed_search_keeps_the_selection_of_auto(tmp_path: Path, executors: list[bool]) -> None:
    search = (*SEARCH, "method=darts", *SHORT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nas.callbacks.execution_switch, "LONG", 0.0)
        run("search", *search, "compile=false", "trainer.max_steps=2", f"hydra.run.dir={tmp_path}/r")
    run("search", f"ckpt_path={tmp_path}/r", "trainer.max_steps=-1").succeeded()
    assert len(executors) >= 2 and all(executors), "the estimate alone would not select it"
