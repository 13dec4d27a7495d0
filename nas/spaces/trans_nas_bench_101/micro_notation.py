"""Strings of the micro space of TransNAS-Bench-101: the ops of a cell, as in ``64-41414-1_02_333``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link, format_links
from nas.spaces.check_inputs import require_text
from nas.utils.errors import NasError

NOTATION = "trans_nas_bench_101_micro"
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
"""Ops in the order of their digits."""
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
CELL = Cell(EDGES, OPS, output=(3,), keeps_none=True)
"""The full cell: four nodes, six edges, four ops on each."""
PREFIX = "64-41414-"
"""Width of the first features, and the fixed modules of the micro networks."""
PATTERN = re.compile(r"\s*\d+-\d{5}-\d+(_\d+)+\s*$")
"""Matches any string of this form, valid or not. Five digits: a run directory may have a date as its name."""


def native(genotype: Genotype) -> str:
    """Return the string ``64-41414-a_bc_def``: one digit per edge, grouped by the target of the edge."""
    digits = "".join(str(OPS.index(op)) for op in edge_ops(genotype))
    return f"{PREFIX}{digits[0]}_{digits[1:3]}_{digits[3:]}"


def parse(text: str) -> Genotype:
    """Parse a string such as ``64-41414-1_02_333``. Raises NasError for any other text."""
    require_text(text)
    match = re.fullmatch(rf"{PREFIX}([0-3])_([0-3]{{2}})_([0-3]{{3}})", text.strip())
    if match is None:
        raise NasError(
            f"genotype={text}: not a cell of TransNAS-Bench-101. Write {PREFIX}a_bc_def with one digit per edge: "
            + ", ".join(f"{digit} {op}" for digit, op in enumerate(OPS))
            + "."
        )
    return from_ops([OPS[int(digit)] for digit in "".join(match.groups())])


def from_ops(ops: Sequence[str]) -> Genotype:
    """Return the genotype with ``ops`` on the six edges, in the order of ``EDGES``."""
    links = tuple(Link(op, source, target) for op, (source, target) in zip(ops, EDGES, strict=True))
    return Genotype(NOTATION, {"cell": CellGenotype(links, CELL.output)})


def edge_ops(genotype: Genotype) -> tuple[str, ...]:
    """Return the ops on the six edges, in the order of ``EDGES``. Raises NasError if it is not of this space."""
    if genotype.space != NOTATION or set(genotype.cells) != {"cell"}:
        raise NasError(
            f"genotype of space '{genotype.space}' (cells {', '.join(genotype.cells)}) is not a cell of "
            f"TransNAS-Bench-101. Use one like {PREFIX}1_02_333."
        )
    links = genotype.cells["cell"].links
    ops = {(link.source, link.target): link.op for link in links}
    if len(links) != len(EDGES) or set(ops) != set(EDGES) or not set(ops.values()) <= set(OPS):
        raise NasError(
            f"genotype: a cell of space {NOTATION} has one of {', '.join(OPS)} on each of its {len(EDGES)} edges. "
            f"Found {format_links(links)}. Write it like {PREFIX}1_02_333."
        )
    return tuple(ops[edge] for edge in EDGES)
