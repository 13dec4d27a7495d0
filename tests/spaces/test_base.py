"""Tests of spaces and their networks that hold for every space."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from nas.architecture.cell import Cell, Genotype
from nas.nn.cell_builder import CellBuilder
from nas.nn.edges.mixed import MixedEdge
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.ops import OPS
from nas.spaces.base import Network, Shape, Space
from nas.spaces.darts.network import DartsNetwork
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.network import NasBench201Network
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
from nas.utils.errors import NasError
from tests.support.space_tools import same_op_everywhere

ALL_OPS = [op for op in OPS if op != "noise"]  # noise differs between two runs


def network_in_supernet_size(space: Space, genotype: Genotype) -> Network:
    """Build the network of a genotype with the size and the options of the supernet."""
    cells = {name: cell.restrict(genotype.cells[name]) for name, cell in space.cells.items()}
    if isinstance(space, NasBench201):
        size = space.channels, space.cells_per_stage, space.shape, space.classes
        return NasBench201Network(cells["cell"], CellBuilder(options=space.options), *size)
    assert isinstance(space, Darts)
    return DartsNetwork(cells, CellBuilder(options=space.options), space.skeleton, space.shape, space.classes)


def build_supernet(space: Space) -> Network:
    """Build a supernet in double precision whose batch norm tensors differ between channels."""
    torch.manual_seed(0)
    network = space.supernet().double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                if value is not None:
                    nn.init.uniform_(value, 0.5, 1.5)
    return network


INHERIT: dict[str, Space] = {
    "bench": NasBench201((3, 9, 10), 4, channels=3, cells_per_stage=1),
    "bench_affine": NasBench201((3, 9, 10), 4, channels=3, cells_per_stage=1, affine=True, track_statistics=False),
    "darts": Darts((3, 9, 10), 4, channels=3, layers=4, ops=["none", *ALL_OPS]),
    "darts_affine": Darts((3, 9, 10), 4, channels=4, layers=3, ops=ALL_OPS, affine=True, pool_norm="affine"),
    "darts_imagenet": Darts((3, 33, 40), 4, channels=4, layers=3, stem="imagenet", pool_norm="none"),
}


@pytest.mark.parametrize("name", INHERIT)
def test_supernet_at_one_hot_weights_equals_the_network(name: str) -> None:
    """Outputs and gradients are equal in training and in evaluation mode."""
    space = INHERIT[name]
    big = build_supernet(space)
    state, inputs = big.state_dict(), torch.randn(2, *space.shape, dtype=torch.float64)
    rng = random.Random(0)
    choices = sorted({op for cell in space.cells.values() for op in cell.choices(0)})
    for genotype in [same_op_everywhere(space, op) for op in choices] + [space.sample(rng) for _ in range(4)]:
        space.check(genotype)
        small = network_in_supernet_size(space, genotype).double()
        small.load_state_dict({key: state[key].clone() for key in small.state_dict()})
        buffers = {key: value.clone() for key, value in big.named_buffers()}
        for training in (False, True):
            found, expected = (
                net.train(training)(inputs, *args) for net, args in ((small, ()), (big, (space.encode(genotype),)))
            )
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        big.zero_grad()
        found.square().sum().backward()
        expected.square().sum().backward()
        own = dict(small.named_parameters())
        for key, parameter in big.named_parameters():
            got = own[key].grad if key in own else None
            assert (got is None) == (parameter.grad is None), key
            if got is not None:
                torch.testing.assert_close(got, parameter.grad, rtol=1e-6, atol=1e-9)
        big.load_state_dict(buffers, strict=False)


SIZES: list[Shape] = [(1, 8, 8), (3, 28, 28), (2, 31, 33), (1, 5, 12)]


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_networks_accept_images_of_any_size(shape: Shape) -> None:
    torch.manual_seed(0)
    rng = random.Random(1)
    bench = NasBench201(shape, 3, channels=2, cells_per_stage=1)
    nested = Darts(shape, 3, channels=2, layers=3, ops=["none", *OPS])
    built: list[tuple[Network, tuple[Any, ...]]] = [
        (bench.supernet(), (bench.encode(bench.sample(rng)),)),
        (bench.network(bench.sample(rng), channels=2, cells_per_stage=1), ()),
        (nested.supernet(), (nested.encode(nested.sample(rng)),)),
        (nested.network(nested.sample(rng), channels=2, layers=4), ()),
        (nested.network(nested.sample(rng), channels=4, layers=3, stem="imagenet"), ()),
    ]
    for _, args in built:
        for weights in args[0].values() if args else ():
            for row in weights.active:
                row[:] = [True] * len(row)
            weights.op[:] = 0.2
    for network, args in built:
        output = network.outputs(torch.randn(4, *shape), *args)
        assert output.logits.shape == (4, 3) and output.features.shape == (4, network.classifier.in_features)
        heads = [output.logits] + ([] if output.auxiliary is None else [output.auxiliary])
        torch.stack(heads).sum(0).square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_check_edge_refuses_edges_of_subclasses() -> None:
    class CustomEdge(MixedEdge):
        """An edge of a user."""

    sizes = NatsSize((3, 8, 8), 4, (2, 3))
    sizes.check_edge(MixedEdge)
    sizes.check_edge(partial(MixedEdge, add_inactive=False))
    for edge, name in (
        (CustomEdge, "CustomEdge"),
        (partial(PartialChannels, channel_divisor=2), "PartialChannels"),
        (partial(MixedEdge, add_inactive=True), "add_inactive=true"),
    ):
        NasBench201((3, 8, 8), 4).check_edge(edge)
        with pytest.raises(NasError, match=f"method.edge=.*{name}.*space=nats_size builds no edges"):
            sizes.check_edge(edge)


def test_describe_size_names_published_and_given_options() -> None:
    space, darts = NasBench201((3, 8, 8), 4, channels=4, cells_per_stage=1), Darts((3, 8, 8), 4, channels=8)
    assert space.describe_size() == "channels=16 cells_per_stage=5"
    assert space.describe_size(channels=8) == "channels=8 cells_per_stage=5"
    assert space.describe_size(**space.supernet_size()) == "channels=4 cells_per_stage=1"
    assert darts.describe_size() == "channels=36 layers=20"
    assert darts.describe_size(**darts.supernet_size()) == "channels=8 layers=8"
    assert NatsSize((3, 8, 8), 4).describe_size() == "", "the genotype is the widths"


def test_deepen_and_probe_return_the_same_kind_of_space() -> None:
    for space in (NasBench201((3, 8, 8), 4), Darts((3, 8, 8), 4)):
        assert type(space.deepen(space.cells, 3)) is type(space)
        assert isinstance(space.probe("ntk"), Network)


@pytest.mark.parametrize("space", [NatsSize((3, 8, 8), 4), ShuffleNetV2Space((3, 8, 8), 4)], ids=["nats_size", "chain"])
def test_deepen_and_probe_refuse_other_spaces(space: Space) -> None:
    with pytest.raises(NasError, match=f"space={space.name}: its supernet cannot be deepened"):
        space.deepen({"cell": Cell(((0, 1),), ("8",), (1,))}, 3)
    with pytest.raises(NasError, match=f"space={space.name}: the proxies ntk and linear_regions"):
        space.probe("ntk")


def test_from_index_covers_indexed_spaces_only() -> None:
    for space in (NasBench201((3, 8, 8), 4), NatsSize((3, 8, 8), 4)):
        assert space.size is not None and space.from_index(0) != space.from_index(space.size - 1)
    with pytest.raises(NasError, match="space=darts: its genotypes have no indices"):
        Darts((3, 8, 8), 4).from_index(0)
