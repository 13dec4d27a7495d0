"""Tests of entangled edges against convolutions written by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.nn.edges.entangled import EntangledEdge
from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.ops import OPS, OpOptions
from nas.objectives.resource_penalty import op_costs
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError

NAMES = ("none", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5")
OPTIONS = OpOptions(affine=False)


def row(weights: Any, active: Any = None, scale: Tensor | None = None) -> EdgeRow:
    weights = torch.as_tensor(weights, dtype=torch.float64)
    return EdgeRow(weights.unbind(), [True] * len(weights) if active is None else active, scale)


def edge(names: Any = NAMES, stride: int = 1, options: OpOptions = OPTIONS) -> EntangledEdge:
    torch.manual_seed(0)
    return EntangledEdge(names, 4, stride, options).double().train()


def test_edge_has_the_largest_candidate_of_each_kind_alone() -> None:
    assert list(edge().keys()) == ["skip_connect", "sep_conv_5x5", "dil_conv_5x5"]
    assert list(edge(("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")).keys()) == ["nor_conv_3x3", "avg_pool_3x3"]
    assert list(edge(("sep_conv_3x3", "dil_conv_5x5", None)).keys()) == ["sep_conv_3x3", "dil_conv_5x5"]


def test_ops_of_nas_bench_101_share_a_kernel() -> None:
    names = ("conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3")
    built, x = edge(names), torch.randn(3, 4, 9, 9, dtype=torch.float64)
    assert list(built.keys()) == ["conv3x3-bn-relu", "maxpool3x3"]
    small = OPS["conv1x1-bn-relu"](4, 1, OPTIONS).double().train()
    state = built["conv3x3-bn-relu"].state_dict()
    small.load_state_dict({k: v[..., 1:-1, 1:-1] if v.shape[-1:] == (3,) else v for k, v in state.items()})
    torch.testing.assert_close(built(x, row([1.0, 0, 0], [True, False, False])), small(x))


@pytest.mark.parametrize("stride", [1, 2])
def test_one_hot_weights_execute_the_sub_kernel_of_a_candidate(stride: int) -> None:
    built, x = edge(stride=stride), torch.randn(3, 4, 9, 9, dtype=torch.float64)
    for kind in ("sep", "dil"):
        small = OPS[f"{kind}_conv_3x3"](4, stride, OPTIONS).double().train()
        state = {
            k: v[..., 1:-1, 1:-1] if v.shape[-1:] == (5,) else v
            for k, v in built[f"{kind}_conv_5x5"].state_dict().items()
        }
        small.load_state_dict(state)
        weights = [float(name == f"{kind}_conv_3x3") for name in NAMES]
        found = built(x, row(weights, [bool(w) for w in weights]))
        torch.testing.assert_close(found, small(x), rtol=1e-9, atol=1e-12)
        weights = [float(name == f"{kind}_conv_5x5") for name in NAMES]
        expected = built[f"{kind}_conv_5x5"](x)
        torch.testing.assert_close(built(x, row(weights, [bool(w) for w in weights])), expected, rtol=1e-9, atol=1e-12)


def test_mixture_is_one_convolution_with_the_mixed_kernel() -> None:
    names = ("nor_conv_1x1", "nor_conv_3x3", "skip_connect")
    built, x = edge(names, options=OpOptions(affine=False, bias=True)), torch.randn(3, 4, 6, 6, dtype=torch.float64)
    conv, norm = built["nor_conv_3x3"].op[1], built["nor_conv_3x3"].op[2]
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).requires_grad_()
    kernel = 0.5 * conv.weight
    kernel = kernel + 0.2 * F.pad(conv.weight[..., 1:2, 1:2], [1, 1, 1, 1])
    y = F.conv2d(x.relu(), kernel, 0.7 * conv.bias, padding=1)
    y = (y - y.mean((0, 2, 3), keepdim=True)) / (y.var((0, 2, 3), keepdim=True, correction=0) + norm.eps).sqrt()
    found = built(x, EdgeRow(weights.unbind(), [True] * 3, torch.tensor(2.0, dtype=torch.float64)))
    torch.testing.assert_close(found, 2 * (y + 0.3 * x), rtol=1e-9, atol=1e-12)
    (grad,) = torch.autograd.grad(found.square().sum(), weights)
    assert (grad != 0).all()


def test_common_scale_of_a_kind_has_no_effect() -> None:
    built, x = edge(("sep_conv_3x3", "sep_conv_5x5")), torch.randn(8, 4, 8, 8, dtype=torch.float64)
    found, doubled = (built(x, row([0.1 * k, 0.3 * k])) for k in (10, 20))
    torch.testing.assert_close(found, doubled, rtol=0.02, atol=0.02)
    other = built(x, row([3.0, 1.0]))
    assert not torch.allclose(found, other, rtol=0.02, atol=0.02), "the ratio has"


def test_supernets_with_entangled_edges_have_fewer_weights() -> None:
    for space in (Darts((3, 8, 8), 4, channels=4, layers=3), NasBench201((3, 8, 8), 4, 4, 1)):
        sizes = [sum(p.numel() for p in space.supernet(kind).parameters()) for kind in (EntangledEdge, MixedEdge)]
        assert sizes[0] < sizes[1]


def test_costs_of_entangled_candidates_are_refused() -> None:
    space = NasBench201((3, 8, 8), 4, 4, 1)
    with pytest.raises(NasError, match="nor_conv_1x1.*no module of its own"):
        op_costs(space.supernet(EntangledEdge), space.cells, space.shape)
