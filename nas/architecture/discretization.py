"""Discretization: from scores [edges, ops] to a cell genotype, by the rules of DARTS, FairDARTS, SNAS and P-DARTS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from torch import Tensor

from nas.architecture.cell import NONE, Cell, CellGenotype, Link
from nas.utils.ranges import COUNT_OR_ZERO, PROBABILITY, check_ranges

ScoredOp = tuple[float, int, str]
"""Score, edge and op of an entry of the table."""


def discretize(cell: Cell, scores: Tensor, edge_scores: Tensor | None = None) -> CellGenotype:
    """Keep the strongest edges of each node, each with its best op; excluded entries are never chosen (DARTS).

    Each node keeps ``cell.inputs`` edges (None: all). The strength of an edge is the score of its best op. The links of
    a node are sorted by strength if edges are selected, else (and with ``cell.fixed_inputs``) by edge. Ties select the
    first row and the first column.

    Args:
        cell: the table.
        scores: [edges, ops].
        edge_scores: [edges], multiplied with the scores if given.
    """
    table = _table(scores, edge_scores)
    links: list[Link] = []
    for node in cell.nodes:
        candidates: list[ScoredOp] = []
        for e in cell.into(node):
            ranked = sorted(((table[e][cell.ops.index(op)], e, op) for op in cell.choices(e)), key=lambda s: -s[0])
            candidates += ranked if cell.repeats else ranked[:1]
        if cell.inputs is not None:
            candidates = sorted(candidates, key=lambda scored: -scored[0])[: cell.inputs]
        if cell.fixed_inputs:
            candidates.sort(key=lambda scored: scored[1])
        links += [Link(op, cell.edges[e][0], node) for _, e, op in candidates]
    return CellGenotype(tuple(links), cell.output)


@check_ranges(threshold=PROBABILITY)
def discretize_by_threshold(
    cell: Cell,
    scores: Tensor,
    edge_scores: Tensor | None = None,
    threshold: float = 0.85,
    keep: Literal["sparse", "edge"] = "sparse",
) -> CellGenotype:
    """Keep the ops whose score is at least ``threshold``: FairDARTS (Chu et al., ECCV 2020).

    A node without links is removed from the output, together with the links that read it. If no link remains, the
    strongest link from an input is kept. In a space whose edges may choose ``none``, an edge keeps one op or ``none``.
    The only edge into a node, as in a chain of layers, keeps its best op at any score.

    Args:
        cell: the table.
        scores: [edges, ops].
        edge_scores: [edges], multiplied with the scores if given.
        threshold: the lowest score to keep.
        keep: "sparse" keeps of each node at most the ``cell.inputs`` strongest edges, each with its best op. "edge"
            keeps the best two ops of every edge; of equal ops the last ones, as published.
    """
    table = _table(scores, edge_scores)
    kept: list[ScoredOp] = []
    from_inputs: list[ScoredOp] = []
    for node in cell.nodes:
        edges: list[list[ScoredOp]] = []
        for e in cell.into(node):
            scored = [(table[e][cell.ops.index(op)], e, op) for op in cell.choices(e) if op != NONE]
            edges += [sorted(scored, key=lambda entry: -entry[0])] if scored else []
        from_inputs += [ranked[0] for ranked in edges if cell.edges[ranked[0][1]][0] not in cell.nodes]
        if keep == "sparse" and cell.inputs is not None:
            edges = sorted(edges, key=lambda ranked: -ranked[0][0])[: cell.inputs]
        only_edge = len(cell.into(node)) == 1 and not cell.keeps_none
        limit = 2 if keep == "edge" and not (cell.keeps_none or only_edge) else 1
        best = [ranked[:1] if limit == 1 else _last_two(ranked) for ranked in edges]
        kept += [entry for entries in best for entry in entries if entry[0] >= threshold or only_edge]
    if cell.keeps_none:
        ops = {e: op for _, e, op in kept}
        links = [Link(ops.get(e, NONE), *edge) for e, edge in enumerate(cell.edges)]
        return CellGenotype(tuple(links), cell.output)
    links = reachable_links((Link(op, *cell.edges[e]) for _, e, op in kept), inputs=min(cell.nodes))
    if not links:
        _, e, op = max(from_inputs, key=lambda entry: entry[0])
        links = [Link(op, *cell.edges[e])]
    targets = {link.target for link in links}
    return CellGenotype(tuple(links), tuple(node for node in cell.output if node in targets))


def _last_two(ranked: list[ScoredOp]) -> list[ScoredOp]:
    """Return the two strongest ops of an edge as FairDARTS lists them: the weaker one first, of equals the last ones.

    Args:
        ranked: scored ops, the strongest first, equals in the order of the table.
    """
    return sorted(ranked, key=lambda entry: entry[0])[-2:]


def reachable_links(links: Iterable[Link], inputs: int = 2) -> list[Link]:
    """Return the links whose source is reachable from the ``inputs`` of the cell, sorted by target."""
    reached = set(range(inputs))
    reachable = []
    for link in sorted(links, key=lambda link: link.target):
        if link.source in reached:
            reachable.append(link)
            reached.add(link.target)
    return reachable


def discretize_all_edges(cell: Cell, scores: Tensor, edge_scores: Tensor | None = None) -> CellGenotype:
    """Keep all edges, each with its strongest op, ``none`` included (SNAS, Xie et al., ICLR 2019).

    Nodes that read a single node (recurrent cells) or a fixed number of nodes keep their strongest edges
    (``discretize``).

    If a genotype cannot contain ``none``, an edge that chose it has no link. A node without links is removed from the
    output, together with the links that read it, because they would carry zeros. If no link remains, the strongest link
    from an input is kept. The links of a node are sorted by strength, as in SNAS. The arguments are those of
    ``discretize``.
    """
    if cell.keeps_none:
        return discretize(replace(cell, inputs=None), scores, edge_scores)
    if cell.inputs == 1 or cell.fixed_inputs:
        return discretize(cell, scores, edge_scores)
    table = _table(scores, edge_scores)
    nonzero = {source for source, _ in cell.edges} - set(cell.nodes)
    links: list[Link] = []
    for node in cell.nodes:
        scored: list[tuple[float, Link]] = []
        for e in cell.into(node):
            ops = [op for op in cell.ops if (e, op) not in cell.excluded]
            best = max(ops, key=lambda op: table[e][cell.ops.index(op)])
            if best != NONE and cell.edges[e][0] in nonzero:
                scored.append((table[e][cell.ops.index(best)], Link(best, cell.edges[e][0], node)))
        nonzero |= {node} if scored else set()
        links += [link for _, link in sorted(scored, key=lambda pair: -pair[0])]
    if not links:
        links = [_strongest_input_link(cell, table)]
    reached = {link.target for link in links}
    return CellGenotype(tuple(links), tuple(node for node in cell.output if node in reached))


def _strongest_input_link(cell: Cell, table: list[list[float]]) -> Link:
    """Return the strongest link from an input of the cell to one of its output nodes."""
    inputs = [e for e, (source, target) in enumerate(cell.edges) if source not in cell.nodes and target in cell.output]
    scored = [(table[e][cell.ops.index(op)], e, op) for e in inputs for op in cell.choices(e)]
    _, e, op = max(scored, key=lambda entry: entry[0])
    return Link(op, *cell.edges[e])


@check_ranges(max_skips=COUNT_OR_ZERO)
def discretize_with_max_skips(
    cell: Cell, scores: Tensor, edge_scores: Tensor | None = None, max_skips: int = 2, op: str = "skip_connect"
) -> CellGenotype:
    """Discretize with ``op`` on at most ``max_skips`` links (P-DARTS, Chen et al., ICCV 2019).

    While there are too many, the weakest chosen ``op`` gets the score 0 and the genotype is derived again. An edge
    without another candidate may still keep ``op``, as the weakest edge of its node.

    Args:
        cell, scores, edge_scores: see ``discretize``.
        max_skips: largest number of links with ``op``.
        op: name of the op.
    """
    remaining = scores.detach().clone()
    while True:
        genotype = discretize(cell, remaining, edge_scores)
        rows = [cell.edges.index((link.source, link.target)) for link in genotype.links if link.op == op]
        column = cell.ops.index(op) if rows else 0
        chosen = sorted((float(remaining[row, column]), row) for row in rows if float(remaining[row, column]) > 0)
        if len(rows) <= max_skips or not chosen:
            return genotype
        remaining[chosen[0][1], column] = 0.0


def _table(scores: Tensor, edge_scores: Tensor | None) -> list[list[float]]:
    """Return the scores, multiplied with those of their edges, as Python numbers."""
    scores = scores if edge_scores is None else scores * edge_scores[:, None]
    table: list[list[float]] = scores.detach().cpu().tolist()
    return table
