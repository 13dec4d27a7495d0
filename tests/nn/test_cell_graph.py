"""Tests of drop path in a cell: on each op, or on the sum of each node (FairDARTS)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.architecture.cell import CellGenotype, Link
from nas.nn.cell_graph import CellGraph
from nas.nn.drop_path import DropPath
from nas.nn.edges.mixed import MixedEdge
from nas.nn.ops import FactorizedReduce, OpOptions
from nas.nn.pooling import SharedReLU
from nas.spaces.darts.notation import parse
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import CELL
from tests.support.error_tools import NB201, TRAIN, run

KEEP = 0.6
SPACE = Darts((3, 16, 16), 10)
# Node 2 reads an identity and a convolution, node 3 an identity, node 4 nothing, and node 5 the nodes 2 and 3.
NORMAL = (
    "[('skip_connect', 2, 0), ('sep_conv_3x3', 2, 1), ('skip_connect', 3, 1), ('skip_connect', 5, 2), "
    "('dil_conv_3x3', 5, 3)]"
)
FAIR = parse(f"Genotype(normal={NORMAL}, reduce={NORMAL})")


def network(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    found = SPACE.network(FAIR, channels=4, layers=3, auxiliary=False, **options).double().train()
    for module in found.modules():
        if isinstance(module, DropPath):
            module.probability = 1 - KEEP
    return found


def reference_nodes(graph: CellGraph, inputs: list[Tensor], on: str) -> dict[int, Tensor]:
    """Compute the nodes of a cell with masks sampled in the order of its nodes and their edges."""

    def dropped(x: Tensor) -> Tensor:
        mask = torch.bernoulli(torch.full((len(x), 1, 1, 1), KEEP, dtype=x.dtype))
        return x * mask / KEEP

    found = dict(enumerate(inputs))
    for node in (2, 3, 4, 5):
        parts = []
        for key, (source, target) in zip(graph.keys, graph.cell.edges, strict=True):
            if target != node:
                continue
            (op,) = graph.edges[key].values()
            out = op(found[source])
            parts.append(out if on == "node" or isinstance(op, nn.Identity) else dropped(out))
        if parts:
            total = torch.stack(parts).sum(0)
            found[node] = dropped(total) if on == "node" else total
    return found


@pytest.mark.parametrize("on", ["op", "node"])
@pytest.mark.parametrize("cell", [0, 1])
def test_cell_graph_drop_path_equals_the_reference(on: str, cell: int) -> None:
    graph = network(drop_path_on=on).get_submodule(f"cells.{cell}.graph")
    assert isinstance(graph, CellGraph)
    x = torch.randn(2, 64, 8 if cell else 4, 8, 8, dtype=torch.float64)
    torch.manual_seed(1)
    nodes = graph(list(x))
    torch.manual_seed(1)
    expected = reference_nodes(graph, list(x), on)
    assert set(expected) == {0, 1, 2, 3, 5}
    for node, value in expected.items():
        torch.testing.assert_close(nodes[node], value, rtol=0, atol=1e-12)
    zeroed = {node: int((nodes[node].flatten(1) == 0).all(1).sum()) for node in (2, 3)}
    if on == "node":
        assert zeroed[2] > 10 and zeroed[3] > 10, "whole nodes are zero for about 40 % of the images"
    elif cell == 0:
        assert zeroed == {2: 0, 3: 0}, "an identity is never dropped"


def test_cell_graph_node_drop_path_preserves_the_mean() -> None:
    """The mean over 20,000 images is within four standard errors."""
    graph = network(drop_path_on="node").get_submodule("cells.0.graph")
    images = 20_000
    x = torch.ones(images, 4, 1, 1, dtype=torch.float64)
    with torch.no_grad():
        found = graph([x, x])[3][:, 0, 0, 0]
    assert set(found.tolist()) == {0.0, 1 / KEEP}
    assert abs(float(found.mean()) - 1) < 4 * ((1 - KEEP) / KEEP / images) ** 0.5


def test_drop_path_on_changes_neither_weights_nor_evaluation() -> None:
    one, other = network(), network(drop_path_on="node")
    other.load_state_dict(one.state_dict())
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    assert torch.equal(one.eval()(x), other.eval()(x))


def test_train_refuses_unknown_drop_path_on(tmp_path: Any) -> None:
    place = f"hydra.run.dir={tmp_path}/run"
    found = run("train", *TRAIN, f"genotype={NB201}", "network.drop_path_on=node", place)
    found.refused("network.drop_path_on", "channels, cells_per_stage")
    wanted = "genotype=darts_v2"
    arguments = [a for a in TRAIN if "cells_per_stage" not in a]
    run("train", *arguments, wanted, "network.drop_path_on=cell", place).refused("network.drop_path_on", "node")


@pytest.mark.parametrize(
    ("op", "stride", "exempt"), [("skip_connect", 1, True), ("skip_connect", 2, False), ("max_pool_3x3", 1, False)]
)
def test_cell_graph_exempts_identities_from_drop_path(op: str, stride: int, exempt: bool) -> None:
    torch.manual_seed(0)
    cell = CELL.restrict(CellGenotype((Link(op, 0, 1),), (1,)))
    graph = CellGraph(cell, 4, lambda source: stride, MixedEdge, OpOptions())
    assert isinstance(graph.edges["0_1"][op], FactorizedReduce) == (op == "skip_connect" and stride == 2)
    x = torch.randn(64, 4, 6, 6)
    plain = graph([x])[1].detach()
    graph.drop_path.probability = 0.5
    dropped = (graph([x])[1] == 0).flatten(1).all(1)
    assert exempt != dropped.any() and not dropped.all()
    if exempt:
        assert torch.equal(graph([x])[1], plain)


def test_restricted_cell_computes_the_relu_of_a_node_once() -> None:
    """Node 0 and node 1 are each read by two separable convolutions."""
    cell = "[('sep_conv_3x3', 2, 0), ('sep_conv_3x3', 2, 1), ('sep_conv_3x3', 3, 0), ('sep_conv_3x3', 3, 1)]"
    torch.manual_seed(0)
    net = SPACE.network(parse(f"Genotype(normal={cell}, reduce={cell})"), channels=4, layers=3, auxiliary=False)
    graph = next(module for module in net.modules() if isinstance(module, CellGraph))
    outputs: list[Tensor] = []
    for module in graph.modules():
        if isinstance(module, SharedReLU):
            module.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    graph([torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)])
    assert len(outputs) == 4 and len({id(output) for output in outputs}) == 2
