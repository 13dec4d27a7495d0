"""P-DARTS: stages with deeper supernets, and the dropout schedule of skip connections."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from nas.callbacks.schedules.p_darts import PDartsStages, SkipDropoutSchedule
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.skip_dropout import DroppedSkip, SkipDropout
from nas.nn.ops import FactorizedReduce, OpOptions
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.training.search_lr import StagedCosine
from nas.utils.errors import NasError
from tests.callbacks.schedules.test_stages import fitted, tiny


def test_skip_dropout_schedule_matches_the_reference_loop() -> None:
    """Compare with the formula of the authors' loop for three stages of 25 epochs."""
    rates = [0.1, 0.4, 0.7]
    schedule = SkipDropoutSchedule(rates)
    expected = []
    for rate in rates:
        expected += [rate * (25 - epoch - 1) / 25 for epoch in range(10)]
        expected += [rate * math.exp(-0.2 * (epoch - 10)) for epoch in range(10, 25)]
    assert [schedule.value(epoch, 75, 10) for epoch in range(75)] == pytest.approx(expected, rel=1e-12)
    assert expected[60] == rates[2], "after the warm-up it begins again at the initial rate"


def test_skip_dropout_acts_on_identities_in_training_only() -> None:
    torch.manual_seed(0)
    ops, options = ("skip_connect", "sep_conv_3x3"), OpOptions()
    assert isinstance(DroppedSkip(ops, 4, 2, options)["skip_connect"], FactorizedReduce)
    skip = DroppedSkip(ops, 4, 1, options)["skip_connect"]
    assert isinstance(skip, SkipDropout)
    x = torch.ones(10, 10, 30, 30)
    assert torch.equal(skip(x), x)
    skip.probability = 0.3
    dropped = skip(x)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert 0 < (dropped[0, 0] == 0).sum() < dropped[0, 0].numel(), "elements, not samples or channels"
    with torch.no_grad():
        assert torch.equal(skip(x), x)
    assert torch.equal(skip.eval()(x), x)


class Watch(pl.Callback):
    """Record the size of the search in each epoch."""

    def __init__(self) -> None:
        self.cells: list[int] = []
        self.left: list[int] = []
        self.built: list[int] = []
        self.momentum: list[bool] = []
        self.alphas: list[dict[str, Tensor]] = []
        self.masks: list[Tensor] = []
        self.dropout: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, *rest: Any) -> None:
        graphs = [m for m in pl_module.supernet.modules() if isinstance(m, CellGraph)]
        self.cells.append(len(graphs))
        self.built.append(max(len(edge) for edge in graphs[0].edges.values()))  # type: ignore[arg-type]
        masks = pl_module.masks.table(next(iter(pl_module.space.cells)))
        self.masks.append(masks.clone())
        self.left.append(int(masks.sum(dim=1).max()))
        self.momentum.append(any(bool(o.state) for o in trainer.optimizers))
        self.alphas.append({n: a.detach().clone() for n, a in pl_module.relaxation.alpha.items()})
        self.dropout += {m.probability for m in pl_module.supernet.modules() if isinstance(m, SkipDropout)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("space", ["darts", "nas_bench_201"])
def test_p_darts_stages_prune_and_deepen(space: str) -> None:
    found: Any = Darts((3, 8, 8), 10, channels=4, layers=3) if space == "darts" else None
    callbacks = [PDartsStages([5, 3], [3, 6]), SkipDropoutSchedule([0.1, 0.4, 0.7])]
    scheduler = partial(StagedCosine, T_max=6, stages=3)
    search = tiny(DroppedSkip, space=found, scheduler=scheduler, callbacks=callbacks, warmup_epochs=1)
    seen = Watch()
    fitted(search, 6, seen)
    assert seen.cells == [3, 3, 6, 6, 9, 9]
    ops = 8 if space == "darts" else 5
    assert seen.left == [ops, ops, 5, 5, 3, 3]
    none = [int(bool(mask[0, 0])) for mask in seen.masks]
    assert all(b <= left for b, left in zip(seen.built, seen.left, strict=True)) and seen.built[0] == ops - none[0]
    assert seen.momentum == [False, True] * 3, "optimizers begin anew"
    rates = [0.05, 0.1, 0.2, 0.4, 0.35, 0.7]
    assert seen.dropout == pytest.approx([rate for rate in rates if rate], rel=1e-9)
    for first, later in itertools.pairwise(seen.masks):
        assert (later <= first).all()
    for stage in (2, 4):
        for before, after in zip(seen.alphas[stage - 1].values(), seen.alphas[stage].values(), strict=True):
            assert not torch.equal(before, after) and 5e-4 < float(after.std()) < 2e-3
    search.space.check(search.genotype())
    for name, cell in search.genotype().cells.items():
        table = search.masks.table(name)
        for op, source, target in cell.links:
            space_cell = search.space.cells[name]
            assert table[space_cell.edges.index((source, target)), space_cell.ops.index(op)]


@pytest.mark.filterwarnings("ignore")
def test_new_weights_do_not_depend_on_the_global_generator() -> None:
    """A resume and the agreement of ranks depend on this."""

    class Disturb(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
            torch.rand(3)

    class First(pl.Callback):
        def __init__(self) -> None:
            self.found: list[Tensor] = []

        def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, *rest: Any) -> None:
            if trainer.current_epoch == 1:
                self.found = [p.detach().clone() for p in pl_module.parameters()]

    seen = []
    for more in ([], [Disturb()]):
        first = First()
        fitted(tiny(DroppedSkip, callbacks=[PDartsStages([3], [3])]), 2, *more, first)
        seen.append(first.found)
    assert len(seen[0]) > 50 and all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_p_darts_stages_refuse_impossible_depths() -> None:
    with pytest.raises(NasError, match="4 cells cannot be shared among three stages"):
        tiny(DroppedSkip, callbacks=[PDartsStages([3], [4])])
    with pytest.raises(NasError, match="one entry per stage"):
        PDartsStages([5, 3], [6])


def test_deepened_space_does_not_change_the_original() -> None:
    for space, attribute in (
        (Darts((3, 8, 8), 10, layers=5), "layers"),
        (NasBench201((3, 8, 8), 10), "cells_per_stage"),
    ):
        cells = {
            name: cell.masked([[True, *[False] * (len(cell.ops) - 1)]] * len(cell.edges))
            for name, cell in space.cells.items()
        }
        before, tables = getattr(space, attribute), space.cells
        other = space.deepen(cells, 6)
        assert getattr(other, attribute) == before + (6 if attribute == "layers" else 2) and other.cells == cells
        assert getattr(space, attribute) == before and space.cells is tables
