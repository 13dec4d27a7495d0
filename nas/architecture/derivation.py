"""Alternatives to ``discretize`` for deriving a genotype from scores (FairDARTS, SNAS, P-DARTS)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from torch import Tensor

from nas.architecture.cell import NONE, Cell, CellGenotype, Link, discretize

Ranked = list[tuple[float, int, str]]


def threshold(
    cell: Cell,
    scores: Tensor,
    edge_scores: Tensor | None = None,
    threshold: float = 0.85,
    keep: Literal["sparse", "edge"] = "sparse",
) -> CellGenotype:
    """FairDARTS' derivations (Chu et al., ECCV 2020): what scores at least ``threshold`` is kept.

    "sparse": of each node the ``cell.inputs`` strongest edges, each with its best op, as far as those reach it.
    "edge": the best two ops of every edge that reach it. Nodes that get no link drop out of the output, and with
    them what they would have fed. Where nothing is left, the strongest link of an input is kept: a cell must
    compute something. In a space whose edges may choose ``none`` an edge keeps one op, or ``none``; the only edge
    into a node, as in a chain of layers, keeps its best op whatever that scores.
    """
    table = (scores if edge_scores is None else scores * edge_scores[:, None]).detach().cpu().tolist()
    kept: Ranked = []
    every: Ranked = []
    for node in cell.nodes:
        edges: list[Ranked] = []
        for e in cell.into(node):
            found = [(table[e][cell.ops.index(op)], e, op) for op in cell.choices(e) if op != NONE]
            edges += [sorted(found, key=lambda entry: -entry[0])] if found else []
        every += [ranked[0] for ranked in edges if cell.edges[ranked[0][1]][0] not in cell.nodes]
        if keep == "sparse" and cell.inputs is not None:
            edges = sorted(edges, key=lambda ranked: -ranked[0][0])[: cell.inputs]
        alone = len(cell.into(node)) == 1 and not cell.keeps_none
        most = 2 if keep == "edge" and not (cell.keeps_none or alone) else 1
        kept += [entry for ranked in edges for entry in ranked[:most] if entry[0] >= threshold or alone]
    if cell.keeps_none:
        ops = {e: op for _, e, op in kept}
        links = [Link(ops.get(e, NONE), *edge) for e, edge in enumerate(cell.edges)]
        return CellGenotype(tuple(links), cell.output)
    links = reachable_links(Link(op, *cell.edges[e]) for _, e, op in kept)
    if not links:
        _, e, op = max(every, key=lambda entry: entry[0])
        links = [Link(op, *cell.edges[e])]
    targets = {link.target for link in links}
    return CellGenotype(tuple(links), tuple(node for node in cell.output if node in targets))


def reachable_links(links: Iterable[Link], inputs: int = 2) -> list[Link]:
    """Return the links whose source is reachable from the ``inputs`` of the cell, sorted by target."""
    reached = set(range(inputs))
    found = []
    for link in sorted(links, key=lambda link: link.target):
        if link.source in reached:
            found.append(link)
            reached.add(link.target)
    return found


def edge_all(cell: Cell, scores: Tensor, edge_scores: Tensor | None = None) -> CellGenotype:
    """Each edge keeps its strongest op, ``none`` included; all edges are kept (SNAS, Xie et al., ICLR 2019).

    Where a genotype cannot hold ``none``, an edge that chose it has no link, a node without links is left out of
    the cell's output, and so are the links that leave it: they would carry zeros. If nothing is left, the
    strongest link that reads an input stays. Links of a node are listed strongest first, as SNAS lists them.
    """
    if cell.keeps_none:
        return discretize(replace(cell, inputs=None), scores, edge_scores)
    table = (scores if edge_scores is None else scores * edge_scores[:, None]).detach().cpu().tolist()
    filled = {source for source, _ in cell.edges} - set(cell.nodes)
    links: list[Link] = []
    for node in cell.nodes:
        found: list[tuple[float, Link]] = []
        for e in cell.into(node):
            left = [op for op in cell.ops if (e, op) not in cell.excluded]
            best = max(left, key=lambda op: table[e][cell.ops.index(op)])
            if best != NONE and cell.edges[e][0] in filled:
                found.append((table[e][cell.ops.index(best)], Link(best, cell.edges[e][0], node)))
        filled |= {node} if found else set()
        links += [link for _, link in sorted(found, key=lambda pair: -pair[0])]
    if not links:
        links = [_strongest(cell, table)]
    reached = {link.target for link in links}
    return CellGenotype(tuple(links), tuple(node for node in cell.output if node in reached))


def _strongest(cell: Cell, table: list[list[float]]) -> Link:
    inputs = [e for e, (source, target) in enumerate(cell.edges) if source not in cell.nodes and target in cell.output]
    pairs = [(table[e][cell.ops.index(op)], e, op) for e in inputs for op in cell.choices(e)]
    _, e, op = max(pairs, key=lambda pair: pair[0])
    return Link(op, *cell.edges[e])


def restricted(
    cell: Cell, scores: Tensor, edge_scores: Tensor | None = None, max_skips: int = 2, op: str = "skip_connect"
) -> CellGenotype:
    """Derive a genotype from ``scores`` [edges, ops] with ``op`` at most ``max_skips`` times (P-DARTS, ICCV 2019).

    While there are too many, the weakest chosen one loses its score, and ops and edges are derived anew. Where an edge
    has no other op left it may still be taken, as the weakest of its node.
    """
    left = scores.detach().clone()
    while True:
        found = discretize(cell, left, edge_scores)
        rows = [cell.edges.index((link.source, link.target)) for link in found.links if link.op == op]
        column = cell.ops.index(op) if rows else 0
        chosen = sorted((float(left[row, column]), row) for row in rows if float(left[row, column]) > 0)
        if len(rows) <= max_skips or not chosen:
            return found
        left[chosen[0][1], column] = 0.0
