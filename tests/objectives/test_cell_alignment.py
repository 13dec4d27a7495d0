"""Tests of cell alignment against double backward in float64."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from nas.architecture.cell import EdgeWeights, own_key
from nas.objectives.cell_alignment import CellAlignment, correlation, correlation_gradient
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Network
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.searches.test_steps import ByHand, batches, train
from tests.searches.test_steps import build as build_steps
from tests.support.search_tools import weight_step

SHAPE = (3, 6, 6)
SIMILARITIES = ("cosine", "sign")


def same(tensors: list[Tensor]) -> list[Tensor]:
    return tensors


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_correlation_is_the_mean_over_pairs(similarity: Any) -> None:
    g = torch.randn(3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    total = 0.0
    for a, b in ((0, 1), (0, 2), (1, 2)):
        scale = g[a].norm() * g[b].norm() if similarity == "cosine" else g[a].abs() @ g[b].abs()
        total += float(g[a] @ g[b] / scale) / 3
    assert float(correlation(g, similarity)) == pytest.approx(total, rel=1e-12)


def test_derivative_of_the_sign_similarity_matches_the_published_formula() -> None:
    g = torch.randn(4, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.zeros_like(g)
    for a in range(4):
        for b in range(4):
            if a != b:
                scale = g[a].abs() @ g[b].abs()
                expected[a] += 2 / 12 * (1 - g[a] @ g[b] / scale * g[a].sign() * g[b].sign()) * g[b] / scale
    torch.testing.assert_close(correlation_gradient(g, "sign"), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_cell_without_gradient_has_no_direction(similarity: Any) -> None:
    g = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    g[1] = 0
    found = correlation_gradient(g, similarity)
    assert found.isfinite().all() and not found[1].any() and found[0].any()


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_difference_equals_double_backward(similarity: Any) -> None:
    torch.manual_seed(0)
    space = NasBench201(SHAPE, 4, channels=2, cells_per_stage=2)
    search = GradientSearch(space, partial(Softmax, init_std=1.0), weight_step()).double().train()
    x, y = torch.randn(3, *SHAPE, dtype=torch.float64), torch.arange(3)
    alignment = CellAlignment(factor=0.3, radius=1e-6, similarity=similarity)
    arch = {name: row.detach() for name, row in search.relaxation.sample(search.masks).items()}
    weights = list(search.supernet.parameters())

    split = alignment.split(search.supernet, arch)
    shifts = list(split.shifts["cell"].values())
    assert len(shifts) == 6
    loss = F.cross_entropy(search.supernet(x, split.arch), y)
    grads = torch.autograd.grad(loss, shifts, create_graph=True)
    objective = -0.3 * correlation(torch.stack([g.flatten() for g in grads]), similarity)
    exact = torch.autograd.grad(objective, weights, allow_unused=True)

    F.cross_entropy(search.supernet(x, split.arch), y).backward()
    found = alignment.gradient(split, lambda other: F.cross_entropy(search.supernet(x, other), y), weights, same)
    scale = max(float(g.abs().max()) for g in exact if g is not None)
    assert scale > 1e-2
    for got, expected in zip(found, exact, strict=True):
        expected = torch.zeros_like(got) if expected is None else expected
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6 * scale)


@pytest.mark.parametrize("darts", [True, False])
def test_cells_can_have_weights_of_their_own(darts: bool) -> None:
    """Weights of one cell change the output as in a network whose other cells have the common weights."""
    torch.manual_seed(0)
    space: Any = Darts(SHAPE, 4, channels=2, layers=3) if darts else NasBench201(SHAPE, 4, 2, 1)
    network: Network = space.supernet().eval()
    kinds = network.cell_types()
    assert list(kinds.values()) == (["normal", "reduce", "reduce"] if darts else ["cell"] * 3)
    arch = {n: EdgeWeights(torch.rand(len(c.edges), len(c.ops)), c.allowed().tolist()) for n, c in space.cells.items()}
    own = {own_key(kind, position): arch[kind] for position, kind in kinds.items()}
    x = torch.randn(2, *SHAPE)
    assert torch.equal(network(x, arch), network(x, {**arch, **own}))
    for position, kind in kinds.items():
        changed = {**arch, own_key(kind, position): arch[kind]._replace(op=2 * arch[kind].op)}
        assert not torch.allclose(network(x, arch), network(x, changed)), position


class Aligned(ByHand):
    """Weight steps with the gradient of the alignment by double backward."""

    strength = 0.5

    def gradients(self, batch: tuple[Tensor, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        grads, of_alpha = super().gradients(batch)
        weights = {name: w.clone().requires_grad_() for name, w in self.weights.items()}
        row = EdgeWeights(self.alpha.softmax(-1), [[True] * 5] * 6)
        shifts = [torch.zeros(6, 5, dtype=torch.float64).requires_grad_() for _ in self.supernet.cell_types()]
        arch = {
            own_key("cell", i): row._replace(op=row.op + s)
            for i, s in zip(self.supernet.cell_types(), shifts, strict=True)
        }
        buffers = {name: buffer.clone() for name, buffer in self.supernet.named_buffers()}
        loss = F.cross_entropy(functional_call(self.supernet, {**weights, **buffers}, (batch[0], arch)), batch[1])
        of_cells = torch.autograd.grad(loss, shifts, create_graph=True)
        objective = correlation(torch.stack([g.flatten() for g in of_cells]), "cosine")
        pull = torch.autograd.grad(objective, list(weights.values()), allow_unused=True)
        added = {n: g for n, g in zip(weights, pull, strict=True) if g is not None}
        return {n: g - self.strength * added[n] if n in added else g for n, g in grads.items()}, of_alpha


def test_two_aligned_steps_match_plain_torch() -> None:
    """The alignment is added before clipping, whose norm contains alpha's gradients of this and the last step."""
    alignment = CellAlignment(factor=Aligned.strength, radius=1e-6)
    options = {"clip_norm": 0.2, "clip_params": "all_accumulated", "alignment": alignment}
    search = build_steps(step_order="weights_first", weight=options)
    hand = Aligned(search, 0.2, "all_accumulated")
    for batch in batches():
        hand.weight_step(batch["train"])
        hand.arch_step(batch["val"])
    train(search, batches())
    for name, weight in search.supernet.named_parameters():
        torch.testing.assert_close(weight.detach(), hand.weights[name], rtol=1e-4, atol=1e-7)
    assert hand.clipped == 2


@pytest.mark.parametrize(
    ("space", "cells"),
    [
        (NatsSize(SHAPE, 4, (2, 3, 5, 8)), ("cell", "normal")),
        (Darts(SHAPE, 4, channels=2, layers=3), ("normal",)),
        (NasBench201(SHAPE, 4, 2, 1), ("normal",)),
    ],
)
def test_alignment_is_refused_without_two_cells(space: Any, cells: tuple[str, ...]) -> None:
    with pytest.raises(NasError, match="fewer than two such cells") as error:
        GradientSearch(space, Softmax, weight_step(alignment=CellAlignment(cells=cells)))
    assert "\n" not in str(error.value)


def test_sampled_ops_alone_are_aligned() -> None:
    torch.manual_seed(0)
    search = GradientSearch(NasBench201(SHAPE, 4, 2, 1), Gumbel, weight_step(alignment=CellAlignment(0.1, 1e-3)))
    split = search.weight_step.alignment.split(search.supernet, search.relaxation.sample(search.masks))  # type: ignore[union-attr]
    F.cross_entropy(search.supernet(torch.randn(3, *SHAPE), split.arch), torch.arange(3)).backward()
    active = torch.tensor(split.arch["cell"].active)
    for shift in split.shifts["cell"].values():
        assert shift.grad is not None and not shift.grad[~active].any() and shift.grad[active].any()
