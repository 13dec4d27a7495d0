"""Colors of ops: different within a space, readable on white, and the same in all figures."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_rgb

from nas.nn.ops import OPS
from nas.plotting.figure import INK
from nas.plotting.op_colors import op_color, op_colors
from nas.spaces.darts.notation import DARTS_OPS
from nas.spaces.nas_bench_201.notation import OPS as BENCH_OPS
from nas.spaces.recurrent.notation import OPS as RECURRENT_OPS
from nas.spaces.single_path.shufflenet_v2 import UNITS

WIDTHS = ("8", "16", "24", "32")


def contrast(color: str) -> float:
    """Return the contrast of a color to white (WCAG)."""
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in to_rgb(color)]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


@pytest.mark.parametrize("ops", [DARTS_OPS, BENCH_OPS, UNITS, RECURRENT_OPS, WIDTHS], ids=lambda ops: next(iter(ops)))
def test_op_colors_differ_within_a_space(ops: tuple[str, ...]) -> None:
    colors = op_colors(tuple(ops))
    assert len(set(colors.values())) == len(colors)
    assert all(colors[op] == op_color(op) for op in ops if op_color(op) != INK)


def test_op_colors_are_readable_on_white() -> None:
    for op in (*OPS, *UNITS, *RECURRENT_OPS, "mbconv6_5x5"):
        assert op_color(op) != INK, f"{op} has no color"
        assert contrast(op_color(op)) > (4.0 if op != "none" else 3.0), op
