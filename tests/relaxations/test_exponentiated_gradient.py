"""Tests of exponentiated gradients against their closed form on the simplex."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.optim import SGD

from nas.architecture.cell import Architecture, Cell
from nas.architecture.masks import Masks
from nas.nn.edges.partial_channels import PartialChannels
from nas.relaxations.base import Relaxation
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.exponentiated_gradient import ExponentiatedGradient
from nas.searches.gradient import GradientSearch
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.search_tools import arch_step, weight_step

CELLS = {"a": Cell(((0, 2), (1, 2), (0, 3)), ("x", "y", "z"), (3,), excluded=frozenset({(2, "y")}))}
"""Two edges into node 2, one edge with two ops into node 3."""
MASKS = Masks(CELLS)
COSTS = torch.tensor([[0.0, math.log(2) / 0.1, 0.0], [0.0, 0.0, 0.0], [math.log(3) / 0.1, 9.0, 0.0]])


def linear_loss(arch: Architecture) -> Tensor:
    """Return a loss whose gradient in the mixing weights is COSTS."""
    return (arch["a"].op * COSTS.to(arch["a"].op)).sum()


def step(relaxation: Relaxation, loss: Tensor, optimizer: SGD) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    relaxation.finish_step(MASKS)


def theta(relaxation: Relaxation) -> list[list[float]]:
    return [[float(value) for value in row] for row in relaxation.sample(MASKS)["a"].op.detach()]


def test_a_step_multiplies_the_weights_by_the_exponential_of_the_gradient() -> None:
    """With lr = 0.1 the costs halve a weight of the first edge, and divide one of the third edge by 3."""
    relaxation = ExponentiatedGradient(CELLS).double()
    optimizer = SGD(relaxation.parameters(), 0.1)
    thirds = pytest.approx([1 / 3] * 3)
    assert theta(relaxation) == [thirds, thirds, pytest.approx([0.5, 0, 0.5])]
    step(relaxation, linear_loss(relaxation.sample(MASKS)), optimizer)
    assert theta(relaxation) == [pytest.approx([0.4, 0.2, 0.4]), thirds, pytest.approx([0.25, 0, 0.75])]
    step(relaxation, linear_loss(relaxation.sample(MASKS)), optimizer)
    assert theta(relaxation) == [pytest.approx([4 / 9, 1 / 9, 4 / 9]), thirds, pytest.approx([0.1, 0, 0.9])]
    assert relaxation.alpha["a"][0].exp().tolist() == theta(relaxation)[0], "alpha is the logarithm of the weights"


def test_weight_decay_is_the_entropic_regularizer() -> None:
    """The gradient of w * sum(theta * log(theta)) is w * (log(theta) + 1), so a step takes the power 1 - lr * w."""
    relaxation = ExponentiatedGradient(CELLS, init_std=1.0).double()
    before = torch.tensor(theta(relaxation), dtype=torch.float64)[:2]
    step(relaxation, 0 * linear_loss(relaxation.sample(MASKS)), SGD(relaxation.parameters(), 0.5, weight_decay=0.8))
    powers = before**0.6
    torch.testing.assert_close(torch.tensor(theta(relaxation)).double()[:2], powers / powers.sum(-1, keepdim=True))


def test_weights_are_raised_to_the_floor_and_normalized() -> None:
    relaxation = ExponentiatedGradient(CELLS, floor=1e-3).double()
    relaxation.alpha["a"].data[0] = torch.tensor([0.0, -30.0, -60.0])
    relaxation.finish_step(MASKS)
    assert theta(relaxation)[0] == pytest.approx([1 / 1.002, 1e-3 / 1.002, 1e-3 / 1.002], rel=1e-12)
    relaxation.floor = 0.0
    relaxation.alpha["a"].data[0] = torch.tensor([0.0, -30.0, -60.0])
    relaxation.finish_step(MASKS)
    assert theta(relaxation)[0] == pytest.approx([1.0, math.exp(-30), math.exp(-60)], rel=1e-12)


def test_edge_weights_have_exponentiated_gradients() -> None:
    """The weights of the two edges into node 2 change in the ratio exp(-lr * 10); node 3 has a single edge."""
    relaxation = EdgeNormalized(CELLS, ExponentiatedGradient, init_std=0.0).double()
    loss = (relaxation.edge_weights("a") * torch.tensor([10.0, 0.0, 5.0])).sum()
    step(relaxation, loss, SGD(relaxation.parameters(), 0.1))
    ratio = math.exp(-1)
    expected = [ratio / (1 + ratio), 1 / (1 + ratio), 1.0]
    assert relaxation.edge_weights("a").tolist() == pytest.approx(expected, rel=1e-12)
    assert theta(relaxation)[1] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("edges", [False, True])
def test_a_search_updates_the_weights_by_their_gradients(edges: bool) -> None:
    """The architecture step of a search has the closed form, given the gradient in the weights themselves."""
    torch.manual_seed(0)
    build = partial(EdgeNormalized, relaxation=ExponentiatedGradient) if edges else ExponentiatedGradient
    space = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
    edge = {"edge": PartialChannels} if edges else {}
    search = GradientSearch(space, build, weight_step(), arch_step(lr=0.1), **edge)
    batch, alphas = (torch.randn(4, 3, 8, 8), torch.arange(4)), list(search.relaxation.parameters())
    arch = search.relaxation.sample(search.masks)["cell"]
    leaves = [
        arch.op.detach().requires_grad_(),
        *([arch.edge.detach().requires_grad_()] if arch.edge is not None else []),
    ]
    weights = {"cell": arch._replace(op=leaves[0], edge=leaves[1] if edges else None)}
    slopes = torch.autograd.grad(search.task.loss(search.supernet(batch[0], weights), batch[1]), leaves)
    for alpha, grad in zip(alphas, torch.autograd.grad(search.loss(batch), alphas), strict=True):
        alpha.grad = grad
    SGD(alphas, 0.1).step()
    search.relaxation.finish_step(search.masks)
    expected = leaves[0].detach() * (-0.1 * slopes[0]).exp()
    found = search.relaxation.sample(search.masks)["cell"]
    torch.testing.assert_close(found.op, expected / expected.sum(-1, keepdim=True))
    assert slopes[0].abs().max() > 1e-3
    if edges and found.edge is not None:
        into_last = (leaves[1].detach() * (-0.1 * slopes[1]).exp())[3:]
        torch.testing.assert_close(found.edge[3:], into_last / into_last.sum())
