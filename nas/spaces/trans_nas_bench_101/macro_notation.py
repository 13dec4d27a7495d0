"""Strings of the macro space of TransNAS-Bench-101: the modules of a skeleton, as in ``64-1234-basic``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nas.architecture.cell import NONE, Cell, CellGenotype, Genotype, Link, format_links
from nas.spaces.check_inputs import require_text
from nas.utils.errors import NasError

NOTATION = "trans_nas_bench_101_macro"
MODULES = ("normal", "double_channels", "half_resolution", "double_channels_half_resolution")
"""Kinds of modules in the order of their digits, which begin with 1."""
WIDER, SMALLER = (MODULES[1], MODULES[3]), (MODULES[2], MODULES[3])
"""Kinds that double the channels, and kinds that halve the resolution."""
MIN_MODULES, MAX_MODULES = 4, 6
MAX_WIDER, MAX_SMALLER = 3, 4
PREFIX, SUFFIX = "64-", "-basic"
PATTERN = re.compile(rf"\s*\d+-\d+{SUFFIX}\s*$")
"""Matches any string of this form, valid or not."""
CELL_NAME = "skeleton"
EDGES = tuple((position, position + 1) for position in range(MAX_MODULES))
CELL = Cell(
    EDGES,
    (NONE, *MODULES),
    output=(MAX_MODULES,),
    keeps_none=True,
    excluded=frozenset((position, NONE) for position in range(MIN_MODULES)),
)
"""Table of all skeletons: one edge per module; ``none`` on the last edges stands for fewer modules."""


def find_problem(modules: Sequence[str]) -> str | None:
    """Return the reason why a skeleton is not in the benchmark, None if it is."""
    wider = sum(module in WIDER for module in modules)
    smaller = sum(module in SMALLER for module in modules)
    if not 1 <= wider <= MAX_WIDER:
        return f"{wider} of its modules double the channels, and 1 to {MAX_WIDER} do in the space"
    if not 1 <= smaller <= MAX_SMALLER:
        return f"{smaller} of its modules halve the resolution, and 1 to {MAX_SMALLER} do in the space"
    return None


def from_modules(modules: Sequence[str]) -> Genotype:
    """Return the genotype of at most six modules."""
    ops = [*modules, *[NONE] * (MAX_MODULES - len(modules))]
    links = tuple(Link(op, *edge) for op, edge in zip(ops, EDGES, strict=True))
    return Genotype(NOTATION, {CELL_NAME: CellGenotype(links, CELL.output)})


def modules_of(genotype: Genotype) -> tuple[str, ...]:
    """Return the modules of a genotype, ``none`` left out. Raises NasError if it is not of this space."""
    if genotype.space != NOTATION or set(genotype.cells) != {CELL_NAME}:
        raise NasError(
            f"genotype of space '{genotype.space}' (cells {', '.join(genotype.cells)}) is not a skeleton of "
            f"TransNAS-Bench-101. Use one like {PREFIX}1234{SUFFIX}."
        )
    links = genotype.cells[CELL_NAME].links
    ops = {(link.source, link.target): link.op for link in links}
    if len(links) != len(EDGES) or set(ops) != set(EDGES) or not set(ops.values()) <= set(CELL.ops):
        raise NasError(
            f"genotype: a skeleton of space {NOTATION} has one of {', '.join(CELL.ops)} on each of its {len(EDGES)} "
            f"edges. Found {format_links(links)}. Write it like {PREFIX}1234{SUFFIX}."
        )
    return tuple(ops[edge] for edge in EDGES if ops[edge] != NONE)


def is_contiguous(genotype: Genotype) -> bool:
    """Return whether ``none`` is on the last edges only, so that each skeleton has one genotype."""
    ops = [link.op for link in sorted(genotype.cells[CELL_NAME].links, key=lambda link: link.source)]
    return NONE not in ops or set(ops[ops.index(NONE) :]) == {NONE}


def native(genotype: Genotype) -> str:
    """Return the string ``64-1234-basic``: one digit per module."""
    return f"{PREFIX}{''.join(str(MODULES.index(module) + 1) for module in modules_of(genotype))}{SUFFIX}"


def parse(text: str) -> Genotype:
    """Parse a string such as ``64-1234-basic``. Raises NasError for any other text."""
    require_text(text)
    match = re.fullmatch(rf"{PREFIX}([1-4]{{{MIN_MODULES},{MAX_MODULES}}}){SUFFIX}", text.strip())
    if match is None:
        raise NasError(
            f"genotype={text}: not a skeleton of TransNAS-Bench-101. Write {PREFIX}DIGITS{SUFFIX} with "
            f"{MIN_MODULES} to {MAX_MODULES} digits: "
            + ", ".join(f"{digit} {module}" for digit, module in enumerate(MODULES, 1))
            + "."
        )
    return from_modules([MODULES[int(digit) - 1] for digit in match[1]])
