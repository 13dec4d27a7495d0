"""Genotype strings of spaces without a published notation: ``my_space:{'cell': ([('op', 0, 1), ...], [1])}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.spaces.check_inputs import require_text
from nas.utils.errors import NasError
from nas.utils.literals import read_literal

PATTERN = re.compile(r"([A-Za-z]\w*):\s*(?=\{\s*['\"]\w+['\"]\s*:\s*\(\s*\[)")
MAX_LINKS = 10_000


def native(genotype: Genotype) -> str:
    """Return the name of the space, and for each cell its links (op, source, target) and its output nodes."""
    cells = {
        name: ([(link.op, link.source, link.target) for link in cell.links], list(cell.output))
        for name, cell in genotype.cells.items()
    }
    return f"{genotype.space}:{cells}"


def parse(text: str) -> Genotype:
    """Parse a string of ``native``; its space need not be installed. Raises NasError if it is malformed."""
    require_text(text)
    match = PATTERN.match(text.strip())
    try:
        if match is None:
            raise ValueError("no name of a space")
        value, end = read_literal(text.strip(), match.end())
        if text.strip()[end:].strip() or not isinstance(value, Mapping) or not value:
            raise ValueError("not one dict of cells")
        return Genotype(match[1], {_name(name): _cell(cell) for name, cell in value.items()})
    except ValueError as error:
        raise NasError(
            f"genotype={text[:200]}: not a genotype ({error}). Write SPACE:{{'CELL': ([('OP', SOURCE, TARGET), ...], "
            "[OUTPUT, ...])}."
        ) from None


def _name(name: Any) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
        raise ValueError("the name of a cell is not a word")
    return name


def _cell(value: Any) -> CellGenotype:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError("a cell is not a pair of links and output nodes")
    links, output = value
    if not isinstance(links, list | tuple) or not all(map(_is_link, links)) or len(links) > MAX_LINKS:
        raise ValueError("a link is not (op, source, target)")
    if not isinstance(output, list | tuple) or not all(map(_is_node, output)):
        raise ValueError("the output of a cell is not a list of nodes")
    return CellGenotype(tuple(Link(*link) for link in links), tuple(output))


def _is_link(value: Any) -> bool:
    fields = isinstance(value, list | tuple) and len(value) == 3
    return fields and isinstance(value[0], str) and _is_node(value[1]) and _is_node(value[2])


def _is_node(value: Any) -> bool:
    return type(value) is int and 0 <= value < MAX_LINKS
