"""RobustDARTS: the Hessian eigenvalue, the stopping rule and the return to an earlier epoch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.optim import SGD, Adam

import nas.cli.jobs.search
from nas.architecture.cell import EdgeWeights
from nas.callbacks.selection.early_stopping import HessianEigenvalue
from nas.gradients.hessian import SharpnessRule, hessian, largest_eigenvalue
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.compose_tools import composed, lines, succeeded, tiny
from tests.support.ddp_probe import digest
from tests.support.resume_tools import assert_equal, assert_same_run, checkpoint, kill, resume, run
from tests.support.search_tools import weight_step

SPACES: dict[str, Space] = {
    "nas_bench_201": NasBench201((1, 6, 6), 3, channels=2, cells_per_stage=1),
    "darts": Darts((1, 4, 4), 3, channels=1, layers=3, ops=("none", "skip_connect", "dil_conv_3x3")),
}


def setting(space: str) -> tuple[GradientSearch, tuple[Tensor, Tensor]]:
    """Build a search in double precision with some masked entries, and a batch."""
    torch.manual_seed(0)
    search = GradientSearch(SPACES[space], lambda c: Softmax(c, init_std=1.0), weight_step()).double()
    for name, cell in search.space.cells.items():
        keep = torch.ones(len(cell.edges), len(cell.ops), dtype=torch.bool)
        keep[1, 0], keep[3:] = False, keep[3:] & (torch.arange(len(cell.edges) - 3) < 2)[:, None]
        search.masks.restrict(name, keep)
    return search, (torch.randn(4, *search.space.shape).double(), torch.arange(4) % 3)


def loss_of(search: GradientSearch, batch: tuple[Tensor, Tensor], free: Tensor) -> Tensor:
    """Return the loss as a function of the unmasked entries of alpha, with batch statistics."""
    arch, used = {}, 0
    for name, alpha in search.relaxation.alpha.items():
        mask = search.masks.table(name)
        count = int(mask.sum())
        logits = torch.full_like(alpha, -1e30).masked_scatter(mask, free[used : used + count])
        there = mask.any(-1, keepdim=True)
        arch[name] = EdgeWeights(logits.softmax(-1) * there, search.masks.lists(name))
        used += count
    buffers = {name: value.clone() for name, value in search.supernet.named_buffers()}
    logits = functional_call(search.supernet, {**dict(search.supernet.named_parameters()), **buffers}, (batch[0], arch))
    return F.cross_entropy(logits, batch[1])


@pytest.mark.parametrize("space", SPACES)
def test_eigenvalue_matches_two_other_hessians(space: str) -> None:
    search, batch = setting(space)
    masks = [search.masks.table(name) for name in search.relaxation.alpha]
    free = torch.cat(
        [alpha.detach()[mask] for alpha, mask in zip(search.relaxation.alpha.values(), masks, strict=True)]
    )
    truth = torch.autograd.functional.hessian(lambda values: loss_of(search, batch, values), free)

    def slope(values: Tensor) -> Tensor:
        values = values.clone().requires_grad_()
        return torch.autograd.grad(loss_of(search, batch, values), values)[0]

    step = 1e-6
    sides = [(slope(free + step * e) - slope(free - step * e)) / (2 * step) for e in torch.eye(len(free)).double()]
    torch.testing.assert_close(torch.stack(sides), truth, rtol=1e-4, atol=1e-7)

    entries = torch.cat([mask.flatten() for mask in masks]).nonzero().flatten()
    alphas = list(search.relaxation.alpha.values())
    found = hessian(lambda: search.loss(batch, search.weights), alphas, entries)
    torch.testing.assert_close(found, truth, rtol=1e-9, atol=1e-12)

    before = {name: value.clone() for name, value in search.state_dict().items() if isinstance(value, Tensor)}
    trainer: Any = SimpleNamespace(optimizers=[None, Adam(alphas, weight_decay=0.25)])
    value = HessianEigenvalue().measure(trainer, search, batch)
    shifted = truth + 0.25 * torch.eye(len(free))
    assert value == pytest.approx(float(torch.linalg.eigvals(shifted).real.max()), rel=1e-8)
    after = search.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert all(p.grad is None for p in search.parameters())


def test_hessian_of_a_linear_loss_is_zero() -> None:
    alpha = torch.randn(2, 3, requires_grad=True)
    assert torch.equal(hessian(lambda: alpha.sum(), [alpha], torch.arange(4)), torch.zeros(4, 4))
    assert float(largest_eigenvalue(torch.tensor([[-3.0, 1.0], [1.0, -3.0]]), 0.5)) == pytest.approx(-1.5)


def sequential(epochs: Sequence[int], values: Sequence[float]) -> list[int | None]:
    """Return the decision after each eigenvalue, from the growing list of averages of the published search."""
    averages: list[tuple[int, float]] = []
    decided: list[int | None] = []
    for count in range(1, len(values) + 1):
        seen = values[:count]
        if count >= 3:
            averages.append((epochs[count - 1] - 4, sum(seen[-5:]) / len(seen[-5:])))
        stop = None
        if averages and averages[-1][0] - 8 >= 10 and averages[-1][1] / averages[-5][1] > 1.3:
            stop = averages[-1][0] - 8
        decided.append(stop)
    return decided


def test_sharpening_rule_value_by_value() -> None:
    rule = SharpnessRule()
    values = [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]
    assert [rule.average(values[: i + 3], i) for i in range(5)] == [4.0, 5.0, 6.0, 8.0, 10.0]

    epochs = list(range(0, 50, 2))
    flat = [0.2] * 11
    assert rule.stop_index(epochs[:11], [0.2] * 10 + [9.0]) is None, (
        "epoch 20: its average's epoch less 8 is 8, too early"
    )
    assert rule.stop_index(epochs[:12], [*flat, 0.5]) is None, "an average of 0.26 is not more than 1.3 times 0.2"
    assert rule.stop_index(epochs[:12], [*flat, 0.501]) == 5, "epoch 22 stops at the average's epoch 18 less 8"
    assert rule.stop_index(epochs[:14], [*flat, 0.3, 0.3, 0.3]) is None and epochs[5] == 10


def test_sharpening_rule_matches_the_published_search() -> None:
    rng, rule, epochs, stops = random.Random(0), SharpnessRule(), list(range(0, 50, 2)), 0
    for _ in range(300):
        values = [rng.uniform(0.1, 0.2) * (1 + rng.random() * 0.1 * i) for i in range(len(epochs))]
        entries = [rule.stop_index(epochs[:n], values[:n]) for n in range(1, len(values) + 1)]
        found = [None if entry is None else epochs[entry] for entry in entries]
        assert found == sequential(epochs, values)
        stops += any(entry is not None for entry in found)
    assert 30 < stops < 300, "both answers occur"


class Spy(pl.Callback):
    """Record the state at the start of each epoch."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str, float, float]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        group = trainer.optimizers[0].param_groups[0]
        tensors = [*pl_module.state_dict().values()]
        tensors += [part for o in trainer.optimizers for state in o.state.values() for part in state.values()]
        name = digest(tensor for tensor in tensors if isinstance(tensor, Tensor))
        self.seen.append((trainer.current_epoch, name, group["lr"], group["weight_decay"]))


ALWAYS = ["every=1", "window=1", "delta=1", "first=1", "factor=1e-9"]


def always(action: str) -> list[str]:
    """Return overrides with which every decision detects growth."""
    rule = [f"method.callbacks.0.{option}" for option in (*ALWAYS, f"action={action}")]
    return [*tiny("r_darts"), *rule, "~callbacks.cell_plots"]


def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> tuple[Spy, GradientSearch]:
    spy, found = Spy(), []
    build = nas.cli.jobs.search.build_search

    def spied(*args: Any) -> GradientSearch:
        made = build(*args)
        assert isinstance(made, GradientSearch)
        made.callbacks.append(spy)
        found.append(made)
        return made

    monkeypatch.setattr(nas.cli.jobs.search, "build_search", spied)
    with composed("search", *overrides, "epochs=5", f"paths.output={tmp_path}") as cfg:
        nas.cli.jobs.search.run(cfg)
    return spy, found[0]


def test_action_stop_ends_with_an_earlier_genotype(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # alphas move far in an epoch, so that genotypes differ
    spy, search = searched(tmp_path, monkeypatch, *always("stop"), "method.arch_step.optimizer.lr=0.5")
    assert [epoch for epoch, *_ in spy.seen] == [0, 1, 2]
    history = lines(tmp_path / "history.jsonl")
    (curvature,) = [part for part in search.callbacks if isinstance(part, HessianEigenvalue)]
    assert curvature.epochs == [0, 1, 2] and curvature.values == pytest.approx([line["eigenvalue"] for line in history])
    assert curvature.genotypes[:2] == [line["genotype"] for line in history[:2]]
    assert search.space.native(search.genotype()) == history[2]["genotype"] == curvature.genotypes[1]
    assert len(set(curvature.genotypes)) == 3, "which one was taken can be seen"


def test_action_regularize_returns_with_more_weight_decay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy, search = searched(tmp_path, monkeypatch, *always("regularize"))
    # first decided after epoch 2, against epoch 1; 0.03 is the limit, so the search continues the third time
    assert [epoch for epoch, *_ in spy.seen] == [0, 1, 2, 2, 2, 3, 4]
    assert [decay for *_, decay in spy.seen] == pytest.approx([3e-4] * 3 + [3e-3] + [3e-2] * 3)
    again = [(name, lr) for epoch, name, lr, _ in spy.seen if epoch == 2]
    assert len(set(again)) == 1, "weights, alphas, momenta, generators and rate are those of the first time"
    assert len({name for _, name, _, _ in spy.seen}) == 5
    rates = {epoch: lr for epoch, _, lr, _ in spy.seen}
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = SGD([parameter], lr=0.025)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5, eta_min=0.001)
    for epoch in range(5):
        assert rates[epoch] == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert [line["epoch"] for line in lines(tmp_path / "history.jsonl")] == [0, 1, 2, 3, 4]
    (curvature,) = [part for part in search.callbacks if isinstance(part, HessianEigenvalue)]
    assert curvature.epochs == [0, 1, 2, 3, 4] and not curvature.snapshots


@pytest.mark.slow
def test_search_killed_after_a_return_resumes(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = [*always("regularize"), "dataset.size=128"]
    succeeded(run("search", arguments, whole))
    kill("search", arguments, broken, epoch=3, batch=1)
    resume("search", broken)
    assert_same_run(whole, broken, "search")
    states = [checkpoint(directory)["callbacks"]["HessianEigenvalue"] for directory in (whole, broken)]
    assert_equal(*states, "curvature")
    assert states[0]["epochs"] == [0, 1, 2, 3]


def test_hessian_eigenvalue_refuses_bad_options() -> None:
    with pytest.raises(NasError, match="window=4: use an odd number"):
        HessianEigenvalue(window=4)
    search, _ = setting("nas_bench_201")
    trainer: Any = SimpleNamespace(optimizers=[None])
    with pytest.raises(NasError, match="trains no alphas"):
        HessianEigenvalue().on_train_start(trainer, search)


@pytest.mark.parametrize(("multiply", "limit", "times"), [(10.0, 0.03, 2), (2.0, 0.03, 6), (10.0, 0.0029, 0)])
def test_weight_decay_grows_up_to_the_limit(multiply: float, limit: float, times: int) -> None:
    trainer: Any = SimpleNamespace(optimizers=[SimpleNamespace(param_groups=[{"weight_decay": 3e-4}])])
    callback = HessianEigenvalue("regularize", multiply=multiply, limit=limit)
    assert callback._remaining_increases(trainer) == times
