"""Partial channels and edge normalization against what their papers say, channel by channel."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Cell, EdgeWeights, discretize
from nas.architecture.masks import Masks
from nas.nn.edges.mixed import MixedEdge, Row, rows
from nas.nn.edges.partial_channels import PartialChannels, shuffle
from nas.nn.ops import OpOptions
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.gumbel import Gumbel
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import CELL
from nas.utils.errors import NasError

OPTIONS = OpOptions(affine=False, pool_norm="plain")
OPS = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3")


def row(weights: Tensor, active: list[bool], scale: float | None = None) -> Row:
    return Row(weights.unbind(0), active, None if scale is None else torch.tensor(scale, dtype=weights.dtype))


@pytest.mark.parametrize(("stride", "side"), [(1, 6), (2, 6), (2, 5)])
def test_channel_by_channel(stride: int, side: int) -> None:
    """Channel j of [processed, bypassed] in K groups ends where a loop puts it; the scale acts on all of them."""
    torch.manual_seed(0)
    portion, channels = 4, 8
    edge = PartialChannels(OPS, channels, stride, OPTIONS, channel_divisor=portion).double()
    x, weights = torch.randn(3, channels, side, side).double(), torch.rand(4).double()
    size = channels // portion
    plain = MixedEdge.forward(edge, x[:, :size], row(weights, [True] * 4))
    assert plain is not None
    bypass = x[:, size:] if stride == 1 else F.max_pool2d(x[:, size:], 2, ceil_mode=True)
    before = torch.cat([plain, bypass], dim=1)
    out = edge(x, row(weights, [True] * 4, 0.3))
    assert out is not None and out.shape == before.shape
    for group in range(portion):
        for j in range(size):
            torch.testing.assert_close(out[:, j * portion + group], 0.3 * before[:, group * size + j])


def test_edges_that_carry_nothing_and_those_with_none() -> None:
    edge = PartialChannels(OPS, 8, 1, OPTIONS)
    x, weights = torch.randn(2, 8, 4, 4), torch.rand(4)
    assert edge(x, row(weights, [False] * 4)) is None
    out = edge(x, row(weights, [True, False, False, False]))
    assert torch.equal(out, shuffle(torch.cat([torch.zeros(2, 2, 4, 4), x[:, 2:]], dim=1), 4))


def test_all_channels_is_the_mixed_edge() -> None:
    torch.manual_seed(0)
    edge = PartialChannels(OPS, 8, 1, OPTIONS, channel_divisor=1)
    torch.manual_seed(0)
    plain = MixedEdge(OPS, 8, 1, OPTIONS)
    x, given = torch.randn(2, 8, 4, 4), row(torch.rand(4), [True] * 4, 0.5)
    assert torch.equal(edge(x, given), plain(x, given))


def test_channels_that_cannot_be_split() -> None:
    with pytest.raises(NasError, match=r"10 channels.*1/4.*multiple of 4"):
        Darts((3, 16, 16), 10, channels=10).supernet(partial(PartialChannels, channel_divisor=4))


@pytest.mark.parametrize("cells", [Darts((3, 8, 8), 10).cells, {"cell": CELL}], ids=["darts", "nas_bench_201"])
def test_edge_weights_sum_to_one_at_each_node(cells: dict[str, Cell]) -> None:
    torch.manual_seed(0)
    relaxation = EdgeNormalized(cells, init_std=1.0)
    arch = relaxation.sample(Masks(cells))
    for name, cell in cells.items():
        weights = arch[name].edge
        assert weights is not None and len(rows(arch[name])) == len(cell.edges)
        for node in cell.nodes:
            beta = relaxation.beta[name][cell.into(node)]
            torch.testing.assert_close(weights[cell.into(node)], beta.exp() / beta.exp().sum())


def test_parameters_are_there_once_and_wrapping_keeps_the_draws() -> None:
    cells = Darts((3, 8, 8), 10).cells
    relaxation = EdgeNormalized(cells, partial(Gumbel, tau=1.0))
    names = [name for name, _ in relaxation.named_parameters()]
    assert names == ["alpha.normal", "alpha.reduce", "beta.normal", "beta.reduce"]
    state = {key: value for key, value in relaxation.state_dict().items()}
    masks = Masks(cells)
    first: dict[str, EdgeWeights] = relaxation.sample(masks)
    other = EdgeNormalized(cells, partial(Gumbel, tau=1.0))
    other.load_state_dict(state)
    second = other(masks)
    assert all(torch.equal(first[name].op, second[name].op) for name in cells)
    assert any(not torch.equal(first[name].op, row.op) for name, row in relaxation.sample(masks).items())


def test_a_genotype_is_derived_from_the_product() -> None:
    """A strong op on a weak edge loses to a weaker op on a strong edge."""
    cell = Cell(((0, 3), (1, 3), (2, 3)), ("none", "a", "b"), (3,), inputs=2)
    scores = torch.tensor([[0.1, 0.8, 0.1], [0.1, 0.3, 0.6], [0.1, 0.5, 0.4]])
    edges = torch.tensor([0.1, 0.4, 0.5])  # products: 0.08, 0.24, 0.25
    assert [link.source for link in discretize(cell, scores).links] == [0, 1]
    found = discretize(cell, scores, edges).links
    assert [(link.op, link.source) for link in found] == [("a", 2), ("b", 1)]
