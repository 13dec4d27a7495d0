"""Heatmaps of the scores of edges and ops."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from nas.architecture.cell import Cell
from nas.plotting.figure import INK, label, new_figure

FONT = 9.0


def heatmap_figure(scores: Mapping[str, Tensor], cells: Mapping[str, Cell]) -> Figure:
    """Plot the scores [edges, ops] of each cell type as a table of colors and numbers; excluded entries stay empty."""
    left, right, top, bottom = 0.6, 0.25, 0.45, 0.85
    sizes = {name: (0.85 * len(cells[name].ops), 0.32 * len(cells[name].edges)) for name in scores}
    width = sum(table_width + left + right for table_width, _ in sizes.values())
    height = max(table_height for _, table_height in sizes.values()) + top + bottom
    figure, x = new_figure(width, height), 0.0
    for name, (table_width, table_height) in sizes.items():
        corner = ((x + left) / width, (height - top - table_height) / height)
        axes = figure.add_axes((*corner, table_width / width, table_height / height))
        _draw_table(axes, name, scores[name].detach().cpu(), cells[name])
        x += left + table_width + right
    return figure


def _draw_table(axes: Axes, name: str, values: Tensor, cell: Cell) -> None:
    table = values.float().masked_fill(~cell.allowed(), math.nan)
    finite = table[table.isfinite()]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    axes.imshow(table.numpy(), cmap="viridis", vmin=low, vmax=high if high > low else low + 1, aspect="auto")
    axes.set_title(label(name), fontsize=FONT + 3, fontweight="bold", color=INK)
    ops = [label(op) for op in cell.ops]
    axes.set_xticks(range(len(ops)), ops, rotation=35, ha="right", rotation_mode="anchor", fontsize=FONT)
    axes.set_yticks(range(len(cell.edges)), [f"{a}->{b}" for a, b in cell.edges], fontsize=FONT)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for e, row in enumerate(table.tolist()):
        for o, value in enumerate(row):
            if math.isnan(value):
                continue
            light = math.isfinite(value) and value > low + 0.6 * (high - low)
            ink = INK if light or not math.isfinite(value) else "white"
            axes.text(o, e, f"{value:.3g}", fontsize=FONT - 1, color=ink, ha="center", va="center_baseline")
