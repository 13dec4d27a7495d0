"""Genotypes by a threshold, whose nodes have as many links as deserve one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import Tensor

from nas.cells import NONE, Cell, CellGenotype, Link

Ranked = list[tuple[float, int, str]]


def threshold(
    cell: Cell,
    scores: Tensor,
    edge_scores: Tensor | None = None,
    least: float = 0.85,
    rule: Literal["sparse", "edge"] = "sparse",
) -> CellGenotype:
    """FairDARTS' derivations (Chu et al., ECCV 2020): what scores at least ``least`` is kept.

    "sparse": of each node the ``cell.inputs`` strongest edges, each with its best op, as far as those reach it.
    "edge": the best two ops of every edge that reach it. Nodes that get no link drop out of the output, and with
    them what they would have fed. Where nothing is left, the strongest link of an input is kept: a cell must
    compute something. In a space whose edges may choose ``none`` an edge keeps one op, or ``none``.
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
        if rule == "sparse" and cell.inputs is not None:
            edges = sorted(edges, key=lambda ranked: -ranked[0][0])[: cell.inputs]
        most = 2 if rule == "edge" and not cell.keeps_none else 1
        kept += [entry for ranked in edges for entry in ranked[:most] if entry[0] >= least]
    if cell.keeps_none:
        ops = {e: op for _, e, op in kept}
        links = [Link(ops.get(e, NONE), *edge) for e, edge in enumerate(cell.edges)]
        return CellGenotype(tuple(links), cell.output)
    links = alive(Link(op, *cell.edges[e]) for _, e, op in kept)
    if not links:
        _, e, op = max(every, key=lambda entry: entry[0])
        links = [Link(op, *cell.edges[e])]
    targets = {link.target for link in links}
    return CellGenotype(tuple(links), tuple(node for node in cell.output if node in targets))


def alive(links: Iterable[Link], inputs: int = 2) -> list[Link]:
    """The links, sorted by target, without those that read a node that nothing reaches."""
    reached = set(range(inputs))
    found = []
    for link in sorted(links, key=lambda link: link.target):
        if link.source in reached:
            found.append(link)
            reached.add(link.target)
    return found
