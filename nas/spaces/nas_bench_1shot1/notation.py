"""Genotypes of NAS-Bench-1Shot1 and their strings: ``nas_bench_1shot1:ModelSpec(matrix=[...], ops=[...])``.

A genotype has one cell type for each vertex and one for the output. In the cell of vertex v, node v adds the parents
that the vertex keeps, which are the vertices 0 to v-1. The op on the edge to node v+1 is that of the vertex. The string
contains the graph with all vertices in the notation of NAS-Bench-101.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link
from nas.spaces.check_inputs import require_text
from nas.spaces.nas_bench_1shot1.subspaces import PARENTS, build_graph
from nas.spaces.nas_bench_101.graph import OPS, Graph
from nas.spaces.nas_bench_101.notation import CONNECT, format_graph, parse_graph
from nas.utils.errors import NasError

NOTATION = "nas_bench_1shot1"
PATTERN = re.compile(rf"{NOTATION}:")
OUTPUT_CELL = "output"


def vertex_cell(vertex: int) -> str:
    """Return the name of the cell type of a vertex, 1 for the first one after the input."""
    return f"vertex_{vertex}"


def cells_of(subspace: int) -> Mapping[str, Cell]:
    """Return the tables of a subspace: rows for the parents of each vertex and for its op."""
    *inner, last = PARENTS[subspace]
    cells = {vertex_cell(v): _vertex(v, parents) for v, parents in enumerate(inner, 1)}
    end = len(inner) + 1
    edges = tuple((source, end) for source in range(end))
    return {**cells, OUTPUT_CELL: Cell(edges, (CONNECT,), (end,), last, fixed_inputs=True)}


def _vertex(vertex: int, parents: int) -> Cell:
    edges = (*((source, vertex) for source in range(vertex)), (vertex, vertex + 1))
    excluded = {(e, op) for e in range(vertex) for op in OPS} | {(vertex, CONNECT)}
    return Cell(edges, (CONNECT, *OPS), (vertex + 1,), parents, excluded=frozenset(excluded), fixed_inputs=True)


def subspace_of(genotype: Genotype) -> int:
    """Return the subspace of a genotype. Raises NasError if no subspace has its numbers of parents."""
    names = [*(name for name in genotype.cells if name != OUTPUT_CELL), OUTPUT_CELL]
    if genotype.space == NOTATION and names == [*map(vertex_cell, range(1, len(names))), OUTPUT_CELL]:
        parent_counts = tuple(
            sum(link.target == v for link in genotype.cells[name].links if link.op == CONNECT)
            for v, name in enumerate(names, 1)
            if name in genotype.cells
        )
        for subspace, parents in PARENTS.items():
            if parent_counts == parents:
                return subspace
        numbers = f" Its vertices have {', '.join(map(str, parent_counts))} parents."
    else:
        numbers = ""
    raise NasError(
        f"genotype of space '{genotype.space}' (cells {', '.join(genotype.cells)}) is in no subspace of "
        f"NAS-Bench-1Shot1.{numbers} Use {' or '.join(', '.join(map(str, p)) for p in PARENTS.values())} parents, or "
        "write ModelSpec(...) without a prefix for a cell of space=nas_bench_101."
    )


def to_graph(genotype: Genotype) -> Graph:
    """Return the graph of a genotype with all vertices, also those that do not reach the output.

    Raises NasError if the genotype is of no subspace.
    """
    inner = range(1, len(PARENTS[subspace_of(genotype)]))
    cells = [genotype.cells[name] for name in (*map(vertex_cell, inner), OUTPUT_CELL)]
    parents = tuple(tuple(sorted(link.source for link in cell.links if link.op == CONNECT)) for cell in cells)
    ops = tuple(link.op for cell in cells for link in cell.links if link.op != CONNECT)
    return build_graph(parents, ops)


def from_graph(graph: Graph) -> Genotype:
    """Return the genotype of a graph with all vertices. Raises NasError if it is of no subspace."""
    count = len(graph.ops)
    cells = {}
    for target in range(1, count):
        links = [Link(CONNECT, source, target) for source in range(target) if graph.matrix[source][target]]
        if target < count - 1:
            links.append(Link(graph.ops[target], target, target + 1))
        last = target == count - 1
        name = OUTPUT_CELL if last else vertex_cell(target)
        cells[name] = CellGenotype(tuple(links), (target if last else target + 1,))
    genotype = Genotype(NOTATION, cells)
    subspace_of(genotype)
    return genotype


def native(genotype: Genotype) -> str:
    """Return the string of a genotype."""
    return f"{NOTATION}:{format_graph(to_graph(genotype))}"


def parse(text: str) -> Genotype:
    """Parse a string of ``native``, also without its prefix. Raises NasError if it is malformed or of no subspace."""
    require_text(text)
    return from_graph(parse_graph(text.strip().removeprefix(f"{NOTATION}:")))
