"""Stages: their epochs, pruning, and the transfer of weights, momentum and learning rate to a wider supernet."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader

from nas.architecture.cell import Cell
from nas.callbacks.schedules.drnas_progressive import DrnasProgressive
from nas.callbacks.schedules.stages import Stages, prune, top_ops
from nas.nn.edges.partial_channels import PartialChannels
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.softmax import Softmax
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.nas_bench_201.space import NasBench201
from nas.training.search_lr import StagedCosine, first_epoch_of_stage, stage_at_epoch
from nas.utils.errors import NasError


@pytest.mark.parametrize("epochs", [1, 2, 5, 6, 75, 100])
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_stages_cover_the_epochs(epochs: int, stages: int) -> None:
    found = [stage_at_epoch(epoch, epochs, stages) for epoch in range(epochs)]
    assert found == sorted(found) and set(found) <= set(range(stages))
    for stage in set(found):
        assert found.index(stage) == first_epoch_of_stage(stage, epochs, stages)
    if epochs % stages == 0:
        assert {found.count(stage) for stage in range(stages)} == {epochs // stages}
    assert first_epoch_of_stage(stages, epochs, stages) == epochs


def test_staged_cosine_restarts_in_each_stage() -> None:
    weight = nn.Parameter(torch.zeros(1))
    staged = SGD([weight], lr=0.025)
    scheduler = StagedCosine(staged, T_max=75, stages=3, eta_min=0.001)
    for _ in range(3):
        fresh = SGD([weight], lr=0.025)
        plain = CosineAnnealingLR(fresh, T_max=25, eta_min=0.001)
        for _ in range(25):
            assert staged.param_groups[0]["lr"] == pytest.approx(fresh.param_groups[0]["lr"], rel=1e-9)
            for optimizer, rates in ((fresh, plain), (staged, scheduler)):
                optimizer.step()
                rates.step()


TABLE = Cell(((0, 2), (1, 2)), ("none", "a", "b", "c"), (2,), inputs=2, excluded=frozenset({(1, "c")}))


def test_top_ops_keeps_the_largest_alphas() -> None:
    alpha = torch.tensor([[3.0, 0.0, 2.0, 1.0], [0.0, -1.0, 1.0, 9.0]])
    mask = TABLE.allowed()
    assert top_ops(TABLE, alpha, mask, 2).tolist() == [[True, False, True, False], [True, False, True, False]]
    # none alone would leave the edge without an op that may be chosen
    assert top_ops(TABLE, alpha, mask, 1).tolist() == [[False, False, True, False], [False, False, True, False]]
    assert torch.equal(top_ops(TABLE, alpha, mask, 9), mask)


def tiny(edge: Any = None, relaxation: Any = Softmax, space: Any = None, **options: Any) -> GradientSearch:
    torch.manual_seed(0)
    space = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1) if space is None else space
    edge = partial(PartialChannels, channel_divisor=4) if edge is None else edge
    weights = WeightStep(partial(SGD, lr=0.1, momentum=0.9), options.pop("scheduler", None))
    architecture = ArchStep(partial(torch.optim.Adam, lr=0.01), warmup_epochs=options.pop("warmup_epochs", 0))
    return GradientSearch(space, relaxation, weights, architecture, edge, **options)


@pytest.mark.parametrize("relaxation", [Softmax, Dirichlet])
def test_pruned_ops_never_return(relaxation: Any) -> None:
    search = tiny(relaxation=relaxation)
    alpha = search.relaxation.alpha["cell"]
    alpha.data.normal_(generator=torch.Generator().manual_seed(1))
    before = alpha.detach().clone()
    masks = [search.masks.table("cell").clone()]
    for count in (4, 3, 3, 2, 1):
        prune(search, count)
        mask = search.masks.table("cell")
        assert (mask <= masks[-1]).all() and mask.sum(dim=1).tolist() == [count] * 6
        assert torch.equal(alpha[mask], before[mask]) and not alpha[~mask].any()
        worst_kept, best_gone = (
            before.masked_fill(~mask, torch.inf).amin(1),
            before.masked_fill(mask, -torch.inf).amax(1),
        )
        assert (worst_kept > best_gone).all()
        arch = search.relaxation.sample(search.masks)["cell"]
        assert arch.active == mask.tolist() and not arch.op[~mask].any()
        torch.testing.assert_close(arch.op.sum(dim=1), torch.ones(6))
        alpha.data[~mask] = 100.0  # as if they had drifted: still out
        assert not search.relaxation.scores(search.masks)["cell"][~mask].any()
        masks.append(mask.clone())
    chosen = [link.op for link in search.genotype().cells["cell"].links]
    assert chosen == [search.space.cells["cell"].ops[i] for i in before.argmax(dim=1).tolist()]


class Rates(pl.Callback):
    """Record the learning rate and the shape of the ops in each epoch."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.sizes: list[int] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *rest: Any) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        edge = next(m for m in pl_module.supernet.modules() if isinstance(m, PartialChannels))
        self.sizes.append(edge.op_channels)


def fitted(search: GradientSearch, epochs: int, *callbacks: pl.Callback, checkpoint: Path | None = None) -> pl.Trainer:
    """Run a search with one step per epoch, optionally from a checkpoint."""
    torch.manual_seed(1)
    images = torch.randn(4, 3, 8, 8), torch.randint(10, (4,))
    rows: Any = [{"train": images, "val": images}]
    data: Any = DataLoader(rows, batch_size=None, generator=torch.Generator())  # the global one is not to be drawn from
    quiet: dict[str, Any] = dict.fromkeys(("logger", "enable_progress_bar"), False)
    quiet["enable_checkpointing"] = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, enable_model_summary=False, callbacks=[*callbacks], **quiet
    )
    trainer.fit(search, data, ckpt_path=checkpoint, weights_only=True)
    return trainer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rate", ["continue", "epoch", "stage"])
def test_drnas_progressive_learning_rate_in_each_stage(rate: Any) -> None:
    cosine = [0.1 * (1 + math.cos(math.pi * epoch / 10)) / 2 for epoch in range(10)]
    expected = {
        "continue": cosine,
        "epoch": [*cosine[:5], 0.1, *cosine[6:]],
        "stage": [*cosine[:5], *(2 * value for value in cosine[5:])],  # twice, as the switch is at half time
    }[rate]
    scheduler = partial(CosineAnnealingLR, T_max=10)
    search = tiny(scheduler=scheduler, callbacks=[DrnasProgressive([3], [2], rate=rate)])
    seen = Rates()
    fitted(search, 10, seen)
    assert seen.rates == pytest.approx(expected, rel=1e-6)
    assert seen.sizes == [1] * 5 + [2] * 5


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rescale", [False, True])
def test_drnas_progressive_widens_momentum_with_the_weights(rescale: bool) -> None:
    """Momentum set to twice the weights before a stage is twice the weights after it, for every parameter."""
    seen: dict[str, bool] = {}

    class Before(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
            for weight, state in trainer.optimizers[0].state.items():
                state["momentum_buffer"] = 2 * weight.detach()

    class After(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, *rest: Any) -> None:
            if trainer.current_epoch == 1:
                state = trainer.optimizers[0].state
                weights = dict(pl_module.supernet.named_parameters())
                assert list(weights.values()) == trainer.optimizers[0].param_groups[0]["params"]
                seen.update(
                    {n: torch.equal(state[w]["momentum_buffer"], 2 * w) for n, w in weights.items() if w in state}
                )

    search = tiny(callbacks=[DrnasProgressive([5], [2], rescale=rescale)])
    assert search.stage == 0
    fitted(search, 2, Before(), After())
    assert search.stage == 1 and len(seen) > 20 and all(seen.values())
    assert sum("op.1.weight" in name for name in seen) >= 2 * 3 * 6


@pytest.mark.filterwarnings("ignore")
def test_warmup_restarts_in_each_stage() -> None:
    steps: list[int] = []
    search = tiny(warmup_epochs=2, callbacks=[DrnasProgressive([3], [2])])
    search.observers.append(lambda seen: steps.append(search.current_epoch) if seen.phase == "arch" else None)
    fitted(search, 8)
    assert steps == [2, 3, 6, 7]


@pytest.mark.parametrize(
    ("schedule", "edge", "message"),
    [
        (
            DrnasProgressive(keep=[3], channel_divisors=[3]),
            None,
            "space.channels=4: the stages divide it by 4, 3. Use a multiple of 12",
        ),
        (DrnasProgressive([3], [8]), None, "grow. Give divisors that shrink"),
        (DrnasProgressive([3], [2]), "mixed", "no partial channels"),
    ],
)
def test_drnas_progressive_refuses_bad_stages(schedule: DrnasProgressive, edge: str | None, message: str) -> None:
    from nas.nn.edges.mixed import MixedEdge

    with pytest.raises(NasError, match=message):
        tiny(edge=None if edge is None else MixedEdge, callbacks=[schedule])


def test_drnas_progressive_requires_one_entry_per_stage() -> None:
    with pytest.raises(NasError, match="one entry per stage"):
        DrnasProgressive([3, 2], [2])


def test_stages_count_the_warmup_from_their_first_epoch() -> None:
    """Of six epochs in three stages, a search that starts at epoch 3 enters stage 1, which began at epoch 2."""
    entered: list[int] = []

    class Record(Stages):
        def prepare(self, search: GradientSearch) -> None:
            pass

        def replay(self, search: GradientSearch, stage: int, state: Any) -> None:
            pass

        def enter(self, search: GradientSearch, stage: int) -> None:
            entered.append(stage)

    space = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1)
    search, callback = GradientSearch(space, Softmax, WeightStep(partial(SGD, lr=0.1))), Record(3)
    starts = []
    for epoch in (0, 1, 3, 4, 5):
        trainer: Any = type("T", (), {"max_epochs": 6, "current_epoch": epoch})()
        callback.on_train_epoch_start(trainer, search)
        starts.append(search.first_epoch_of_stage)
    assert starts == [0, 0, 2, 4, 4] and entered == [1, 2] and search.stage == 2
