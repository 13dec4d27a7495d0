"""Strings of the choices inside a user's model: ``choices:stem:conv3/depth:3/node:conv@0+pool@1:2``.

A decision among options is ``name:option``. One that keeps several inputs, each with an option, lists them as
``option@input``, and ends with the number of inputs.
"""

from __future__ import annotations

import re

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.spaces.check_inputs import require_text
from nas.utils.errors import NasError

NOTATION = "choices"
PATTERN = re.compile(rf"{NOTATION}:(?=\w+:)")
MAX_LINKS = 10_000
_OPTION = r"[A-Za-z0-9_.\-]{1,100}"
_SINGLE = re.compile(rf"(\w{{1,100}}):({_OPTION})")
_SEVERAL = re.compile(rf"(\w{{1,100}}):({_OPTION}@\d{{1,4}}(?:\+{_OPTION}@\d{{1,4}})*):(\d{{1,4}})")


def native(genotype: Genotype) -> str:
    """Return the string of a genotype."""
    return f"{NOTATION}:{'/'.join(_decision(name, cell) for name, cell in genotype.cells.items())}"


def _decision(name: str, cell: CellGenotype) -> str:
    if len(cell.links) == 1 and cell.links[0][1:] == (0, 1):
        return f"{name}:{cell.links[0].op}"
    links = "+".join(f"{link.op}@{link.source}" for link in cell.links)
    return f"{name}:{links}:{cell.links[0].target}"


def parse(text: str) -> Genotype:
    """Parse a string of ``native``. Raises NasError if it is malformed."""
    require_text(text)
    given = text.strip().removeprefix(f"{NOTATION}:")
    cells: dict[str, CellGenotype] = {}
    for part in given.split("/"):
        single, several = _SINGLE.fullmatch(part), _SEVERAL.fullmatch(part)
        name = (single or several or [""])[1] if single or several else ""
        if not name or name in cells or len(cells) >= MAX_LINKS:
            raise NasError(
                f"genotype={text[:200]}: '{part[:50]}' is malformed or repeated. Write {NOTATION}:NAME:OPTION/NAME:"
                "OPTION, or NAME:OPTION@INPUT+OPTION@INPUT:INPUTS."
            )
        cells[name] = CellGenotype((Link(single[2], 0, 1),), (1,)) if single else _node(several)
    return Genotype(NOTATION, cells)


def _node(match: re.Match[str] | None) -> CellGenotype:
    assert match is not None
    target = int(match[3])
    links = [link.rpartition("@") for link in match[2].split("+")]
    return CellGenotype(tuple(Link(op, int(source), target) for op, _, source in links), (target,))
