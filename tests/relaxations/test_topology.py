"""Tests of the two relaxations of DOTS: groups, pairs of edges and the derived genotype."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch

from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.relaxations.topology import Topology
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError

SPACE = Darts((3, 8, 8), 10, channels=2, layers=3)
CELL = SPACE.cells["normal"]
FREE = {"none", "max_pool_3x3", "avg_pool_3x3", "skip_connect"}


def relaxation(topology: bool = False) -> Topology:
    torch.manual_seed(0)
    built = Topology(SPACE.cells, init_std=1.0).double()
    built.topology = topology
    for beta in built.beta.values():
        beta.data.normal_()
    return built


def test_ops_compete_within_their_group() -> None:
    built, masks = relaxation(), Masks(SPACE.cells)
    masks.restrict("normal", torch.arange(14)[:, None] != 3)  # an edge without ops
    keep = torch.ones(14, 8, dtype=torch.bool)
    keep[4, 4:] = False  # an edge without ops that have parameters
    masks.restrict("normal", keep)
    arch = built.sample(masks)["normal"]
    assert arch.edge is None and arch.op.requires_grad
    for e, row in enumerate(built.alpha["normal"].tolist()):
        for group in (True, False):
            members = [c for c, op in enumerate(CELL.ops) if (op in FREE) == group and masks.lists("normal")[e][c]]
            total = sum(math.exp(row[c]) for c in members)
            for c in members:
                assert float(arch.op[e, c]) == pytest.approx(math.exp(row[c]) / total, rel=1e-9)
    assert arch.op.sum(-1).tolist() == pytest.approx([0 if e == 3 else 1 if e == 4 else 2 for e in range(14)])


def test_ops_of_the_first_group_can_be_set() -> None:
    built = Topology(SPACE.cells, parameter_free=["none"], init_std=1.0)
    op = built.sample(Masks(SPACE.cells))["normal"].op
    assert op[:, 0].tolist() == [1.0] * 14 and op[:, 1:].sum(-1).tolist() == pytest.approx([1.0] * 14)


def test_edges_are_weighted_by_their_pairs() -> None:
    built = relaxation(topology=True)
    built.tau = 0.7
    weights, beta = built.edge_weights("normal").tolist(), built.beta["normal"].tolist()
    for node in CELL.nodes:
        edges = CELL.into(node)
        pairs = list(combinations(edges, 2))
        logits = [beta.pop(0) / 0.7 for _ in pairs]
        total = sum(map(math.exp, logits))
        for edge in edges:
            expected = sum(math.exp(x) / total for x, pair in zip(logits, pairs, strict=True) if edge in pair)
            assert weights[edge] == pytest.approx(expected, rel=1e-9)
        assert sum(weights[e] for e in edges) == pytest.approx(2)
    assert not beta


def test_ops_have_a_temperature_of_their_own_in_the_topology_search() -> None:
    built = relaxation(topology=True)
    built.tau, built.op_scale = 10.0, 0.05
    op = built.sample(Masks(SPACE.cells))["reduce"].op
    torch.testing.assert_close(op, (built.alpha["reduce"] / 0.5).softmax(-1))


def test_genotype_has_the_best_pair_of_each_node() -> None:
    built, masks = relaxation(topology=True), Masks(SPACE.cells)
    for beta, best in ((built.beta["normal"], (0, 2, 4, 9)), (built.beta["reduce"], (0, 0, 0, 0))):
        beta.data.zero_()
        for part, i in zip(beta.data.split([1, 3, 6, 10]), best, strict=True):
            part[i] = 1.0
    found = built.mode(masks, dict.fromkeys(SPACE.cells, discretize))
    sources = {n: [{s for _, s, t in c.links if t == node} for node in range(2, 6)] for n, c in found.items()}
    assert sources == {"normal": [{0, 1}, {1, 2}, {1, 3}, {3, 4}], "reduce": [{0, 1}] * 4}
    alpha = built.alpha["normal"].detach()
    for op, source, target in found["normal"].links:
        row = alpha[CELL.edges.index((source, target))].clone()
        row[CELL.ops.index("none")] = -torch.inf
        assert CELL.ops[int(row.argmax())] == op


def test_space_without_pairs_is_refused() -> None:
    with pytest.raises(NasError, match="keep all their edges. Use space=darts"):
        Topology(NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1).cells)
