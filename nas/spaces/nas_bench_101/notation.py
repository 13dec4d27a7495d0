"""Strings of NAS-Bench-101: ``ModelSpec(matrix=[[0, 1, ...], ...], ops=['input', ..., 'output'])``.

A genotype is one cell of seven vertices. Vertex 0 is node 0, the output is node 11. Vertex v between them is a pair of
nodes: node 2v-1 adds its inputs, and the op on the edge to node 2v is the op of the vertex. Edges between vertices have
the op ``connect`` or ``none``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas.architecture.cell import NONE, Cell, CellGenotype, Genotype, Link
from nas.spaces.check_inputs import require_text
from nas.spaces.nas_bench_101.graph import INPUT, MAX_VERTICES, OPS, OUTPUT, Graph
from nas.utils.errors import NasError
from nas.utils.literals import read_call

NOTATION = "nas_bench_101"
CONNECT = "connect"
INNER = range(1, MAX_VERTICES - 1)
LAST = MAX_VERTICES - 1
OUT_NODE = 2 * LAST - 1
EXAMPLE = "ModelSpec(matrix=[[0, 1, 0], [0, 0, 1], [0, 0, 0]], ops=['input', 'conv3x3-bn-relu', 'output'])"
MAX_GIVEN = 100
"""Bound of the vertices of a given string."""


def _begin(vertex: int) -> int:
    """Return the node that adds the inputs of a vertex."""
    return 2 * vertex - 1


def _end(vertex: int) -> int:
    """Return the node with the output of a vertex."""
    return 2 * vertex


EDGES: tuple[tuple[int, int], ...] = tuple(
    edge
    for vertex in range(1, MAX_VERTICES)
    for edge in (
        *((_end(source), _begin(vertex)) for source in range(vertex)),
        *([(_begin(vertex), _end(vertex))] if vertex in INNER else []),
    )
)
_IS_OP = tuple(source % 2 == 1 for source, _ in EDGES)
CELL = Cell(
    EDGES,
    (NONE, CONNECT, *OPS),
    output=(OUT_NODE,),
    keeps_none=True,
    excluded=frozenset((row, op) for row, is_op in enumerate(_IS_OP) for op in ((NONE, CONNECT) if is_op else OPS)),
)
"""Table of all cells; the limits of ``graph`` exclude some of them."""


def to_genotype(graph: Graph) -> Genotype:
    """Return the genotype of a graph of at most seven vertices; vertices without edges are inserted before its output.

    Raises NasError if the graph has more vertices.
    """
    count = len(graph.ops)
    if count > MAX_VERTICES:
        raise NasError(
            f"genotype: the cell has {count} vertices, and at most {MAX_VERTICES} are supported. Remove vertices "
            "that are on no path from input to output."
        )
    place = [*range(count - 1), LAST]
    connected = {(place[s], place[t]) for s in range(count) for t in range(count) if graph.matrix[s][t]}
    ops = [*graph.ops[1:-1], *[OPS[0]] * (MAX_VERTICES - count)]
    links = []
    for (source, target), is_op in zip(EDGES, _IS_OP, strict=True):
        if is_op:
            links.append(Link(ops[source // 2], source, target))
        else:
            edge = (source // 2, (target + 1) // 2)
            links.append(Link(CONNECT if edge in connected else NONE, source, target))
    return Genotype(NOTATION, {"cell": CellGenotype(tuple(links), (OUT_NODE,))})


def to_graph(genotype: Genotype) -> Graph:
    """Return the graph of seven vertices of a genotype. Raises NasError if it is not of this space."""
    cell = genotype.cells.get("cell")
    if genotype.space != NOTATION or cell is None or len(genotype.cells) != 1:
        raise NasError(
            f"genotype of space '{genotype.space}' (cells {', '.join(genotype.cells)}) is not of space {NOTATION}. "
            f"Give {EXAMPLE}."
        )
    op_of_edge = {(link.source, link.target): link.op for link in cell.links}
    if len(cell.links) != len(EDGES) or set(op_of_edge) != set(EDGES) or cell.output != (OUT_NODE,):
        raise NasError(
            f"genotype: space {NOTATION} has one op on each of {len(EDGES)} edges and the output {OUT_NODE}, found "
            f"{len(cell.links)} links and the output {cell.output}. Give {EXAMPLE}."
        )
    matrix = [[0] * MAX_VERTICES for _ in range(MAX_VERTICES)]
    ops = [INPUT, *[""] * len(INNER), OUTPUT]
    for ((source, target), op), is_op in zip(((edge, op_of_edge[edge]) for edge in EDGES), _IS_OP, strict=True):
        if op not in (OPS if is_op else (NONE, CONNECT)):
            choices = ", ".join(OPS if is_op else (NONE, CONNECT))
            raise NasError(
                f"genotype: op '{op}' is not a choice on edge {source}->{target} of space {NOTATION}. Choose from "
                f"{choices}."
            )
        if is_op:
            ops[source // 2 + 1] = op
        else:
            matrix[source // 2][(target + 1) // 2] = int(op == CONNECT)
    return Graph(tuple(map(tuple, matrix)), tuple(ops))


def drawn_cell(graph: Graph) -> CellGenotype:
    """Return a graph as links for a figure: the edges of the graph, and the op of each vertex."""
    last = len(graph.ops) - 1
    links = []
    for vertex in range(1, last + 1):
        links += [Link(CONNECT, _end(s), _begin(vertex)) for s in range(vertex) if graph.matrix[s][vertex]]
        links += [Link(graph.ops[vertex], _begin(vertex), _end(vertex))] if vertex < last else []
    return CellGenotype(tuple(links), (_begin(last),))


def native(genotype: Genotype) -> str:
    """Return the string of a genotype, with all seven vertices."""
    return format_graph(to_graph(genotype))


def format_graph(graph: Graph) -> str:
    """Return the string of a graph."""
    return f"ModelSpec(matrix={[list(row) for row in graph.matrix]}, ops={list(graph.ops)})"


def parse(text: str) -> Genotype:
    """Parse ``ModelSpec(matrix=[[...], ...], ops=[...])`` without executing it. Raises NasError if it is malformed."""
    require_text(text)
    return to_genotype(parse_graph(text))


def parse_graph(text: str) -> Graph:
    """Return the graph of a string, with its number of vertices. Raises NasError if the string is malformed."""
    call = read_call(text, "ModelSpec")
    if call is None:
        raise NasError(f"genotype={text}: not a cell of {NOTATION}. Write {EXAMPLE}.")
    fields = {**dict(zip(("matrix", "ops"), call.arguments, strict=False)), **call.keywords}
    matrix: Any = fields.get("matrix")
    ops: Any = fields.get("ops")
    if not _is_list(matrix) or not _is_list(ops) or not all(map(_is_list, matrix)):
        raise NasError(f"genotype={text}: matrix must be a list of rows and ops a list of names. Write {EXAMPLE}.")
    _check(matrix, ops, text)
    return Graph(tuple(map(tuple, matrix)), tuple(ops))


def _check(matrix: Sequence[Sequence[object]], ops: Sequence[object], text: str) -> None:
    count = len(ops)
    entries = [(s, t, entry) for s, row in enumerate(matrix) for t, entry in enumerate(row)]
    if not 2 <= count <= MAX_GIVEN or len(matrix) != count or any(len(row) != count for row in matrix):
        problem = f"matrix must have one row and one column for each of the {count} ops"
    elif any(type(entry) is not int or entry not in (0, 1) or (entry and t <= s) for s, t, entry in entries):
        problem = "matrix must be upper triangular, of 0 and 1"
    elif (ops[0], ops[-1]) != (INPUT, OUTPUT) or any(op not in OPS for op in ops[1:-1]):
        problem = f"ops must be '{INPUT}', then {', '.join(OPS)}, then '{OUTPUT}'"
    else:
        return
    raise NasError(f"genotype={text}: {problem}. Write {EXAMPLE}.")


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)
