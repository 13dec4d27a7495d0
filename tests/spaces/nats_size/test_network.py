"""Tests of the networks of NATS-Bench's size space."""

from __future__ import annotations

import torch

from nas.spaces.nas_bench_201.notation import EDGES, edge_ops, from_index
from nas.spaces.nats_size.notation import parse
from nas.spaces.nats_size.skeleton import CELL_OPS
from nas.spaces.nats_size.space import NatsSize


def test_cell_ops_are_architecture_9930() -> None:
    edges = dict(CELL_OPS)
    assert tuple(edges[edge] for edge in EDGES) == edge_ops(from_index(9930))


def test_network_changes_channels_at_the_input_of_a_cell() -> None:
    net = NatsSize((3, 8, 8), 4).network(parse("3:5:7:7:2"))
    kinds = [type(net.get_submodule(f"cells.{cell}.edges.0_3")).__name__ for cell in (0, 2, 4)]
    assert kinds == ["Identity", "Sequential", "Sequential"]
    skip = net.get_submodule("cells.2.edges.0_3")
    assert [type(part).__name__ for part in skip.children()] == ["Conv2d", "BatchNorm2d"]
    shapes = [tuple(net.get_parameter(f"cells.4.edges.{e}.op.1.weight").shape[:2]) for e in ("0_1", "0_2", "1_2")]
    assert shapes == [(2, 7), (2, 7), (2, 2)]
    assert net(torch.randn(2, 3, 8, 8)).shape == (2, 4)
