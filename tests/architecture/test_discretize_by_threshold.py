"""Tests of the discretization by threshold (FairDARTS), and of genotypes whose nodes have 0, 1 or 2 links."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link
from nas.architecture.discretization import discretize_by_threshold
from nas.nn.edges.mixed import unbind_rows
from nas.nn.macs import count_macs, count_parameters
from nas.spaces.darts.notation import DARTS_OPS, EDGES, NODES, from_triples, native, parse
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import CELL, edge_ops
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError

TABLE = Cell(EDGES, DARTS_OPS, NODES, 2)


def enumerate_links(scores: Tensor, keep: str) -> set[tuple[str, int, int]]:
    """Return the kept links by enumeration of all pairs of edges and all paths."""
    table = {
        (s, t): dict(zip(DARTS_OPS[1:], row[1:], strict=True))
        for (s, t), row in zip(EDGES, scores.tolist(), strict=True)
    }
    links = set()
    for node in NODES:
        pairs = list(itertools.combinations(range(node), 2))
        best = max(pairs, key=lambda pair: sum(max(table[s, node].values()) for s in pair))
        for source in best if keep == "sparse" else range(node):
            ranked = sorted(table[source, node], key=lambda op: -table[source, node][op])
            ops = ranked[: 1 if keep == "sparse" else 2]
            links |= {(op, source, node) for op in ops if table[source, node][op] >= 0.85}

    def has_input(node: int) -> bool:
        return node < 2 or any(has_input(source) for _, source, target in links if target == node)

    return {link for link in links if has_input(link[1])}


@pytest.mark.parametrize("keep", ["sparse", "edge"])
def test_discretize_by_threshold_matches_enumeration(keep: Any) -> None:
    torch.manual_seed(0)
    sizes = set()
    for spread in torch.linspace(0.5, 3, 60):
        scores = (torch.randn(14, 8, dtype=torch.float64) * spread).sigmoid()
        found = discretize_by_threshold(TABLE, scores, keep=keep)
        links = {(link.op, link.source, link.target) for link in found.links}
        assert len(links) == len(found.links)
        truth = enumerate_links(scores, keep)
        if truth:
            assert links == truth
            assert found.output == tuple(sorted({target for _, _, target in truth}))
        sizes |= {sum(link.target == node for link in found.links) for node in NODES}
        space = Darts((3, 8, 8), 10)
        genotype = Genotype("darts", {"normal": found, "reduce": found})
        space.check(genotype)
        assert space.parse(space.native(genotype)) == genotype
    assert sizes >= {0, 1, 2}


def test_discretize_by_threshold_keeps_at_least_one_link() -> None:
    scores = torch.full((14, 8), 0.5)
    scores[9, 3] = 0.7  # 0->5 is the strongest link from an input; 2->4 is stronger, but its source is empty
    scores[7, 4] = 0.8
    assert EDGES[7] == (2, 4) and EDGES[9] == (0, 5)
    assert discretize_by_threshold(TABLE, scores) == CellGenotype((Link("skip_connect", 0, 5),), (5,))


def test_discretize_by_threshold_replaces_missing_edges_by_none_on_nas_bench_201() -> None:
    scores = torch.full((6, 5), 0.5)
    scores[0, 0] = scores[1, 1] = scores[1, 2] = 0.9
    scores[5, 3] = 0.86
    for keep in ("sparse", "edge"):
        cell = discretize_by_threshold(CELL, scores, keep=keep)  # type: ignore[arg-type]
        genotype = Genotype("nas_bench_201", {"cell": cell})
        NasBench201((3, 8, 8), 10).check(genotype)
        expected = ("none", "skip_connect", "none", "none", "none", "nor_conv_3x3")
        assert edge_ops(genotype) == expected


LINKS = "[('sep_conv_3x3', 2, 0), ('max_pool_3x3', 4, 0), ('skip_connect', 5, 3), ('skip_connect', 5, 1)]"


def test_parse_triples_drops_links_from_missing_nodes() -> None:
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
def test_parse_triples_refuses_bad_links(links: str, message: str) -> None:
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
    nodes = cell([torch.randn(2, 4, 8, 8)] * 2, unbind_rows(arch["normal"]))
    assert [node for node, value in nodes.items() if (value == 0).all()] == [3]


@pytest.mark.data
@pytest.mark.parametrize("letter", "abcdefg")
def test_fair_darts_networks_have_published_sizes(letter: str, shared: Path) -> None:
    """Compare with the README of FairDARTS. Its parameters include the auxiliary head, except for network c."""
    entry = json.loads((shared / "specs" / "genotypes.json").read_text())[f"FairDARTS_{letter}"]
    cells = {kind: from_triples(entry[kind], entry[f"{kind}_concat"]) for kind in ("normal", "reduce")}
    with torch.device("meta"):
        network = Darts((3, 32, 32), 10).network(Genotype("darts", cells))
    reported = entry["reported"]
    assert abs(count_parameters(network, auxiliary=letter != "c") / 1e6 - reported["cifar10_params_M"]) < 0.01
    madds = count_macs(network, (3, 32, 32)) / 1e6
    if letter == "a":  # the reported number is from another counter
        assert abs(madds - entry["computed"]["cifar10_C36_L20_32x32"]["madds_M_conv_plus_linear"]) < 1e-3
    else:
        assert abs(madds - reported["cifar10_madds_M"]) < 1


def test_discretize_by_threshold_keeps_a_gate_at_the_threshold() -> None:
    scores = torch.full((14, 8), 0.25)
    scores[0, 4], scores[1, 5], scores[2, 5] = 0.5, 0.75, 0.4375
    found = discretize_by_threshold(TABLE, scores, threshold=0.5)
    assert found == CellGenotype((Link("sep_conv_5x5", 1, 2), Link("sep_conv_3x3", 0, 2)), (2,))


def test_threshold_per_edge_keeps_the_last_of_equal_ops_and_lists_the_stronger_one_last() -> None:
    """Values of ``parse`` of FairDARTS with ``threshold_edge``."""
    cell = Cell(((0, 2), (1, 2)), ("a", "b", "c", "d"), (2,), 2)
    scores = torch.tensor([[0.9, 0.9, 0.9, 0.1], [0.9, 0.95, 0.9, 0.9]])
    found = discretize_by_threshold(cell, scores, keep="edge")
    assert found.links == (Link("b", 0, 2), Link("c", 0, 2), Link("d", 1, 2), Link("b", 1, 2))
    assert discretize_by_threshold(cell, scores).links == (Link("b", 1, 2), Link("a", 0, 2))
