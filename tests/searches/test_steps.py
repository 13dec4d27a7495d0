"""Whole bilevel steps of a gradient search against the same steps written in plain torch, in float64."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader

from nas.architecture.cell import Architecture, EdgeWeights
from nas.architecture.masks import Masks
from nas.relaxations.softmax import Softmax
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch, StepOrder
from nas.searches.weight_step import ClipParams, WeightStep
from nas.spaces.nas_bench_201.space import NasBench201

SHAPE = (3, 4, 4)
LR, MOMENTUM, DECAY = 0.1, 0.9, 0.01
ARCH_LR, BETAS, ARCH_DECAY, EPS = 0.05, (0.5, 0.999), 0.02, 1e-3
CLIP = 0.2  # below all norms in these steps
Batches = list[dict[str, tuple[Tensor, Tensor]]]


def batches(count: int = 2) -> Batches:
    generator = torch.Generator().manual_seed(5)

    def batch() -> tuple[Tensor, Tensor]:
        x = torch.randn(4, *SHAPE, generator=generator, dtype=torch.float64)
        return x, torch.randint(3, (4,), generator=generator)

    return [{"train": batch(), "val": batch()} for _ in range(count)]


def build(relaxation: Any = None, step_order: StepOrder = "arch_first", weight: Any = None, **arch: Any) -> Any:
    """Build a search in float64 with SGD for the weights and Adam for alpha."""
    torch.manual_seed(0)
    space = NasBench201(SHAPE, 3, channels=2, cells_per_stage=1)
    sgd = partial(SGD, lr=LR, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True)
    adam = partial(Adam, lr=ARCH_LR, betas=BETAS, weight_decay=ARCH_DECAY, eps=EPS)
    return GradientSearch(
        space,
        partial(Softmax, init_std=1.0) if relaxation is None else relaxation,
        WeightStep(sgd, **(weight or {})),
        ArchStep(adam, **arch),
        step_order=step_order,
    ).double()


def train(search: GradientSearch, steps: Any, epochs: int = 1, ckpt_path: Path | None = None) -> GradientSearch:
    """Train a search on given batches through Lightning's loops, from a checkpoint if one is given."""
    options: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", precision="64-true", **options)
    trainer.fit(search, DataLoader(steps, batch_size=None), ckpt_path=ckpt_path, weights_only=False)
    return search


class ByHand:
    """Steps on the same supernet, with plain tensors in place of optimizers and Lightning."""

    def __init__(self, search: GradientSearch, clip_norm: float | None, clip_params: ClipParams) -> None:
        self.supernet = search.supernet
        self.weights = {name: p.detach().clone() for name, p in search.supernet.named_parameters()}
        self.alpha = search.relaxation.alpha["cell"].detach().clone()
        self.clip_norm, self.clip_params = clip_norm, clip_params
        self.alpha_grad = torch.zeros_like(self.alpha)
        self.buffers: dict[str, Tensor] = {}
        self.moments = torch.zeros_like(self.alpha), torch.zeros_like(self.alpha)
        self.arch_steps = 0
        self.clipped = 0

    def gradients(self, batch: tuple[Tensor, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Return the gradients of the weights (where there are any) and of alpha."""
        weights = {name: w.clone().requires_grad_() for name, w in self.weights.items()}
        alpha = self.alpha.clone().requires_grad_()
        mixed = alpha.exp() / alpha.exp().sum(dim=1, keepdim=True)
        arch: Architecture = {"cell": EdgeWeights(mixed, [[True] * mixed.shape[1]] * len(mixed))}
        x, y = batch
        loss = F.cross_entropy(functional_call(self.supernet, weights, (x, arch)), y)
        *found, of_alpha = torch.autograd.grad(loss, [*weights.values(), alpha], allow_unused=True)
        return {name: g for name, g in zip(weights, found, strict=True) if g is not None}, of_alpha

    def weight_step(self, batch: tuple[Tensor, Tensor]) -> None:
        grads, of_alpha = self.gradients(batch)
        counted = list(grads.values())
        if self.clip_params == "all":
            counted.append(of_alpha)
        elif self.clip_params == "all_accumulated":
            self.alpha_grad = self.alpha_grad + of_alpha
            counted.append(self.alpha_grad)
        factor = self.factor(counted)
        self.alpha_grad = factor * self.alpha_grad
        for name, grad in grads.items():
            grad = factor * grad + DECAY * self.weights[name]
            self.buffers[name] = MOMENTUM * self.buffers[name] + grad if name in self.buffers else grad
            self.weights[name] = self.weights[name] - LR * (grad + MOMENTUM * self.buffers[name])

    def arch_step(self, batch: tuple[Tensor, Tensor], clip_norm: float | None = None) -> None:
        _, grad = self.gradients(batch)
        if clip_norm is not None:
            grad = grad * min(1.0, clip_norm / float(grad.norm() + 1e-6))
        self.alpha_grad = grad
        grad = grad + ARCH_DECAY * self.alpha
        self.arch_steps += 1
        first, second = self.moments
        self.moments = BETAS[0] * first + (1 - BETAS[0]) * grad, BETAS[1] * second + (1 - BETAS[1]) * grad**2
        mean, square = (m / (1 - b**self.arch_steps) for m, b in zip(self.moments, BETAS, strict=True))
        self.alpha = self.alpha - ARCH_LR * mean / (square.sqrt() + EPS)

    def factor(self, grads: Iterable[Tensor]) -> float:
        norm = float(torch.cat([g.flatten() for g in grads]).norm())
        if self.clip_norm is None or norm <= self.clip_norm:
            return 1.0
        self.clipped += 1
        return self.clip_norm / (norm + 1e-6)  # as torch.nn.utils.clip_grad_norm_

    def compare(self, search: GradientSearch) -> None:
        """Assert that the weights, their momentum and alpha are those of the search."""
        weights = dict(search.supernet.named_parameters())
        close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-12)
        optimizer = search.weight_optimizer()
        assert optimizer is not None and self.weights.keys() == weights.keys() and self.buffers
        for name, weight in weights.items():
            close(weight.detach(), self.weights[name], msg=lambda m, n=name: f"{n}: {m}")
            if name in self.buffers:
                close(optimizer.state[weight]["momentum_buffer"], self.buffers[name])
        close(search.relaxation.alpha["cell"].detach(), self.alpha)


@pytest.mark.parametrize("clip_norm", [CLIP, None])
@pytest.mark.parametrize("clip_params", ["weights", "all", "all_accumulated"])
@pytest.mark.parametrize("order", ["arch_first", "weights_first"])
def test_two_bilevel_steps_match_plain_torch(
    order: StepOrder, clip_params: ClipParams, clip_norm: float | None
) -> None:
    search = build(step_order=order, weight={"clip_norm": clip_norm, "clip_params": clip_params})
    hand = ByHand(search, clip_norm, clip_params)
    for batch in batches():
        if order == "arch_first":
            hand.arch_step(batch["val"])
        hand.weight_step(batch["train"])
        if order == "weights_first":
            hand.arch_step(batch["val"])
    hand.compare(train(search, batches()))
    assert hand.clipped == (0 if clip_norm is None else 2)


@pytest.mark.parametrize("clip_norm", [1e-3, None])
@pytest.mark.parametrize("order", ["arch_first", "weights_first"])
def test_arch_step_clips_alpha_alone(order: StepOrder, clip_norm: float | None) -> None:
    search = build(step_order=order, weight={"clip_norm": None}, clip_norm=clip_norm, single_level=True)
    hand = ByHand(search, None, "weights")
    for batch in batches():
        steps = [lambda b=batch: hand.weight_step(b["train"]), lambda b=batch: hand.arch_step(b["train"], clip_norm)]
        for step in reversed(steps) if order == "arch_first" else steps:
            step()
    hand.compare(train(search, batches()))


def test_warm_up_epochs_train_weights_alone() -> None:
    """Both optimizers keep their state over epochs, alpha moves from the second epoch on; its gradient is cleared."""
    search = build(
        step_order="weights_first", weight={"clip_norm": CLIP, "clip_params": "all_accumulated"}, warmup_epochs=1
    )
    hand = ByHand(search, CLIP, "all_accumulated")
    for epoch in range(2):
        hand.alpha_grad.zero_()
        for batch in batches():
            hand.weight_step(batch["train"])
            if epoch == 1:
                hand.arch_step(batch["val"])
    hand.compare(train(search, batches(), epochs=2))


class Scheduled(Softmax):
    """A relaxation whose weight steps train one op on all edges: column 2 in the first step, then column 3."""

    calls = 0

    def sample_for_weights(self, masks: Masks) -> Architecture:
        self.calls += 1
        op = torch.zeros_like(self.alpha["cell"])
        op[:, 1 + self.calls] = 1.0
        return {"cell": EdgeWeights(op, op.bool().tolist())}


@pytest.mark.parametrize("order", ["arch_first", "weights_first"])
@pytest.mark.parametrize("decays", [True, False])
def test_unsampled_weights_keep_decaying_if_selected(decays: bool, order: StepOrder) -> None:
    """A weight that the first path trains and the second skips keeps its momentum and decay, others do not move."""
    found: list[dict[str, Tensor]] = []
    for count in (0, 1, 2):
        options = {"decay_unsampled_weights": decays, "clip_norm": None}
        search = build(Scheduled, order, options, warmup_epochs=9)
        assert search.space.cells["cell"].ops[2:4] == ("nor_conv_1x1", "nor_conv_3x3")
        if count:
            train(search, batches(count))
        found.append({name: p.detach().clone() for name, p in search.supernet.named_parameters()})
    start, first, second = found
    skipped = [name for name in start if "nor_conv_1x1" in name]
    assert len(skipped) > 6
    moved = 0
    for name in skipped:
        step = start[name] - first[name]  # LR * (1 + momentum) * buffer, Nesterov
        moved += bool(step.any())
        buffer = MOMENTUM * step / (LR * (1 + MOMENTUM)) + DECAY * first[name]
        expected = first[name] - LR * (DECAY * first[name] + MOMENTUM * buffer) if decays else first[name]
        torch.testing.assert_close(second[name], expected, rtol=1e-9, atol=1e-12)
    assert moved > 6
    late = [name for name in start if "nor_conv_3x3" in name]
    assert late and all(torch.equal(first[name], start[name]) for name in late), "never trained: no decay"
    assert any(not torch.equal(second[name], first[name]) for name in late)


def test_architecture_steps_follow_a_number_of_weight_steps() -> None:
    """Every second batch has an architecture step: after two weight steps, or before them."""
    for order in ("weights_first", "arch_first"):
        search = build(step_order=order, weight={"clip_norm": None}, every=2)
        hand = ByHand(search, None, "weights")
        for i, batch in enumerate(batches(3)):
            if order == "arch_first" and i in (0, 2):
                hand.arch_step(batch["val"])
            hand.weight_step(batch["train"])
            if order == "weights_first" and i == 1:
                hand.arch_step(batch["val"])
        hand.compare(train(search, batches(3)))
