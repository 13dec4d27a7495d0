"""The notation of DARTS' genotypes, and its dialects: FairDARTS' triples, SNAS' whole tables, NASNet's five nodes."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.architecture.derivation import alive
from nas.nn.ops import OPS
from nas.utils.errors import NasError

NOTATION = "darts"
AUTODL_OPS = {
    f"{theirs}_sepc_{size}x{size}": f"{ours}_conv_{size}x{size}"
    for theirs, ours in (("dua", "sep"), ("dil", "dil"))
    for size in (3, 5)
}
"""What AutoDL-Projects calls the convolutions of this space."""


def nodes_of(count: int) -> tuple[int, ...]:
    """The computed nodes of a cell with ``count`` of them: 0 and 1 are its inputs."""
    return tuple(range(2, 2 + count))


NODES = nodes_of(4)
TARGETS = {
    8: tuple(node for node in NODES for _ in range(2)),
    10: tuple(node for node in nodes_of(5) for _ in range(2)),
    14: tuple(node for node in NODES for _ in range(node)),
}
"""The node that each pair of a list feeds, by the length of the list: DARTS, NASNet, all edges of SNAS."""


def native(genotype: Genotype) -> str:
    """``Genotype(normal=[('op', source), ...], normal_concat=[...], reduce=[...], reduce_concat=[...])``.

    Pairs where a cell has two links a node, or one on every edge (SNAS, ``none`` included); else triples
    ('op', target, source) as FairDARTS has them. A reduction cell that is not searched is None, as in GDAS (FRC).
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
    """The genotype that DARTS' notation names, read without running it. Raises NasError where it is malformed.

    ``reduce=None`` is a genotype with a fixed reduction cell. Ops may have the names of AutoDL-Projects.
    """
    fields = _fields(text)
    cells: dict[str, CellGenotype] = {}
    for kind in ("normal", "reduce"):
        if kind not in fields:
            raise NasError(f"'{kind}' is missing in '{text}': expected Genotype(normal=[...], reduce=[...])")
        pairs = fields[kind]
        if pairs is None and kind == "reduce":
            continue
        if pairs is None:
            raise NasError(f"the normal cell is None in '{text}': only the reduction cell may be fixed")
        output = fields.get(f"{kind}_concat") or list(nodes_of(5) if len(pairs) == 10 else NODES)
        listed = [node for node in output if isinstance(node, int)]
        if len(listed) != len(output):
            raise NasError(f"{kind}_concat in '{text}' must list nodes, as in [2, 3, 4, 5]")
        read = from_triples if any(_is_triple(entry) for entry in pairs) else from_pairs
        cells[kind] = read(pairs, listed, text)
    return Genotype(NOTATION, cells)


def from_pairs(pairs: Iterable[object], output: Iterable[int], text: str = "") -> CellGenotype:
    """The cell genotype of a list of pairs (op, source). Raises NasError where it is malformed.

    Two a node: 8 of them, as in DARTS, or 10, as in NASNet. 14 name an op for every edge, ``none`` included (SNAS).
    """
    read: list[tuple[str, int]] = []
    for pair in pairs:
        if not (isinstance(pair, Sequence) and len(pair) == 2 and isinstance(pair[1], int)):
            raise NasError(f"'{pair}' in '{text}' is not a pair (op, source)")
        read.append((_op(pair[0], text), pair[1]))
    if len(read) not in TARGETS:
        raise NasError(
            f"a cell of the DARTS space has 8 links, found {len(read)} in '{text}' (10 are five nodes, 14 an op on "
            "every edge)"
        )
    links = [Link(op, source, node) for (op, source), node in zip(read, TARGETS[len(read)], strict=True)]
    return CellGenotype(tuple(links), tuple(output))


def from_triples(triples: Iterable[object], output: Iterable[int], text: str = "") -> CellGenotype:
    """The cell genotype of FairDARTS' list of (op, target, source) triples, any number a node.

    As in its networks, a node without links is left out of the output, and so is what reads it. Raises NasError
    where the list is malformed.
    """
    links = []
    for triple in triples:
        if not (isinstance(triple, Sequence) and _is_triple(triple)):
            raise NasError(f"'{triple}' in '{text}' is not a triple (op, target, source)")
        links.append(Link(_op(triple[0], text), triple[2], triple[1]))
    left = alive(links)
    targets = {link.target for link in left}
    return CellGenotype(tuple(left), tuple(node for node in output if node in targets))


def _is_triple(entry: object) -> bool:
    return isinstance(entry, Sequence) and len(entry) == 3 and all(isinstance(node, int) for node in entry[1:])


def _op(op: object, text: str) -> str:
    found = AUTODL_OPS.get(str(op), str(op))
    if found not in (*OPS, "none"):
        raise NasError(f"unknown op '{op}' in '{text}': the DARTS space has {', '.join(OPS)}")
    return found


def _fields(text: str) -> dict[str, list[object] | None]:
    """The keyword arguments of ``Genotype(...)``, read without running it."""
    error = NasError(f"'{text}' is not a DARTS genotype: expected Genotype(normal=[('op', source), ...], reduce=[...])")
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
