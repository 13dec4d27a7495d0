"""Figures of chains of blocks, as in the single-path spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve

from nas.architecture.cell import Genotype
from nas.plotting.figure import HEAD, INK, add_title, label, new_figure, text_width
from nas.plotting.op_colors import GRAY, op_color
from nas.spaces.single_path import mobilenet_v2, shufflenet_v2
from nas.spaces.single_path.chain import chain_ops
from nas.spaces.single_path.layout import Layout

LAYOUTS: Mapping[str, Sequence[Layout]] = {
    mobilenet_v2.NOTATION: tuple(mobilenet_v2.LAYOUTS.values()),
    shufflenet_v2.NOTATION: (shufflenet_v2.LAYOUT,),
}
"""Published layouts by notation."""
FONT = 9.0
MARGIN, ROW, BOX, GAP = 0.2, 0.72, 0.36, 0.32  # in inches, as all lengths in this module
END = 0.5
MAX_COLUMNS = 4


class _Row(NamedTuple):
    """Blocks of one row, and the text before them."""

    ops: Sequence[str]
    text: str


def has_published_layout(genotype: Genotype) -> bool:
    """Return whether a genotype is no chain, or has as many blocks as a published one."""
    return genotype.space not in LAYOUTS or bool(_widths_and_strides(genotype))


def _widths_and_strides(genotype: Genotype) -> list[tuple[int, int]]:
    """Return output channels and stride of each block in the published layout of its length, empty without one."""
    count = len(chain_ops(genotype))
    layout = next((known for known in LAYOUTS.get(genotype.space, ()) if known.length == count), None)
    return [] if layout is None else [(layer.outputs, layer.stride) for layer in layout.layers(0)]


def chain_figure(genotype: Genotype, title: str = "") -> Figure:
    """Plot a chain as rows of blocks. Each stage starts a row, with its output channels and its stride."""
    rows = _rows(chain_ops(genotype), _widths_and_strides(genotype))
    block = max(text_width(label(op), FONT) for row in rows for op in row.ops) + 0.24
    left = max((text_width(row.text, FONT) for row in rows), default=0.0) + GAP
    columns = max(len(row.ops) for row in rows)
    width = 2 * MARGIN + left + END + GAP + columns * (block + GAP) + END
    height, head = len(rows) * ROW + 2 * MARGIN, HEAD if title else 0.0
    figure = new_figure(width, height + head)
    add_title(figure, title, MARGIN)
    axes = figure.add_axes((0, 0, 1, height / (height + head)))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    start = MARGIN + left + END + GAP
    for number, row in enumerate(rows):
        y = height - MARGIN - ROW * (number + 0.5)
        axes.text(MARGIN, y, row.text, fontsize=FONT, color=INK, va="center_baseline")
        _draw_row(axes, row.ops, start, y, block)
        if number + 1 < len(rows):
            _draw_return(axes, (start + len(row.ops) * (block + GAP) - GAP, y), start + block / 2)
    first, last = height - MARGIN - ROW / 2, MARGIN + ROW / 2
    end = start + len(rows[-1].ops) * (block + GAP) + END / 2
    for x, y, text, color in ((start - GAP - END / 2, first, "in", "#e3f2fd"), (end, last, "out", "#fff3e0")):
        _draw_box(axes, (x, y), END, text, INK, color)
    _draw_arrow(axes, [(start - GAP, first), (start, first)])
    _draw_arrow(axes, [(end - END / 2 - GAP, last), (end - END / 2, last)])
    return figure


def _rows(ops: Sequence[str], sizes: Sequence[tuple[int, int]]) -> list[_Row]:
    """Group the blocks by their output channels if these are known, in rows of ``MAX_COLUMNS``."""
    if len(sizes) != len(ops):
        return _wrapped(ops, "")
    rows: list[_Row] = []
    position = 0
    for width, group in groupby(sizes, key=lambda size: size[0]):
        strides = [stride for _, stride in group]
        text = f"{width} channels" + (f", stride {strides[0]}" if strides[0] > 1 else "")
        rows += _wrapped(ops[position : position + len(strides)], text)
        position += len(strides)
    return rows


def _wrapped(ops: Sequence[str], text: str) -> list[_Row]:
    starts = range(0, len(ops), MAX_COLUMNS)
    return [_Row(ops[start : start + MAX_COLUMNS], "" if start else text) for start in starts]


def _draw_row(axes: Axes, ops: Sequence[str], start: float, y: float, width: float) -> None:
    for column, op in enumerate(ops):
        x = start + column * (width + GAP) + width / 2
        _draw_box(axes, (x, y), width, label(op), op_color(op), "white")
        if column:
            _draw_arrow(axes, [(x - width / 2 - GAP, y), (x - width / 2, y)])


def _draw_box(axes: Axes, center: tuple[float, float], width: float, text: str, color: str, face: str) -> None:
    x, y = center
    style = "round,pad=0,rounding_size=0.08"
    corner = (x - width / 2, y - BOX / 2)
    axes.add_patch(FancyBboxPatch(corner, width, BOX, boxstyle=style, fc=face, ec=color, lw=1.5, zorder=3))
    axes.text(x, y, text, fontsize=FONT, color=color, ha="center", va="center_baseline", zorder=4)


def _draw_return(axes: Axes, end: tuple[float, float], x: float) -> None:
    """Draw the arrow from the last block of a row to the first block of the next row, at ``x``."""
    right, y = end
    middle = y - ROW / 2
    corner = right + GAP / 2
    _draw_arrow(axes, [(right, y), (corner, y), (corner, middle), (x, middle), (x, y - ROW + BOX / 2)])


def _draw_arrow(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    path = Curve(list(points), [Curve.MOVETO, *[Curve.LINETO] * (len(points) - 1)])
    axes.add_patch(FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=9, color=GRAY, lw=1.3, zorder=1))
