"""Colors of ops: the same op has the same color in every space and figure."""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Mapping, Sequence

from nas.architecture.cell import NONE
from nas.plotting.figure import INK

GRAY = "#78909c"
GREEN = "#2e7d32"
KERNELS: Sequence[tuple[re.Pattern[str], Mapping[str, str]]] = (
    (re.compile("max_?pool"), {"": "#d84315"}),
    (re.compile("pool"), {"": "#b26a00"}),
    (re.compile("sep_conv"), {"3x3": "#8e24aa", "5x5": "#5e35b1", "": "#311b92"}),
    (re.compile("dil_conv|xception"), {"3x3": "#d81b60", "": "#880e4f"}),
    (re.compile("mbconv|shuffle"), {"3x3": "#0277bd", "5x5": "#5e35b1", "": "#311b92"}),
    (re.compile("conv"), {"1x1": "#0277bd", "3x3": "#1a3fa0", "": "#00695c"}),
    (re.compile("skip|identity"), {"": GREEN}),
    (re.compile("noise"), {"": "#6d4c41"}),
    (re.compile("connect"), {"": "#546e7a"}),
    (re.compile("tanh"), {"": "#8e24aa"}),
    (re.compile("relu"), {"": "#0277bd"}),
    (re.compile("sigmoid"), {"": "#d84315"}),
    (re.compile(NONE), {"": GRAY}),
)
"""Colors of ops by kernel size, "" for any other size. The first pattern that matches an op determines its colors."""
PALETTE = ("#1565c0", "#d84315", "#7b1fa2", "#f9a825", "#00838f", "#ad1457", "#5d4037", "#558b2f", "#283593", "#ef6c00")
"""Colors of ops without an assigned color, such as widths of layers."""


CUSTOM = ("#00838f", "#ad1457", "#33691e", "#283593", "#4e342e", "#6a1b9a", "#b71c1c", "#827717")
"""Colors of custom ops, chosen by a checksum of the name."""


def op_color(op: str) -> str:
    """Return the color of an op, readable as text on white. Numbers, such as widths, have no assigned color."""
    color = _built_in_color(op)
    return color or (CUSTOM[zlib.crc32(op.encode()) % len(CUSTOM)] if op[:1].isalpha() else INK)


def op_colors(ops: Sequence[str]) -> dict[str, str]:
    """Return a color for each op; ops without a color of a published op have different ones."""
    colors = {op: color for op in ops if (color := _built_in_color(op)) is not None}
    free = [color for color in PALETTE if color not in colors.values()] or PALETTE
    others = itertools.cycle(free)
    for op in ops:
        color = colors.get(op) or op_color(op)
        colors[op] = next(others) if op not in colors and (color == INK or color in colors.values()) else color
    return {op: colors[op] for op in ops}


def _built_in_color(op: str) -> str | None:
    for pattern, colors in KERNELS:
        if pattern.search(op):
            size = re.search(r"\dx\d", op)
            return colors.get(size[0] if size else "", colors[""])
    return None
