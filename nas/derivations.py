"""Ways from scores to a genotype, beside ``nas.cells.discretise``."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from nas.cells import NONE, Cell, CellGenotype, Link, discretise


def edge_all(cell: Cell, scores: Tensor, edge_scores: Tensor | None = None) -> CellGenotype:
    """Each edge keeps its strongest op, ``none`` included; all edges are kept (SNAS, Xie et al., ICLR 2019).

    Where a genotype cannot hold ``none``, an edge that chose it has no link, a node without links is left out of
    the cell's output, and so are the links that leave it: they would carry zeros. If nothing is left, the
    strongest link that reads an input stays. Links of a node are listed strongest first, as SNAS lists them.
    """
    if cell.keeps_none:
        return discretise(replace(cell, inputs=None), scores, edge_scores)
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
