"""FairDARTS: gates, the zero-one loss, derivation by a threshold, and genotypes whose nodes have 0, 1 or 2 links."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link
from nas.architecture.discretization import discretize_by_threshold
from nas.architecture.masks import Masks
from nas.nn.macs import count_macs, count_parameters
from nas.relaxations.sigmoid import Sigmoid
from nas.spaces.darts.notation import DARTS_OPS, EDGES, NODES, from_triples, native, parse
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import CELL, edge_ops
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError

TABLE = Cell(EDGES, DARTS_OPS, NODES, 2)
SMALL: dict[str, Cell] = {
    "normal": Cell(((0, 2), (1, 2), (0, 3)), ("a", "b", "c"), (2, 3)),
    "reduce": Cell(((0, 2), (1, 2)), ("a", "b", "c"), (2,), excluded=frozenset({(0, "b"), (1, "a"), (1, "c")})),
}


def gates(norm: Any = "l2") -> Sigmoid:
    torch.manual_seed(0)
    relaxation = Sigmoid(SMALL, norm, zero_one_weight=10.0).double()
    for alpha in relaxation.alpha.values():
        alpha.data.normal_(0, 2)
    return relaxation


def test_gates_start_at_one_half_and_do_not_compete() -> None:
    masks = Masks(SMALL)
    start = Sigmoid(SMALL)
    for name, weights in start.sample(masks).items():
        assert torch.equal(weights.op, 0.5 * SMALL[name].allowed())
    torch.testing.assert_close(start.entropy(masks), torch.tensor(math.log(2)))
    relaxation = gates()
    alpha = relaxation.alpha["normal"]
    jacobian = torch.autograd.functional.jacobian(lambda a: relaxation.relax(a, masks.table("normal"))[0], alpha)
    diagonal = torch.diag(jacobian.reshape(9, 9))
    torch.testing.assert_close(jacobian.reshape(9, 9), torch.diag(diagonal))
    torch.testing.assert_close(diagonal, (1 / (2 + alpha.exp() + (-alpha).exp())).flatten().detach())


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_zero_one_loss(norm: str) -> None:
    """The mean over the gates that exist of both cells, and its slope, by hand."""
    relaxation = gates(norm)
    values, places = [], []
    for name, cell in SMALL.items():
        for e, op in itertools.product(range(len(cell.edges)), cell.ops):
            if (e, op) not in cell.excluded:
                places.append((name, e, cell.ops.index(op)))
                values.append(1 / (1 + math.exp(-relaxation.alpha[name][e, cell.ops.index(op)].item())))
    assert len(values) == 12
    loss = [(s - 0.5) ** 2 if norm == "l2" else abs(s - 0.5) for s in values]
    penalty = relaxation.penalty()
    assert math.isclose(float(penalty), -10 * sum(loss) / 12, rel_tol=1e-12)
    found = torch.autograd.grad(penalty, list(relaxation.alpha.values()))
    slopes = dict(zip(relaxation.alpha, found, strict=True))
    for (name, e, o), s in zip(places, values, strict=True):
        slope = 2 * (s - 0.5) if norm == "l2" else math.copysign(1, s - 0.5)
        assert math.isclose(float(slopes[name][e, o]), -10 / 12 * slope * s * (1 - s), rel_tol=1e-9)
    assert float(slopes["reduce"][0, 1]) == float(slopes["reduce"][1, 0]) == 0


def expected(scores: Tensor, rule: str) -> set[tuple[str, int, int]]:
    """What is kept, by trying all pairs of edges and all paths."""
    table = {
        (s, t): dict(zip(DARTS_OPS[1:], row[1:], strict=True))
        for (s, t), row in zip(EDGES, scores.tolist(), strict=True)
    }
    kept = set()
    for node in NODES:
        pairs = list(itertools.combinations(range(node), 2))
        best = max(pairs, key=lambda pair: sum(max(table[s, node].values()) for s in pair))
        for source in best if rule == "sparse" else range(node):
            ranked = sorted(table[source, node], key=lambda op: -table[source, node][op])
            ops = ranked[: 1 if rule == "sparse" else 2]
            kept |= {(op, source, node) for op in ops if table[source, node][op] >= 0.85}

    def fed(node: int) -> bool:
        return node < 2 or any(fed(source) for _, source, target in kept if target == node)

    return {link for link in kept if fed(link[1])}


@pytest.mark.parametrize("rule", ["sparse", "edge"])
def test_threshold_against_enumeration(rule: Any) -> None:
    torch.manual_seed(0)
    sizes = set()
    for spread in torch.linspace(0.5, 3, 60):
        scores = (torch.randn(14, 8, dtype=torch.float64) * spread).sigmoid()
        found = discretize_by_threshold(TABLE, scores, keep=rule)
        links = {(link.op, link.source, link.target) for link in found.links}
        assert len(links) == len(found.links)
        truth = expected(scores, rule)
        if truth:
            assert links == truth
            assert found.output == tuple(sorted({target for _, _, target in truth}))
        sizes |= {sum(link.target == node for link in found.links) for node in NODES}
        space = Darts((3, 8, 8), 10)
        genotype = Genotype("darts", {"normal": found, "reduce": found})
        space.check(genotype)
        assert space.parse(space.native(genotype)) == genotype
    assert sizes >= {0, 1, 2}


def test_a_cell_is_never_empty() -> None:
    scores = torch.full((14, 8), 0.5)
    scores[9, 3] = 0.7  # 0->5 is the strongest link of an input; 2->4 is stronger, but reads nothing
    scores[7, 4] = 0.8
    assert EDGES[7] == (2, 4) and EDGES[9] == (0, 5)
    assert discretize_by_threshold(TABLE, scores) == CellGenotype((Link("skip_connect", 0, 5),), (5,))


def test_a_missing_edge_is_none_on_nas_bench_201() -> None:
    scores = torch.full((6, 5), 0.5)
    scores[0, 0] = scores[1, 1] = scores[1, 2] = 0.9
    scores[5, 3] = 0.86
    for rule in ("sparse", "edge"):
        cell = discretize_by_threshold(CELL, scores, keep=rule)  # type: ignore[arg-type]
        genotype = Genotype("nas_bench_201", {"cell": cell})
        NasBench201((3, 8, 8), 10).check(genotype)
        expected = ("none", "skip_connect", "none", "none", "none", "nor_conv_3x3")
        assert edge_ops(genotype) == expected


LINKS = "[('sep_conv_3x3', 2, 0), ('max_pool_3x3', 4, 0), ('skip_connect', 5, 3), ('skip_connect', 5, 1)]"


def test_triples_leave_out_what_reads_a_missing_node() -> None:
    found = parse(f"Genotype(normal={LINKS}, normal_concat=range(2, 6), reduce={LINKS}, reduce_concat=[2, 5])")
    links = (Link("sep_conv_3x3", 0, 2), Link("max_pool_3x3", 0, 4), Link("skip_connect", 1, 5))
    assert found.cells == {"normal": CellGenotype(links, (2, 4, 5)), "reduce": CellGenotype(links, (2, 5))}
    assert parse(native(found)) == found


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ("[('sep_conv_3x3', 2, 0), ('skip_connect', 0)]", "not a triple"),
        ("[('conv', 2, 0)]", "unknown op 'conv'"),
        ("[('skip_connect', 2, 0), ('skip_connect', 2, 0)]", "twice"),
        ("[('skip_connect', 3, 2)]", r"is \(\)"),
        ("[('skip_connect', 9, 0)]", "output|no edge"),
    ],
)
def test_bad_triples_get_a_helpful_line(links: str, message: str) -> None:
    with pytest.raises(NasError, match=message):
        Darts((3, 8, 8), 10).check(parse(f"Genotype(normal={links}, reduce={LINKS})"))


def test_supernet_evaluates_nodes_without_links() -> None:
    torch.manual_seed(0)
    space = Darts((3, 8, 8), 10, channels=4, layers=3)
    found = parse(f"Genotype(normal={LINKS}, reduce={LINKS})")
    network = space.supernet().eval()
    arch = space.encode(found)
    assert [sum(row) for row in arch["normal"].active].count(1) == 3
    assert network(torch.randn(2, 3, 8, 8), arch).isfinite().all()
    cell = network.get_submodule("cells.0.graph")
    from nas.nn.edges.mixed import unbind_rows

    nodes = cell([torch.randn(2, 4, 8, 8)] * 2, unbind_rows(arch["normal"]))
    assert [node for node, value in nodes.items() if (value == 0).all()] == [3]


@pytest.mark.data
@pytest.mark.parametrize("letter", "abcdefg")
def test_published_networks_have_the_published_size(letter: str, shared: Path) -> None:
    """README of FairDARTS: parameters include the auxiliary head but in c; some figures are truncated, some rounded."""
    entry = json.loads((shared / "specs" / "genotypes.json").read_text())[f"FairDARTS_{letter}"]
    cells = {kind: from_triples(entry[kind], entry[f"{kind}_concat"]) for kind in ("normal", "reduce")}
    with torch.device("meta"):
        network = Darts((3, 32, 32), 10).network(Genotype("darts", cells))
    reported = entry["reported"]
    assert abs(count_parameters(network, auxiliary=letter != "c") / 1e6 - reported["cifar10_params_M"]) < 0.01
    madds = count_macs(network, (3, 32, 32)) / 1e6
    if letter == "a":  # its reported figure is of another counter
        assert abs(madds - entry["computed"]["cifar10_C36_L20_32x32"]["madds_M_conv_plus_linear"]) < 1e-3
    else:
        assert abs(madds - reported["cifar10_madds_M"]) < 1
