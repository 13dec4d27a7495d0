"""The supernet of NAS-Bench-1Shot1 against the published cells and direct formulas, in float64."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import EdgeWeights
from nas.nn.edges.mixed import MixedEdge, unbind_rows
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.ops import OpOptions
from nas.spaces.nas_bench_1shot1.network import OneShotNetwork, SearchCell
from nas.spaces.nas_bench_1shot1.notation import OUTPUT_CELL, to_graph
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_101.graph import OPS, Graph, prune
from nas.spaces.nas_bench_101.network import GraphCell
from nas.spaces.nas_bench_101.notation import CONNECT

WIDTH = 2


def build(subspace: int, inputs: int = 3) -> tuple[NasBench1Shot1, SearchCell]:
    torch.manual_seed(subspace)
    space = NasBench1Shot1((3, 8, 8), 10, subspace)
    cell = SearchCell(space.cells, MixedEdge, OpOptions(), inputs, WIDTH).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter)
    return space, cell


def copy_state(target: nn.Module, source: nn.Module) -> None:
    """Copy the tensors of a convolution with batch norm, whose momentum may differ."""
    target.load_state_dict(source.state_dict())


def layers(edge: nn.Module, op: str) -> nn.Module:
    """Return the layers of an op."""
    module = edge[op]  # type: ignore[index]
    return module.op if "conv" in op else module


def reached(graph: Graph) -> list[int]:
    """Return the vertices from which the output can be reached; all are reached from the input."""
    last = len(graph.ops) - 1
    found = {last}
    for vertex in range(last - 1, 0, -1):
        if any(graph.matrix[vertex][target] for target in found):
            found.add(vertex)
    return sorted(found - {last})


@pytest.mark.parametrize("subspace", [1, 2, 3])
def test_one_hot_weights_execute_the_published_cell(subspace: int) -> None:
    """The published cell has the width of the supernet if its output has WIDTH channels per vertex that feeds it."""
    space, cell = build(subspace)
    rng, x = random.Random(subspace), torch.randn(4, 3, 6, 6, dtype=torch.float64)
    for _ in range(20):
        genotype = space.sample(rng)
        arch = space.encode(genotype, like=x)
        found = cell(x, {name: unbind_rows(weights) for name, weights in arch.items()})
        graph = to_graph(genotype)
        pruned, kept, last = prune(graph), reached(graph), len(graph.ops) - 1
        assert pruned is not None
        feeding = [v for v in range(1, last) if graph.matrix[v][last]]
        published = GraphCell(pruned, 3, WIDTH * len(feeding)).double()
        assert published.channels[1:-1] == [WIDTH] * len(kept)
        channels = torch.cat([torch.arange(WIDTH) + WIDTH * (v - 1) for v in feeding])
        for position, vertex in enumerate(kept, 1):
            name = f"vertex_{vertex}"
            edge = cell.graphs[name].edges[f"{vertex}_{vertex + 1}"]  # type: ignore[union-attr, index]
            copy_state(published.ops[position - 1], layers(edge, graph.ops[vertex]))
            if str(position) in published.projections:
                copy_state(published.projections[str(position)], cell.projections[name])
        if str(len(kept) + 1) in published.projections:
            state = cell.projections[OUTPUT_CELL].state_dict()
            rows = {k: v[channels] if v.ndim else v for k, v in state.items()}
            published.projections[str(len(kept) + 1)].load_state_dict(rows)
        torch.testing.assert_close(found[:, channels], published(x))
        if str(len(kept) + 1) not in published.projections:
            others = [c for c in range(found.shape[1]) if c not in channels.tolist()]
            assert not found[:, others].any()


def conv_norm_relu(module: nn.Module, x: Tensor, padding: int) -> Tensor:
    state = module.state_dict()
    x = F.conv2d(x, state["0.weight"], padding=padding)
    return F.batch_norm(x, None, None, state["1.weight"], state["1.bias"], training=True).relu()


@pytest.mark.parametrize("subspace", [1, 3])
def test_mixtures_equal_their_formula(subspace: int) -> None:
    space, cell = build(subspace)
    x, arch = torch.randn(4, 3, 6, 6, dtype=torch.float64), {}
    for name, table in space.cells.items():
        shape = len(table.edges), len(table.ops)
        arch[name] = EdgeWeights(
            torch.rand(shape, dtype=x.dtype), table.allowed().tolist(), torch.rand(shape[0]).double()
        )
    found = cell(x, {name: unbind_rows(weights) for name, weights in arch.items()})
    vertices: list[Tensor] = []
    for v, name in enumerate(list(space.cells)[:-1], 1):
        op, scale = arch[name].op, arch[name].edge
        assert scale is not None
        parents = [conv_norm_relu(cell.projections[name], x, 0), *vertices]
        total = sum(op[s, 0] * scale[s] * parent for s, parent in enumerate(parents))
        assert isinstance(total, Tensor)
        edge = cell.graphs[name].edges[f"{v}_{v + 1}"]  # type: ignore[union-attr, index]
        outputs = {
            "conv3x3-bn-relu": conv_norm_relu(layers(edge, "conv3x3-bn-relu"), total, 1),
            "conv1x1-bn-relu": conv_norm_relu(layers(edge, "conv1x1-bn-relu"), total, 0),
            "maxpool3x3": F.max_pool2d(total, 3, 1, 1),
        }
        vertices.append(scale[v] * sum(op[v, 1 + OPS.index(n)] * out for n, out in outputs.items()))
    weights = arch[OUTPUT_CELL].op[:, 0] * arch[OUTPUT_CELL].edge
    expected = torch.cat([w * vertex for w, vertex in zip(weights[1:], vertices, strict=True)], 1)
    expected = expected + weights[0] * conv_norm_relu(cell.projections[OUTPUT_CELL], x, 0)
    torch.testing.assert_close(found, expected)


def test_edges_of_a_method_have_the_ops_alone() -> None:
    """PC-DARTS sends a quarter of the channels through the ops, and all channels to the vertices."""
    space = NasBench1Shot1((3, 8, 8), 10, channels=8, cells_per_stage=1)
    network = space.supernet(PartialChannels)
    assert isinstance(network, OneShotNetwork)
    for cell in network.cells:
        for graph in cell.graphs.values():
            for edge in graph.edges.values():
                assert isinstance(edge, PartialChannels) == (CONNECT not in edge.names)


def test_network_has_the_published_size() -> None:
    """Nine cells, 16, 32 and 64 channels per vertex, halved resolution before the fourth and the seventh."""
    network = NasBench1Shot1((3, 32, 32), 10, 3).supernet()
    assert isinstance(network, OneShotNetwork) and len(network.cells) == 9
    sizes: list[torch.Size] = []
    for cell in network.cells:
        cell.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape))
    space = NasBench1Shot1((3, 32, 32), 10, 3)
    network.outputs(torch.randn(2, 3, 32, 32), space.encode(space.sample(random.Random(0))))
    assert [tuple(size[1:]) for size in sizes] == [
        (5 * 16 * 2**s, 32 >> s, 32 >> s) for s in (0, 0, 0, 1, 1, 1, 2, 2, 2)
    ]
    assert len(network.cell_types()) == 54 and network.cell_types()[11] == OUTPUT_CELL
