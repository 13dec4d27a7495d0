"""Tests of the DSNAS relaxation: its gradient against exact enumeration, and its samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.relaxations.single_path import SinglePath
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.search_tools import weight_step

SHAPE = (3, 8, 8)


TOY = {"cell": Cell(((0, 1), (1, 2)), ("a", "b"), (2,))}


def enumerate_gradients(relaxation: SinglePath, loss: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the expectation of the estimator over all samples, and the exact gradient of E[loss]."""
    alpha, masks = relaxation.alpha["cell"], Masks(relaxation.cells)
    p = alpha.detach().softmax(-1)
    found: dict[tuple[int, ...], Tensor] = {}
    while len(found) < 4:
        weights = relaxation.sample(masks)["cell"]
        path = tuple(row.index(True) for row in weights.active)
        assert torch.equal(weights.op, F.one_hot(torch.tensor(path), 2).to(alpha))
        (found[path],) = torch.autograd.grad(loss(weights.op), alpha)
    mean = torch.stack([p[0, i] * p[1, j] * slope for (i, j), slope in found.items()]).sum(0)
    q = alpha.softmax(-1)
    cost = sum(q[0, i] * q[1, j] * loss(F.one_hot(torch.tensor([i, j]), 2).to(alpha)) for i in (0, 1) for j in (0, 1))
    return mean, torch.autograd.grad(cost, alpha)[0]


def build_toy() -> SinglePath:
    torch.manual_seed(0)
    return SinglePath(TOY, init_std=1.0).double()


def test_single_path_gradient_is_exact_for_linear_losses() -> None:
    costs = torch.randn(2, 2, dtype=torch.float64)
    mean, exact = enumerate_gradients(build_toy(), lambda w: w[0] @ costs @ w[1])
    torch.testing.assert_close(mean, exact)
    assert float(exact.abs().max()) > 1e-2


def test_single_path_gradient_expands_losses_to_first_order() -> None:
    """For L = (c.w)^2 of one edge the cost is L' = 2 c^2, twice the loss. The estimator is biased, as published."""
    c = torch.tensor([1.0, 3.0], dtype=torch.float64)
    mean, exact = enumerate_gradients(build_toy(), lambda w: (w[0] @ c) ** 2)
    torch.testing.assert_close(mean, 2 * exact)


def build_search(space: Any, **options: Any) -> GradientSearch:
    torch.manual_seed(0)
    return GradientSearch(space, lambda cells: SinglePath(cells, init_std=1.0), weight_step(), **options)


@pytest.mark.parametrize(
    "space", [NasBench201(SHAPE, 10, channels=2, cells_per_stage=1), Darts(SHAPE, 10, channels=2, layers=3)]
)
def test_single_path_search_gradient_is_score_times_cost(space: Any) -> None:
    search = build_search(space)
    batch = torch.randn(4, *SHAPE), torch.arange(4)
    state = search.relaxation.generators.get_extra_state()
    got = torch.autograd.grad(search.loss(batch), list(search.relaxation.parameters()))
    search.relaxation.generators.set_extra_state(state)
    arch = {k: w._replace(op=w.op.detach().requires_grad_()) for k, w in search.relaxation.sample(search.masks).items()}
    costs = torch.autograd.grad(
        search.task.loss(search.supernet(batch[0], arch), batch[1]), [w.op for w in arch.values()]
    )
    moved = 0.0
    for (name, alpha), grad, cost in zip(search.relaxation.alpha.items(), got, costs, strict=True):
        chosen = torch.tensor(arch[name].active)
        assert (cost[~chosen] == 0).all(), "skipped ops have no gradient"
        p = alpha.detach().softmax(-1)
        score = chosen.float() - p  # d log p of the sampled op / d alpha
        torch.testing.assert_close(grad, score * cost.sum(-1, keepdim=True))
        moved += float(grad.abs().sum())
    assert moved > 1e-3


def test_single_path_samples_from_softmax() -> None:
    cells = {"cell": Cell(((0, 1),) * 5000, ("a", "b", "c"), (1,), excluded=frozenset({(0, "a")}))}
    relaxation, masks = SinglePath(cells), Masks(cells)
    relaxation.alpha["cell"].data.copy_(torch.tensor([0.5, -1.0, 1.0]).expand(5000, -1))
    op = relaxation.sample(masks)["cell"].op
    assert op[0, 0] == 0
    torch.testing.assert_close(op[1:].mean(0).detach(), torch.tensor([0.5, -1.0, 1.0]).softmax(-1), atol=0.03, rtol=0)
