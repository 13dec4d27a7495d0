"""Evolution of the op scores of a search over its epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from nas.architecture.cell import Cell
from nas.plotting.figure import INK, label, new_figure
from nas.plotting.op_colors import GRAY, op_colors

COLUMNS = 4  # panels of edges in a row, for up to 8 edges; 7 for more
FONT = 9.0
CEILINGS = (0.2, 0.4, 0.6, 1.0)

Scores = Mapping[str, Sequence[Sequence[float | None]]]


class _Block(NamedTuple):
    """Panels of one cell type."""

    name: str
    cell: Cell
    columns: int
    rows: int


def evolution_figure(epochs: Sequence[int], scores: Sequence[Scores], cells: Mapping[str, Cell]) -> Figure:
    """Plot the scores of the ops over the epochs: one panel per edge and one line per op.

    All panels have the same scale, from 0 to the smallest value of ``CEILINGS`` that bounds all scores.

    Args:
        epochs: epochs, counted from 0.
        scores: for each epoch the scores [edges, ops] of each cell type. None, NaN and infinities leave a gap.
        cells: the cell types.
    """
    names = [name for name in cells if scores and name in scores[-1]]
    blocks = [_block(name, cells[name]) for name in names]
    ops = list(dict.fromkeys(op for block in blocks for op in block.cell.ops))
    colors = op_colors(ops)
    highest = _highest(row for table in scores for name in names for row in table[name])
    ceiling = next((ceiling for ceiling in CEILINGS if highest <= ceiling), highest)
    width, row, title, legend = 1.75 * max(b.columns for b in blocks) + 0.6, 1.3, 0.4, 0.15 + 0.2 * _lines(ops)
    height = sum(b.rows * row + title for b in blocks) + legend + 0.2
    figure, top = new_figure(width, height), height
    for block in blocks:
        figure.text(
            0.1 / width,
            (top - 0.1) / height,
            label(block.name),
            fontsize=FONT + 3,
            fontweight="bold",
            color=INK,
            va="top",
        )
        for edge in range(len(block.cell.edges)):
            x, y = 0.5 + 1.75 * (edge % block.columns), top - title - row * (edge // block.columns + 1) + 0.3
            axes = figure.add_axes((x / width, y / height, 1.45 / width, (row - 0.45) / height))
            rows = [table[block.name][edge] for table in scores]
            _draw_edge(axes, block.cell, edge, [epoch + 1 for epoch in epochs], rows, colors, ceiling)
        top -= block.rows * row + title
    figure.text(
        0.5,
        (legend + 0.05) / height,
        "score of each op over the epochs",
        fontsize=FONT,
        color=INK,
        ha="center",
        va="bottom",
    )
    handles = [Line2D([], [], color=colors[op], lw=2) for op in ops]
    figure.legend(
        handles, [label(op) for op in ops], loc="lower center", ncols=math.ceil(len(ops) / _lines(ops)), fontsize=FONT,
        labelcolor=INK, frameon=False,
    )  # fmt: skip
    return figure


def _highest(rows: Iterable[Sequence[float | None]]) -> float:
    """Return the highest score, 1 without any."""
    return max((value for row in rows for value in map(_finite, row) if not math.isnan(value)), default=1.0)


def _finite(value: float | None) -> float:
    """Return a score, NaN for any other value."""
    return value if value is not None and math.isfinite(value) else math.nan


def _block(name: str, cell: Cell) -> _Block:
    columns = min(len(cell.edges), COLUMNS if len(cell.edges) <= 2 * COLUMNS else 7)
    columns = 3 if len(cell.edges) == 6 else columns  # two full rows
    return _Block(name, cell, columns, math.ceil(len(cell.edges) / columns))


def _lines(ops: Sequence[str]) -> int:
    """Return the number of lines of the legend."""
    return math.ceil(len(ops) / 4)


def _draw_edge(
    axes: Axes,
    cell: Cell,
    edge: int,
    epochs: Sequence[int],
    rows: Sequence[Sequence[float | None]],
    colors: Mapping[str, str],
    ceiling: float,
) -> None:
    for position, op in enumerate(cell.ops):
        if (edge, op) not in cell.excluded:
            line = [_finite(row[position]) for row in rows]
            axes.plot(epochs, line, color=colors[op], lw=1.4, marker="o" if len(epochs) == 1 else "", ms=4)
    source, target = cell.edges[edge]
    axes.set_title(f"{source}->{target}", fontsize=FONT, color=INK, pad=2)
    axes.set(ylim=(-0.02 * ceiling, 1.02 * ceiling), yticks=(0, ceiling / 2, ceiling))
    axes.yaxis.set_major_formatter("{x:.2g}")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=FONT - 2, length=2, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRAY)
