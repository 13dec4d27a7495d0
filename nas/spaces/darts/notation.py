"""Genotype strings of DARTS and their dialects: FairDARTS' triples, SNAS' full tables, NASNet's five nodes."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.architecture.discretization import reachable_links
from nas.nn.ops import OPS
from nas.utils.errors import NasError

NOTATION = "darts"
DARTS_OPS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
AUTODL_OPS = {
    f"{theirs}_sepc_{size}x{size}": f"{ours}_conv_{size}x{size}"
    for theirs, ours in (("dua", "sep"), ("dil", "dil"))
    for size in (3, 5)
}
"""Names of the convolutions in AutoDL-Projects -> names in this project."""


def nodes_of(count: int) -> tuple[int, ...]:
    """Return the numbers of ``count`` computed nodes; nodes 0 and 1 are the inputs of the cell."""
    return tuple(range(2, 2 + count))


def edges_of(count: int) -> tuple[tuple[int, int], ...]:
    """Return the edges (source, target) of a cell with ``count`` computed nodes; each reads all nodes before it."""
    return tuple((source, node) for node in nodes_of(count) for source in range(node))


NODES = nodes_of(4)
EDGES = edges_of(4)
TARGETS = {
    8: tuple(node for node in NODES for _ in range(2)),
    10: tuple(node for node in nodes_of(5) for _ in range(2)),
    14: tuple(node for node in NODES for _ in range(node)),
}
"""Target node of each pair of a list, by the length of the list: DARTS (8), NASNet (10), all edges of SNAS (14)."""


def native(genotype: Genotype) -> str:
    """Return ``Genotype(normal=[('op', source), ...], normal_concat=[...], reduce=[...], reduce_concat=[...])``.

    The list of a cell contains pairs if each node has two links, or each edge one (SNAS, ``none`` included). Otherwise
    it contains FairDARTS' triples ('op', target, source). A fixed reduction cell is None (GDAS FRC).
    """
    parts = []
    for kind in ("normal", "reduce"):
        if kind not in genotype.cells:
            parts.append(f"{kind}=None, {kind}_concat={list(NODES)}")
            continue
        links, output = genotype.cells[kind]
        ordered = sorted(links, key=lambda link: link.target)
        if TARGETS.get(len(links)) == tuple(link.target for link in ordered):
            entries = [f"('{op}', {source})" for op, source, _ in ordered]
        else:
            entries = [f"('{op}', {target}, {source})" for op, source, target in ordered]
        parts.append(f"{kind}=[{', '.join(entries)}], {kind}_concat={list(output)}")
    return f"Genotype({', '.join(parts)})"


def parse(text: str) -> Genotype:
    """Parse a genotype string without executing it. Raises NasError if it is malformed.

    ``reduce=None`` stands for a fixed reduction cell. Ops may have the names of AutoDL-Projects.
    """
    fields = _fields(text)
    cells: dict[str, CellGenotype] = {}
    for kind in ("normal", "reduce"):
        if kind not in fields:
            raise NasError(f"genotype={text}: '{kind}' is missing. Write Genotype(normal=[...], reduce=[...]).")
        pairs = fields[kind]
        if pairs is None and kind == "reduce":
            continue
        if pairs is None:
            raise NasError(f"genotype={text}: the normal cell is None. Only the reduction cell may be fixed.")
        output = fields.get(f"{kind}_concat") or list(nodes_of(5) if len(pairs) == 10 else NODES)
        nodes = [node for node in output if isinstance(node, int)]
        if len(nodes) != len(output):
            raise NasError(f"genotype={text}: {kind}_concat must list nodes, for example [2, 3, 4, 5].")
        parse_cell = from_triples if any(_is_triple(entry) for entry in pairs) else from_pairs
        cells[kind] = parse_cell(pairs, nodes, text)
    return Genotype(NOTATION, cells)


def from_pairs(pairs: Iterable[object], output: Iterable[int], text: str = "") -> CellGenotype:
    """Return the cell genotype of a list of pairs (op, source). Raises NasError if the list is malformed.

    8 pairs (DARTS) or 10 pairs (NASNet) are two links per node. 14 pairs are an op for each edge, ``none`` included
    (SNAS).
    """
    links: list[tuple[str, int]] = []
    for pair in pairs:
        if not (isinstance(pair, Sequence) and len(pair) == 2 and isinstance(pair[1], int)):
            raise NasError(f"genotype={text}: '{pair}' is not a pair (op, source).")
        links.append((_op(pair[0], text), pair[1]))
    if len(links) not in TARGETS:
        raise NasError(
            f"genotype={text}: a cell of the DARTS space has 8 links, found {len(links)}. Write 8 links, 10 for five "
            "nodes, or 14 for an op on every edge."
        )
    targets = TARGETS[len(links)]
    return CellGenotype(
        tuple(Link(op, source, target) for (op, source), target in zip(links, targets, strict=True)), tuple(output)
    )


def from_triples(triples: Iterable[object], output: Iterable[int], text: str = "") -> CellGenotype:
    """Return the cell genotype of FairDARTS' list of (op, target, source) triples, any number per node.

    As in its networks, a node without links is removed from the output, together with the links that read it. Raises
    NasError if the list is malformed.
    """
    links = []
    for triple in triples:
        if not (isinstance(triple, Sequence) and _is_triple(triple)):
            raise NasError(f"genotype={text}: '{triple}' is not a triple (op, target, source).")
        links.append(Link(_op(triple[0], text), triple[2], triple[1]))
    reachable = reachable_links(links)
    targets = {link.target for link in reachable}
    return CellGenotype(tuple(reachable), tuple(node for node in output if node in targets))


def _is_triple(entry: object) -> bool:
    return isinstance(entry, Sequence) and len(entry) == 3 and all(isinstance(node, int) for node in entry[1:])


def _op(op: object, text: str) -> str:
    """Return the project's name of an op. Raises NasError if it is unknown."""
    name = AUTODL_OPS.get(str(op), str(op))
    if name not in (*OPS, "none"):
        raise NasError(f"genotype={text}: unknown op '{op}'. Choose from {', '.join(OPS)}.")
    return name


def _fields(text: str) -> dict[str, list[object] | None]:
    """Return the arguments of ``Genotype(...)`` without executing it."""
    error = NasError(
        f"genotype={text}: not a DARTS genotype. Write Genotype(normal=[('op', source), ...], reduce=[...])."
    )
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise error from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "Genotype":
        raise error
    names = ("normal", "normal_concat", "reduce", "reduce_concat")
    values = dict(zip(names, call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg in names}
    return {str(name): None if _is_none(value) else _literal(value, error) for name, value in values.items()}


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _literal(node: ast.expr, error: NasError) -> list[object]:
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("range", "list")
        and node.args
    ):
        if node.func.id == "list":
            return _literal(node.args[0], error)
        bounds = [_integer(arg, error) for arg in node.args]
        if len(bounds) > 2 or max(bounds) > 100:
            raise error
        return list(range(*bounds))
    try:
        return list(ast.literal_eval(node))
    except (ValueError, TypeError):
        raise error from None


def _integer(node: ast.expr, error: NasError) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    raise error
