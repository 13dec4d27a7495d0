"""Pictures of cells and of the scores of their edges, without a display and without global state."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve
from matplotlib.textpath import TextPath
from torch import Tensor

from nas.architecture.cell import NONE, Cell, CellGenotype, Genotype, Link
from nas.plotting.graph_layout import Arrow, Box, Layout, Route, layered
from nas.plotting.widths import widths_figure
from nas.spaces.nats_size.notation import NOTATION as NATS_SIZE
from nas.spaces.nats_size.notation import widths_of
from nas.utils.io import write_atomically

MARGIN, TITLE = 0.2, 0.35  # inches, as all lengths here
PAGE = 14.0  # what is wider goes below instead of beside
FONT = 9.0
INK, GREY = "#263238", "#90a4ae"
FAMILIES = (  # the first that occurs in the name of an op gives its color
    ("sep_conv", "#7b1fa2"),
    ("dil_conv", "#ad1457"),
    ("pool", "#d84315"),
    ("skip", "#2e7d32"),
    ("identity", "#2e7d32"),
    ("conv", "#1565c0"),
    (NONE, GREY),
)


class _Drawing(NamedTuple):
    """A cell with its layout; arrows beyond the links lead to the output box, which has the highest number."""

    cell: CellGenotype
    inputs: range
    layout: Layout
    boxes: Mapping[int, Box]

    @property
    def size(self) -> tuple[float, float]:
        return self.layout.width + 2 * MARGIN, self.layout.height + 2 * MARGIN + TITLE


def cell_figure(genotype: Genotype) -> Figure:
    """Every cell type of a genotype as a graph: boxes are nodes, arrows are links with the names of their ops.

    Links with ``none`` are dotted. Cell types stand side by side, or one below the other where they are wide. A
    genotype of widths is drawn as bars.
    """
    if genotype.space == NATS_SIZE:
        return widths_figure(widths_of(genotype))
    drawings = {name: _drawing(cell) for name, cell in genotype.cells.items()}
    widths, heights = zip(*(drawing.size for drawing in drawings.values()), strict=True)
    beside = sum(widths) <= PAGE
    width, height = (sum(widths), max(heights)) if beside else (max(widths), sum(heights))
    figure = _figure(width, height)
    x, top = 0.0, height
    for name, drawing in drawings.items():
        wide, high = drawing.size
        axes = figure.add_axes((x / width, (top - high) / height, wide / width, high / height))
        axes.set(xlim=(-MARGIN, wide - MARGIN), ylim=(-MARGIN, high - MARGIN))
        axes.axis("off")
        axes.text(0, high - 2 * MARGIN, name, fontsize=FONT + 3, fontweight="bold", color=INK, va="top")
        _draw(axes, drawing)
        x, top = (x + wide, top) if beside else (x, top - high)
    return figure


def save_cell(genotype: Genotype, directory: Path) -> tuple[Path, Path]:
    """Write ``cell.svg`` and ``cell.png``: whole or not at all, and the same bytes for the same genotype."""
    figure = cell_figure(genotype)
    directory.mkdir(parents=True, exist_ok=True)
    svg, png = directory / "cell.svg", directory / "cell.png"
    with rc_context({"svg.hashsalt": "nas"}):
        _write(figure, svg, {"Date": None, "Creator": None})
    _write(figure, png, {"Software": None})
    return svg, png


def heatmap_figure(scores: Mapping[str, Tensor], cells: Mapping[str, Cell]) -> Figure:
    """The scores [edges, ops] of each cell type as a table of colors and numbers; excluded entries stay empty."""
    left, right, top, bottom = 0.6, 0.25, 0.45, 0.85
    sizes = {name: (0.85 * len(cells[name].ops), 0.32 * len(cells[name].edges)) for name in scores}
    width = sum(wide + left + right for wide, _ in sizes.values())
    height = max(high for _, high in sizes.values()) + top + bottom
    figure, x = _figure(width, height), 0.0
    for name, (wide, high) in sizes.items():
        corner = ((x + left) / width, (height - top - high) / height)
        axes = figure.add_axes((*corner, wide / width, high / height))
        _heatmap(axes, name, scores[name].detach().cpu(), cells[name])
        x += left + wide + right
    return figure


def color(op: str) -> str:
    """The color of the family that an op belongs to."""
    return next((value for family, value in FAMILIES if family in op), INK)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _write(figure: Figure, file: Path, metadata: dict[str, None]) -> None:
    drawn = BytesIO()
    figure.savefig(drawn, format=file.suffix[1:], dpi=160, metadata=metadata)
    write_atomically(file, drawn.getvalue())


def _drawing(cell: CellGenotype) -> _Drawing:
    first = min((link.target for link in cell.links), default=min(cell.output, default=1))
    inputs = range(min(first, 2))
    nodes = sorted({*inputs, *cell.output, *(node for _, *pair in cell.links for node in pair)})
    ends = Counter(end for link in cell.links for end in (("from", link.source), ("to", link.target)))
    busy = {node: max(ends["from", node] + (node in cell.output), ends["to", node]) for node in nodes}
    boxes = {n: Box(_text_width(_node_name(n, inputs)) + 0.26, max(0.4, 0.1 * busy[n] + 0.08)) for n in nodes}
    arrows = [Arrow(source, target, _text_width(op) + 0.12) for op, source, target in cell.links]
    if len(cell.output) > 1:
        result = nodes[-1] + 1
        boxes[result] = Box(0.5, max(0.4, 0.25 * len(cell.output)))
        arrows += [Arrow(node, result) for node in cell.output]
    return _Drawing(cell, inputs, layered(boxes, arrows), boxes)


def _text_width(text: str) -> float:
    return float(TextPath((0, 0), text, size=FONT).get_extents().width) / 72


def _node_name(node: int, inputs: range) -> str:
    if node not in inputs:
        return str(node)
    return "in" if len(inputs) == 1 else f"$c_{{k-{2 - node}}}$"


def _draw(axes: Axes, drawing: _Drawing) -> None:
    cell, inputs, layout, boxes = drawing
    for route, link in zip(layout.routes, cell.links, strict=False):
        _draw_link(axes, route, link)
    for route in layout.routes[len(cell.links) :]:
        axes.add_patch(_arrow(route, GREY, "-", 1.0))
    for node, (x, y) in layout.nodes.items():
        result = node not in inputs and (node == max(boxes) if len(cell.output) > 1 else node in cell.output)
        (wide, high), text = boxes[node], "out" if result and len(cell.output) > 1 else _node_name(node, inputs)
        style = "round,pad=0,rounding_size=0.1"
        face = "#fff3e0" if result else "#e3f2fd" if node in inputs else "white"
        corner = (x - wide / 2, y - high / 2)
        axes.add_patch(FancyBboxPatch(corner, wide, high, boxstyle=style, fc=face, ec=INK, lw=1.3, zorder=3))
        axes.text(x, y, text, fontsize=FONT + 1, color=INK, ha="center", va="center_baseline", zorder=4)


def _draw_link(axes: Axes, route: Route, link: Link) -> None:
    shade = color(link.op)
    axes.add_patch(_arrow(route, shade, ":" if link.op == NONE else "-", 1.6))
    back = {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none"}
    axes.text(*route.label, link.op, fontsize=FONT, color=shade, ha="center", va="center_baseline", bbox=back, zorder=2)


def _arrow(route: Route, shade: str, line: str, weight: float) -> FancyArrowPatch:
    points, codes = [route.pieces[0][0]], [Curve.MOVETO]
    for left, right in route.pieces:
        if left != points[-1]:
            x0, y0 = points[-1]
            half = (left[0] - x0) / 2
            points += [(x0 + half, y0), (left[0] - half, left[1]), left]
            codes += [Curve.CURVE4] * 3
        if right != left:
            points.append(right)
            codes.append(Curve.LINETO)
    path = Curve(points, codes)
    return FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=9, color=shade, ls=line, lw=weight, zorder=1)


def _heatmap(axes: Axes, name: str, values: Tensor, cell: Cell) -> None:
    table = values.float().masked_fill(~cell.allowed(), math.nan)
    shown = table[table.isfinite()]
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
    axes.imshow(table.numpy(), cmap="viridis", vmin=low, vmax=high if high > low else low + 1, aspect="auto")
    axes.set_title(name, fontsize=FONT + 3, fontweight="bold", color=INK)
    axes.set_xticks(range(len(cell.ops)), cell.ops, rotation=35, ha="right", rotation_mode="anchor", fontsize=FONT)
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
