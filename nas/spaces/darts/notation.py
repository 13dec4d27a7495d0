"""Genotype strings of DARTS and their dialects: FairDARTS' triples, SNAS' full tables, NASNet's five nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.architecture.discretization import reachable_links
from nas.nn.custom_ops import CUSTOM_OPS
from nas.nn.ops import OPS
from nas.spaces.check_inputs import require_text
from nas.utils.errors import NasError
from nas.utils.literals import Call, read_call

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
OTHER_NAMES = {
    **AUTODL_OPS,
    **{f"{kind}conv{size}x{size}": f"{kind}_conv_{size}x{size}" for kind in ("sep", "dil") for size in (3, 5)},
    **{"maxpool": "max_pool_3x3", "avgpool": "avg_pool_3x3", "skipconnect": "skip_connect"},
}
"""Names of ops in AutoDL-Projects and in earlier versions of NNI -> names in this project."""
FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
"""Fields of a genotype in the order of DARTS."""
MAX_NODES = 100
"""Bound of the numbers of nodes."""


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

    ``reduce=None`` stands for a fixed reduction cell. Ops may have the names of AutoDL-Projects, and a cell may group
    its links by node (see ``cell_of``).
    """
    require_text(text)
    call = read_call(text, "Genotype")
    if call is None:
        raise NasError(
            f"genotype={text}: not a DARTS genotype. Write Genotype(normal=[('op', source), ...], reduce=[...])."
        )
    return from_fields(fields_of(call), text)


def fields_of(call: Call) -> dict[str, Any]:
    """Return the fields of a call ``Genotype(...)`` by name."""
    return {**dict(zip(FIELDS, call.arguments, strict=False)), **call.keywords}


def from_fields(fields: Mapping[Any, Any], text: str = "") -> Genotype:
    """Return the genotype of the fields ``normal``, ``normal_concat``, ``reduce`` and ``reduce_concat``.

    Other fields are ignored. ``reduce`` may be None, and the nodes of the output may be missing.

    Args:
        fields: values by name.
        text: given text, for error messages.

    Raises:
        NasError: if a field is missing or malformed.
    """
    cells: dict[str, CellGenotype] = {}
    for kind in ("normal", "reduce"):
        if kind not in fields:
            raise NasError(f"genotype={text}: '{kind}' is missing. Write Genotype(normal=[...], reduce=[...]).")
        entries, output = fields[kind], fields.get(f"{kind}_concat")
        if entries is None and kind == "reduce":
            continue
        if entries is None:
            raise NasError(f"genotype={text}: the normal cell is None. Only the reduction cell may be fixed.")
        if not isinstance(entries, list | tuple):
            raise NasError(f"genotype={text}: not a DARTS genotype, since '{kind}' is not a list of links.")
        if output is not None and not (isinstance(output, list | tuple | range) and all(map(_is_node, output))):
            raise NasError(f"genotype={text}: {kind}_concat must list nodes, for example [2, 3, 4, 5].")
        cells[kind] = cell_of(entries, output, text)
    return Genotype(NOTATION, cells)


def cell_of(entries: Sequence[object], output: Sequence[int] | None, text: str = "") -> CellGenotype:
    """Return the cell genotype of a list of links in any notation.

    Supported are the pairs of ``from_pairs``, the triples of ``from_triples``, pairs with a weight (op, source, float),
    which is ignored, and lists of pairs by node, as in AutoDL-Projects: ``[[('op', 0), ('op', 1)], ...]``.

    Args:
        entries: the list.
        output: nodes of the output; None or empty: all computed nodes.
        text: given text, for error messages.

    Raises:
        NasError: if the list is malformed or mixes notations.
    """
    grouped = [isinstance(entry, list | tuple) and all(isinstance(e, list | tuple) for e in entry) for entry in entries]
    if entries and all(grouped):
        return _from_groups(entries, output, text)  # type: ignore[arg-type]
    nodes = output or nodes_of(5 if len(entries) == 10 else 4)
    if any(_is_triple(entry) for entry in entries):
        return from_triples(entries, nodes, text)
    return from_pairs([_without_weight(entry) for entry in entries], nodes, text)


def _from_groups(groups: Sequence[Sequence[object]], output: Sequence[int] | None, text: str) -> CellGenotype:
    """Return the cell genotype of lists of pairs by node."""
    count = len(groups)
    if count not in (4, 5) or not all(groups):
        raise NasError(
            f"genotype={text}: a cell of the DARTS space has 4 or 5 nodes with at least one link each, found the "
            f"links {[len(group) for group in groups]}."
        )
    links = [
        Link(*_pair(_without_weight(entry), text), node)
        for node, group in zip(nodes_of(count), groups, strict=True)
        for entry in group
    ]
    return CellGenotype(tuple(links), tuple(output or nodes_of(count)))


def from_pairs(pairs: Iterable[object], output: Iterable[int], text: str = "") -> CellGenotype:
    """Return the cell genotype of a list of pairs (op, source). Raises NasError if the list is malformed.

    8 pairs (DARTS) or 10 pairs (NASNet) are two links per node. 14 pairs are an op for each edge, ``none`` included
    (SNAS).
    """
    links = [_pair(pair, text) for pair in pairs]
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


def _pair(pair: object, text: str) -> tuple[str, int]:
    if not (isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) and _is_node(pair[1])):
        raise NasError(f"genotype={text}: '{pair}' is not a pair (op, source).")
    return _op(pair[0], text), pair[1]


def _without_weight(entry: object) -> object:
    """Return (op, source) for a link with a weight (op, source, weight), else the entry itself."""
    weighted = isinstance(entry, list | tuple) and len(entry) == 3 and isinstance(entry[2], float)
    return entry[:2] if weighted else entry  # type: ignore[index]


def _is_triple(entry: object) -> bool:
    return isinstance(entry, list | tuple) and len(entry) == 3 and all(map(_is_node, entry[1:]))


def _is_node(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_NODES


def _op(op: object, text: str) -> str:
    """Return the project's name of an op. Raises NasError if it is unknown."""
    name = OTHER_NAMES.get(str(op), str(op))
    if name not in (*OPS, "none") and not CUSTOM_OPS.has(name):
        raise NasError(
            f"genotype={text}: unknown op '{op}'. Choose from {', '.join([*OPS, *CUSTOM_OPS.names()])}, or name a "
            "custom op by own_parts=[PACKAGE.MODULE.CLASS]."
        )
    return name
