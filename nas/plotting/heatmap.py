"""Heatmaps of the scores of edges and ops."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from nas.architecture.cell import Cell
from nas.plotting.figure import INK, label, new_figure

FONT = 9.0


def heatmap_figure(scores: Mapping[str, Tensor], cells: Mapping[str, Cell], title: str = "") -> Figure:
    """Plot the scores [edges, ops] of each cell type as a table of colors and numbers; excluded entries stay empty.

    The colors cover 0 to 1, the range of probabilities and gates, so that figures of different epochs and runs can be
    compared. For other scores, the colors cover the range of the values of all cell types.
    """
    left, right, top, bottom, bar = 0.6, 0.25, 0.45, 0.85, 0.9
    above = 0.15 if title else 0.0
    sizes = {name: (0.85 * len(cells[name].ops), 0.32 * len(cells[name].edges)) for name in scores}
    width = sum(table_width + left + right for table_width, _ in sizes.values()) + bar
    height = max(table_height for _, table_height in sizes.values()) + top + bottom + above
    figure, x = new_figure(width, height), 0.0
    tables = {name: _mask_excluded(table, cells[name]) for name, table in scores.items()}
    limits = _color_range(tables.values())
    for name, (table_width, table_height) in sizes.items():
        corner = ((x + left) / width, (height - top - above - table_height) / height)
        axes = figure.add_axes((*corner, table_width / width, table_height / height))
        image = _draw_table(axes, name, tables[name], cells[name], limits)
        x += left + table_width + right
    bar_height = max(table_height for _, table_height in sizes.values())
    place = (x / width, (height - top - above - bar_height) / height, 0.15 / width, bar_height / height)
    _draw_color_bar(figure, image, place, "score")
    if title:
        figure.text(left / width, 1 - 0.12 / height, label(title), fontsize=FONT + 2, color=INK, va="top")
    return figure


def _mask_excluded(scores: Tensor, cell: Cell) -> Tensor:
    return scores.detach().cpu().float().masked_fill(~cell.allowed(), math.nan)


def _color_range(tables: Iterable[Tensor]) -> tuple[float, float]:
    """Return (0, 1) for probabilities, else the range of the finite values."""
    finite = torch.cat([table[table.isfinite()].flatten() for table in tables])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1


def _draw_color_bar(figure: Figure, image: AxesImage, place: tuple[float, float, float, float], text: str) -> None:
    axes = figure.add_axes(place, label="color bar")
    bar = figure.colorbar(image, cax=axes)
    bar.set_label(text, fontsize=FONT, color=INK)
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=FONT - 1, length=2, colors=INK)


def _draw_table(axes: Axes, name: str, table: Tensor, cell: Cell, limits: tuple[float, float]) -> AxesImage:
    low, high = limits
    image = axes.imshow(table.numpy(), cmap="viridis", vmin=low, vmax=high, aspect="auto")
    axes.set_title(label(name), fontsize=FONT + 3, fontweight="bold", color=INK)
    ops = [label(op) for op in cell.ops]
    axes.set_xticks(range(len(ops)), ops, rotation=35, ha="right", rotation_mode="anchor", fontsize=FONT)
    axes.set_yticks(range(len(cell.edges)), [f"{a}->{b}" for a, b in cell.edges], fontsize=FONT)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    for e, row in enumerate(table.tolist()):
        for o, value in enumerate(row):
            if math.isnan(value):
                continue
            light = math.isfinite(value) and value > low + 0.6 * (high - low)
            ink = INK if light or not math.isfinite(value) else "white"
            text = f"{value:.3f}" if limits == (0.0, 1.0) else f"{value:.3g}"
            axes.text(o, e, text, fontsize=FONT - 1, color=ink, ha="center", va="center_baseline")
    return image
