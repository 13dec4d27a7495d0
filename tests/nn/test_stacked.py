"""Joint execution of networks: outputs, gradients and statistics equal those of separate execution."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, EdgeWeights
from nas.nn.edges.mixed import MixedEdge
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.edges.skips import AuxiliarySkip, NoisySkip
from nas.nn.stacked import StackedNetworks, check_stacked
from nas.spaces.base import Network, Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError

SHAPE = (2, 7, 8)
Build = Callable[[], Network]


def nas_bench_201(**options: object) -> Space:
    return NasBench201(SHAPE, 3, channels=4, cells_per_stage=1, **options)  # type: ignore[arg-type]


def darts() -> Space:
    return Darts(SHAPE, 3, channels=4, layers=3, nodes=2)


def random_architecture(space: Space, edge: bool = False) -> Architecture:
    return {
        name: EdgeWeights(
            torch.rand(len(cell.edges), len(cell.ops)).softmax(dim=-1),
            cell.allowed().tolist(),
            torch.rand(len(cell.edges)) if edge else None,
        )
        for name, cell in space.cells.items()
    }


CASES = {
    "nas_bench_201": (nas_bench_201, MixedEdge),
    "affine": (partial(nas_bench_201, affine=True, track_statistics=False), MixedEdge),
    "darts": (darts, MixedEdge),
    "partial_channels": (darts, partial(PartialChannels, channel_divisor=2)),
    "auxiliary": (darts, partial(AuxiliarySkip, auxiliary="conv")),
}


@pytest.mark.parametrize("name", CASES)
def test_stacked_networks_equal_each_on_its_own(name: str) -> None:
    torch.manual_seed(0)
    make, edge = CASES[name]
    space = make()
    alone = [space.supernet(edge).double() for _ in range(3)]  # type: ignore[arg-type]
    together = copy.deepcopy(alone)
    images = [torch.randn(2, *SHAPE, dtype=torch.double) for _ in alone]
    archs = [random_architecture(space, edge=name == "partial_channels") for _ in alone]
    archs = [{k: row._replace(op=row.op.double()) for k, row in arch.items()} for arch in archs]
    if name == "partial_channels":
        archs = [{k: row._replace(edge=row.edge.double()) for k, row in arch.items()} for arch in archs]  # type: ignore[union-attr]
    weights = [[row.op.requires_grad_() for row in arch.values()] for arch in archs]

    expected = [network(x, arch) for network, x, arch in zip(alone, images, archs, strict=True)]
    slopes = [
        torch.autograd.grad(y.square().sum(), w, retain_graph=True) for y, w in zip(expected, weights, strict=True)
    ]
    for y in expected:
        y.square().sum().backward(inputs=[p for network in alone for p in network.parameters()])
    stacked = StackedNetworks(together, space.supernet(edge))  # type: ignore[arg-type]
    found = stacked(images, archs)
    flat = [w for part in weights for w in part]
    stacked_slopes = torch.autograd.grad(sum(y.square().sum() for y in found), flat, retain_graph=True)  # type: ignore[arg-type]
    torch.stack([y.square().sum() for y in found]).sum().backward()
    stacked.distribute_gradients(range(3))

    close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-11)
    close(found, tuple(expected))
    close(list(stacked_slopes), [slope for part in slopes for slope in part])
    for one, other in zip(alone, together, strict=True):
        close(dict(other.named_buffers()), dict(one.named_buffers()))
        grads = {key: parameter.grad for key, parameter in one.named_parameters()}
        assert sum(grad is not None for grad in grads.values()) > 10
        close({key: parameter.grad for key, parameter in other.named_parameters()}, grads)


def test_networks_and_stacked_networks_share_their_values() -> None:
    space = nas_bench_201()
    networks = [space.supernet() for _ in range(2)]
    stacked = StackedNetworks(networks, space.supernet())
    x, archs = torch.randn(2, *SHAPE), [random_architecture(space) for _ in networks]
    with torch.no_grad():
        before = stacked([x, x], archs)
        networks[1].classifier.bias.add_(1.0)  # type: ignore[union-attr, operator]
        after = stacked([x, x], archs)
    torch.testing.assert_close(after[0], before[0])
    torch.testing.assert_close(after[1], before[1] + 1.0)


def test_frozen_networks_have_no_gradients() -> None:
    space = nas_bench_201()
    networks = [space.supernet() for _ in range(2)]
    stacked, archs = StackedNetworks(networks, space.supernet()), [random_architecture(space) for _ in networks]
    for arch in archs:
        arch["cell"].op.requires_grad_()
    logits = stacked([torch.randn(2, *SHAPE) for _ in networks], archs, trained=False)
    torch.stack(list(logits)).sum().backward()
    stacked.distribute_gradients([0, 1])
    assert all(parameter.grad is None for network in networks for parameter in network.parameters())
    assert archs[1]["cell"].op.grad is not None


class Sliced(nn.Module):
    """Layer that slices dimension 1: the channels of one network, but the networks in stacked features."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 3, 1)

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:
        return self.layer(x[:, :1]).flatten(1)[:, :3]


def test_check_stacked_refuses_what_it_would_compute_differently() -> None:
    space = nas_bench_201()
    archs = [random_architecture(space) for _ in range(2)]
    check_stacked(space.supernet, SHAPE, archs)
    with pytest.raises(NasError, match="layers of NasBench201Network"):
        check_stacked(lambda: space.supernet(NoisySkip), SHAPE, archs)
    with pytest.raises(NasError, match="layers of Sliced"):
        check_stacked(Sliced, SHAPE, archs)
    with pytest.raises(NasError, match=r"the layer 0 \(Dropout\)"):
        check_stacked(lambda: nn.Sequential(nn.Dropout(), nn.Linear(2, 2)), SHAPE, archs)
