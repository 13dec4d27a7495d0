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
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader

from nas.architecture.cell import NONE, Cell
from nas.callbacks.schedules.drnas_progressive import DrnasProgressive
from nas.callbacks.schedules.stages import prune, top_ops
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.net2wider import ChannelCopies, copy_widened, plan_widening, sample_copies
from nas.nn.ops import OPS, OpOptions
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.softmax import Softmax
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.darts.space import Darts
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


WITH_WEIGHTS = [op for op in OPS if op != "noise"]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("op", WITH_WEIGHTS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_widened_op_maps_copies_to_copies(op: str, stride: int, training: bool, affine: bool) -> None:
    """Batch norm statistics, different for each channel, follow their channels; in float64."""
    torch.manual_seed(0)
    options = OpOptions(affine=affine, bias=True, pool_norm="affine" if affine else "plain")
    if op.startswith("nor_conv") and stride == 2:
        return
    old = PartialChannels([op], 12, stride, options, channel_divisor=3).double().train(training)
    new = PartialChannels([op], 12, stride, options, channel_divisor=1).double().train(training)
    for tensor in [*old.parameters(), *old.buffers()]:
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5)
    plan = plan_widening(nn.Sequential(old), nn.Sequential(new), torch.Generator().manual_seed(3), rescale=True)
    copy_widened(plan, nn.Sequential(old), nn.Sequential(new))
    inputs, outputs = ends(plan)
    x = torch.randn(3, 4, 6, 6).double()
    expected = old[op](x)
    if inputs is None:  # an identity: nothing to widen
        return
    got = new[op](x[:, inputs])
    assert got.shape == (3, 12, *expected.shape[2:])
    torch.testing.assert_close(got, expected[:, outputs], rtol=1e-12, atol=1e-12)
    assert not training or len(set(outputs.tolist())) == 4


def ends(plan: Any) -> tuple[Tensor | None, Tensor]:
    """Return the narrow channels that the input and output channels of the wide op copy."""
    tables: list[ChannelCopies] = [copies for name, copies in plan.items() if not name.endswith("bias")]
    if not tables:
        return None, torch.empty(0)
    first = tables[0]
    return (first.outputs if first.inputs is None else first.inputs), tables[-1].outputs


def test_widening_without_rescale_copies_channels_unchanged() -> None:
    """Every slice equals an old slice, the first channels are the old ones, and copies add up."""
    generator = torch.Generator().manual_seed(0)
    options = OpOptions(affine=False)
    old = PartialChannels(["nor_conv_3x3"], 16, 1, options, channel_divisor=4)
    new = PartialChannels(["nor_conv_3x3"], 16, 1, options, channel_divisor=2)
    plan = plan_widening(nn.Sequential(old), nn.Sequential(new), generator)
    copy_widened(plan, nn.Sequential(old), nn.Sequential(new))
    narrow, wide = old["nor_conv_3x3"].op[1].weight, new["nor_conv_3x3"].op[1].weight  # type: ignore[union-attr, index]
    assert wide.shape == (8, 8, 3, 3) and torch.equal(wide[:4, :4], narrow)
    copies = plan["0.nor_conv_3x3.op.1.weight"]
    assert copies.inputs is not None and copies.divisor is None
    for i, source in enumerate(copies.outputs.tolist()):
        for j, channel in enumerate(copies.inputs.tolist()):
            assert torch.equal(wide[i, j], narrow[source, channel])
    assert copies.outputs[:4].tolist() == [0, 1, 2, 3] and set(copies.outputs.tolist()) <= set(range(4))


def test_new_channels_copy_any_old_channel() -> None:
    drawn = sample_copies(4, 4004, torch.Generator().manual_seed(0))
    assert drawn[:4].tolist() == [0, 1, 2, 3]
    assert all(abs(int(count) - 1001) < 150 for count in drawn.bincount(minlength=4))


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
        (DrnasProgressive([3], [3]), None, "4 channels are not divisible by channel_divisors entry 3"),
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


def test_widening_plan_covers_all_darts_ops() -> None:
    """The plan contains exactly the tensors of partial edges that have a channel dimension."""
    space = Darts((3, 8, 8), 10, channels=4, layers=3)
    old = space.supernet(partial(PartialChannels, channel_divisor=4))
    new = space.supernet(partial(PartialChannels, channel_divisor=2))
    plan = plan_widening(old, new, torch.Generator().manual_seed(0))
    copy_widened(plan, old, new)
    shapes = {name: tensor.shape for name, tensor in old.state_dict().items()}
    changed = {name for name, tensor in new.state_dict().items() if tensor.shape != shapes[name]}
    assert changed == {name for name in plan if name in shapes} and len(changed) > 500
    assert all(".edges." in name and NONE not in name for name in changed)
