"""Genotype strings of recurrent cells: ``Genotype(recurrent=[('tanh', 0), ...], concat=[1, 2, ...])``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.spaces.check_inputs import require_text
from nas.utils.errors import NasError
from nas.utils.literals import Call, read_call

NOTATION = "recurrent"
CELL = "recurrent"
"""Name of the only cell type."""
OPS = ("none", "tanh", "relu", "sigmoid", "identity")
"""The candidates in the order of quark0/darts, rnn/genotypes.py."""
FIELDS = ("recurrent", "concat")
"""Fields of a genotype in the order of DARTS."""
NODES = 8
MAX_NODES = 100
"""Bound of the number of nodes."""
EXAMPLE = "Genotype(recurrent=[('tanh', 0), ('relu', 1), ...], concat=[1, 2, ...])"


def edges_of(count: int) -> tuple[tuple[int, int], ...]:
    """Return the edges (source, target) of a cell with nodes 1 to ``count``. Node 0 combines input and hidden state."""
    return tuple((source, node) for node in range(1, count + 1) for source in range(node))


def native(genotype: Genotype) -> str:
    """Return ``Genotype(recurrent=[('op', source), ...], concat=[...])``, a pair per node."""
    links, output = genotype.cells[CELL]
    pairs = [f"('{op}', {source})" for op, source, _ in sorted(links, key=lambda link: link.target)]
    return f"Genotype(recurrent=[{', '.join(pairs)}], concat={list(output)})"


def parse(text: str) -> Genotype:
    """Parse a genotype string without executing it. Raises NasError if it is malformed."""
    require_text(text)
    call = read_call(text, "Genotype")
    if call is None:
        raise NasError(f"genotype={text}: not a recurrent genotype. Write {EXAMPLE}.")
    return from_fields(fields_of(call), text)


def fields_of(call: Call) -> dict[str, Any]:
    """Return the fields of a call ``Genotype(...)`` by name."""
    return {**dict(zip(FIELDS, call.arguments, strict=False)), **call.keywords}


def from_fields(fields: Mapping[Any, Any], text: str = "") -> Genotype:
    """Return the genotype of the fields ``recurrent`` and ``concat``. Without ``concat``, all nodes form the output.

    Args:
        fields: values by name; other fields are ignored.
        text: given text, for error messages.

    Raises:
        NasError: if a field is missing or malformed.
    """
    pairs = fields.get("recurrent")
    if not isinstance(pairs, list | tuple) or not 1 <= len(pairs) <= MAX_NODES:
        raise NasError(f"genotype={text}: 'recurrent' must list 1 to {MAX_NODES} pairs (op, source). Write {EXAMPLE}.")
    links = tuple(Link(*_pair(pair, node, text), node) for node, pair in enumerate(pairs, start=1))
    nodes = range(1, len(links) + 1)
    output = fields.get("concat") or list(nodes)
    if not isinstance(output, list | tuple | range) or not all(type(node) is int and node in nodes for node in output):
        raise NasError(f"genotype={text}: concat must list nodes of the cell, 1 to {len(links)}.")
    return Genotype(NOTATION, {CELL: CellGenotype(links, tuple(output))})


def _pair(pair: object, node: int, text: str) -> tuple[str, int]:
    if not (isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) and type(pair[1]) is int):
        raise NasError(f"genotype={text}: '{pair}' is not a pair (op, source).")
    op, source = pair
    if op not in OPS[1:]:
        raise NasError(f"genotype={text}: unknown op '{op}' of a recurrent cell. Choose from {', '.join(OPS[1:])}.")
    if not 0 <= source < node:
        raise NasError(f"genotype={text}: node {node} reads node {source}. It may read nodes 0 to {node - 1}.")
    return op, source
