"""Spaces: networks that agree with their supernets, and notations that lose nothing and believe nothing."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.nn.cell_graph import CellGraph
from nas.nn.drop_path import DropPath
from nas.nn.edges.mixed import MixedEdge
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.macs import count_parameters
from nas.nn.ops import OPS, FactorizedReduce, OpOptions
from nas.relaxations.softmax import Softmax
from nas.spaces.base import Network, Shape, Space
from nas.spaces.darts.network import DartsCell, DartsNetwork
from nas.spaces.darts.notation import DARTS_OPS, EDGES, NODES
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.network import NasBench201Network
from nas.spaces.nas_bench_201.notation import CELL
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError

ALL_OPS = [op for op in OPS if op != "noise"]  # two runs of noise differ


def same_op_everywhere(space: Space, op: str) -> Genotype:
    """Every chosen link carries ``op``; each node reads its first inputs."""
    cells = {}
    for name, cell in space.cells.items():
        rows = [e for node in cell.nodes for e in cell.into(node)[: cell.inputs]]
        cells[name] = CellGenotype(tuple(Link(op, *cell.edges[e]) for e in rows), cell.output)
    return Genotype(space.notation, cells)


def restricted(space: Space, genotype: Genotype) -> Network:
    """The genotype's network with the size and the options of the supernet."""
    cells = {name: cell.restrict(genotype.cells[name]) for name, cell in space.cells.items()}
    if isinstance(space, NasBench201):
        size = space.channels, space.cells_per_stage, space.shape, space.classes
        return NasBench201Network(cells["cell"], MixedEdge, space.options, *size)
    assert isinstance(space, Darts)
    shape = space.channels, space.layers, space.shape, space.classes
    return DartsNetwork(cells, MixedEdge, space.options, *shape, space.stem, space.stem_multiplier)


def supernet(space: Space) -> Network:
    """In double precision, with batch norm statistics and parameters that no two channels share."""
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
def test_networks_inherit_from_the_supernet(name: str) -> None:
    """The supernet at one-hot weights is the genotype's network: outputs and gradients, in both modes."""
    space = INHERIT[name]
    big = supernet(space)
    state, inputs = big.state_dict(), torch.randn(2, *space.shape, dtype=torch.float64)
    rng = random.Random(0)
    choices = sorted({op for cell in space.cells.values() for op in cell.choices(0)})
    for genotype in [same_op_everywhere(space, op) for op in choices] + [space.sample(rng) for _ in range(4)]:
        space.check(genotype)
        small = restricted(space, genotype).double()
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
def test_inputs_of_any_size(shape: Shape) -> None:
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


# Auxiliary head.


@pytest.mark.parametrize(
    ("shape", "stem", "built"),
    [
        ((3, 32, 32), "cifar", True),
        ((3, 32, 64), "cifar", True),
        ((3, 35, 33), "cifar", True),
        ((1, 8, 8), "cifar", True),
        ((1, 7, 28), "cifar", False),
        ((3, 224, 224), "imagenet", True),
        ((3, 224, 288), "imagenet", True),
        ((3, 64, 64), "imagenet", True),
        ((3, 63, 64), "imagenet", False),
    ],
)
def test_auxiliary_head_is_built_where_it_fits(shape: Shape, stem: Any, built: bool) -> None:
    space = Darts(shape, 5)
    genotype = same_op_everywhere(space, "max_pool_3x3")
    size: dict[str, Any] = {"channels": 4, "layers": 3, "stem": stem}
    network = space.network(genotype, **size)
    images = torch.randn(2, *shape)
    auxiliary = network.outputs(images).auxiliary
    assert (auxiliary is not None) == built and (auxiliary is None or auxiliary.shape == (2, 5))
    assert network.eval().outputs(images).auxiliary is None
    assert space.network(genotype, auxiliary=False, **size).outputs(images).auxiliary is None
    if built:
        head = space.network(genotype, auxiliary=True, **size).auxiliary_head
        norms = [m.num_features for m in head.modules() if isinstance(m, nn.BatchNorm2d)]
        assert norms == ([128, 768] if stem == "cifar" else [128])
    else:
        with pytest.raises(NasError, match="auxiliary=false"):
            space.network(genotype, auxiliary=True, **size)


# Drop path.


def test_drop_path_drops_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop, x = DropPath(0.3), torch.rand(20_000, 2, 3) + 0.5
    out = drop(x)
    kept = (out != 0).flatten(1)
    assert torch.equal(kept.all(1), kept.any(1)), "a sample is kept or dropped as a whole"
    torch.testing.assert_close(out[kept.all(1)], x[kept.all(1)] / 0.7)
    share = kept.all(1).double().mean()
    assert abs(share - 0.7) < 5 * (0.7 * 0.3 / 20_000) ** 0.5
    assert torch.equal(drop.eval()(x), x) and torch.equal(DropPath()(x), x)


@pytest.mark.parametrize(
    ("op", "stride", "spared"), [("skip_connect", 1, True), ("skip_connect", 2, False), ("max_pool_3x3", 1, False)]
)
def test_drop_path_spares_the_identity_alone(op: str, stride: int, spared: bool) -> None:
    torch.manual_seed(0)
    cell = CELL.restrict(CellGenotype((Link(op, 0, 1),), (1,)))
    graph = CellGraph(cell, 4, lambda source: stride, MixedEdge, OpOptions())
    assert isinstance(graph.edges["0_1"][op], FactorizedReduce) == (op == "skip_connect" and stride == 2)
    x = torch.randn(64, 4, 6, 6)
    plain = graph([x])[1].detach()
    graph.drop_path.probability = 0.5
    dropped = (graph([x])[1] == 0).flatten(1).all(1)
    assert spared != dropped.any() and not dropped.all()
    if spared:
        assert torch.equal(graph([x])[1], plain)


# Sub-spaces of the table: S1 and its like.

TWO = [["skip_connect", "dil_conv_3x3"], ["max_pool_3x3", "avg_pool_3x3"]] * 7


def test_excluded_ops_are_never_chosen_and_never_built() -> None:
    space = Darts((3, 8, 8), 3, channels=2, layers=3, edge_ops={"normal": TWO, "reduce": TWO[::-1]})
    network, rng = space.supernet(), random.Random(0)
    assert isinstance(network, DartsNetwork)
    for kind, cell in zip(network.kinds, network.cells, strict=True):
        table = TWO if kind == "normal" else TWO[::-1]
        assert isinstance(cell, DartsCell)
        assert [set(edge) for edge in cell.graph.edges.values()] == [set(row) for row in table]
    everywhere = {name: torch.randn(14, 8) for name in space.cells}
    for name, cell in space.cells.items():
        table = TWO if name == "normal" else TWO[::-1]
        drawn = [link for _ in range(50) for link in space.sample(rng).cells[name].links]
        scored = [link for _ in range(50) for link in discretize(cell, torch.randn(14, 8)).links]
        for links in (drawn, scored):
            assert all(op in table[EDGES.index((source, target))] for op, source, target in links)
            assert {link.op for link in links} == {op for row in TWO for op in row}
        # the best op of all does not help where it is excluded
        everywhere[name][:, DARTS_OPS.index("sep_conv_5x5")] = 99.0
        assert all(link.op != "sep_conv_5x5" for link in discretize(cell, everywhere[name]).links)
    weights = Softmax(space.cells)(Masks(space.cells))
    network(torch.randn(2, 3, 8, 8), weights).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    with pytest.raises(NasError, match="'sep_conv_3x3' is not a choice on edge 0->2"):
        space.network(same_op_everywhere(space, "sep_conv_3x3"))


@pytest.mark.parametrize(
    "table",
    [{"normal": TWO}, {"normal": TWO, "reduce": TWO[1:]}, {"normal": TWO, "reduce": [[], *TWO[1:]]}]
    + [{"normal": TWO, "reduce": [["sep_conv_9x9"], *TWO[1:]]}],
)
def test_tables_of_ops_are_checked(table: Any) -> None:
    with pytest.raises(NasError, match="space.edge_ops.reduce: .* for each of 14 edges"):
        Darts((3, 8, 8), 3, edge_ops=table)


def test_unknown_ops_are_refused() -> None:
    with pytest.raises(NasError, match="unknown op 'sep_conv_9x9'"):
        Darts((3, 8, 8), 3, ops=["none", "sep_conv_9x9"])


@pytest.mark.parametrize("repeats", [False, True])
def test_the_strongest_links_are_chosen(repeats: bool) -> None:
    """Of all pairs of links that a node may have, those with the greatest sum of scores."""
    torch.manual_seed(0)
    cell = Darts((3, 8, 8), 3, repeats=repeats).cells["normal"]
    for _ in range(10):
        scores = torch.rand(14, 8)
        chosen = discretize(cell, scores).links
        for node in NODES:
            rows = [e for e, (_, target) in enumerate(EDGES) if target == node]
            links = [(float(scores[e, o]), DARTS_OPS[o], EDGES[e][0]) for e in rows for o in range(1, 8)]
            pairs = [(a, b) for a in links for b in links if a > b and (repeats or a[2] != b[2])]
            best = max(pairs, key=lambda pair: pair[0][0] + pair[1][0])
            assert [link[:2] for link in chosen if link.target == node] == [link[1:] for link in best]


def test_size_of_the_supernet_for_imagenet() -> None:
    """PC-DARTS, 1,000 classes, half of the channels: 956,512 parameters, its stem being 48 wide."""
    space = Darts((3, 224, 224), 1000, stem="imagenet", stem_multiplier=3)
    assert count_parameters(space.supernet(partial(PartialChannels, channel_divisor=2))) == 956_512
    assert space.supernet().stem1[1].out_channels == 48
    assert Darts((3, 224, 224), 1000, stem="imagenet").supernet().stem1[1].out_channels == 16
