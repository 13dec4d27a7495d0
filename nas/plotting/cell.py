"""Graphs of the cells of a genotype."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve

from nas.architecture.cell import NONE, CellGenotype, Genotype, Link
from nas.plotting.chain import chain_figure
from nas.plotting.decisions import decisions_figure
from nas.plotting.figure import BOLD, HEAD, INK, TITLE_FONT, add_title, label, new_figure, save_figure, text_width
from nas.plotting.graph_layout import Arrow, Box, Layout, Route, layered_layout
from nas.plotting.op_colors import GRAY, op_color
from nas.plotting.widths import widths_figure
from nas.spaces.choices_notation import NOTATION as CHOICES
from nas.spaces.nas_bench_1shot1 import notation as nas_bench_1shot1
from nas.spaces.nas_bench_1shot1.notation import NOTATION as NAS_BENCH_1SHOT1
from nas.spaces.nas_bench_101 import notation as nas_bench_101
from nas.spaces.nas_bench_101.graph import prune
from nas.spaces.nas_bench_101.notation import NOTATION as NAS_BENCH_101
from nas.spaces.nats_size.notation import NOTATION as NATS_SIZE
from nas.spaces.nats_size.notation import widths_of
from nas.spaces.single_path.mobilenet_v2 import NOTATION as MOBILE
from nas.spaces.single_path.shufflenet_v2 import NOTATION as SHUFFLENET

MARGIN, TITLE = 0.2, 0.35  # in inches, as all lengths in this module
MAX_WIDTH = 15.0  # cell types stack vertically if they are wider side by side
FONT = 9.0


class _CellDrawing(NamedTuple):
    """A cell with its layout. Arrows after those of the links lead to the output box, which has the highest number."""

    cell: CellGenotype
    inputs: range
    layout: Layout
    boxes: Mapping[int, Box]

    @property
    def size(self) -> tuple[float, float]:
        return self.layout.width + 2 * MARGIN, self.layout.height + 2 * MARGIN + TITLE


def cell_figure(genotype: Genotype, title: str = "") -> Figure:
    """Plot a genotype under a title, by the figure of its space; ``graph_figure`` by default."""
    return FIGURES.get(genotype.space, graph_figure)(genotype, title)


def graph_figure(genotype: Genotype, title: str = "") -> Figure:
    """Plot every cell type as a graph: boxes are nodes, arrows are links labeled with their ops.

    Links with ``none`` are dotted. Cell types stand side by side, or one below the other if they are wide.
    """
    drawings = {name: _lay_out(cell) for name, cell in genotype.cells.items()}
    widths, heights = zip(*(drawing.size for drawing in drawings.values()), strict=True)
    side_by_side = sum(widths) <= MAX_WIDTH
    width, height = (sum(widths), max(heights)) if side_by_side else (max(widths), sum(heights))
    head = HEAD if title else 0.0
    width, height = max(width, text_width(label(title), TITLE_FONT) * BOLD + 2 * MARGIN), height + head
    figure = new_figure(width, height)
    add_title(figure, title, MARGIN)
    x, top = 0.0, height - head
    for name, drawing in drawings.items():
        cell_width, cell_height = drawing.size
        axes = figure.add_axes((x / width, (top - cell_height) / height, cell_width / width, cell_height / height))
        axes.set(xlim=(-MARGIN, cell_width - MARGIN), ylim=(-MARGIN, cell_height - MARGIN))
        axes.axis("off")
        axes.text(0, cell_height - 2 * MARGIN, label(name), fontsize=FONT + 3, fontweight="bold", color=INK, va="top")
        _draw(axes, drawing)
        x, top = (x + cell_width, top) if side_by_side else (x, top - cell_height)
    return figure


def _widths_figure(genotype: Genotype, title: str) -> Figure:
    return widths_figure(widths_of(genotype), title)


def _vertices_figure(genotype: Genotype, title: str) -> Figure:
    """Plot the vertices that are on a path from input to output, each as a pair of nodes around its op."""
    one_shot = genotype.space == NAS_BENCH_1SHOT1
    graph = nas_bench_1shot1.to_graph(genotype) if one_shot else nas_bench_101.to_graph(genotype)
    return graph_figure(Genotype(genotype.space, {"cell": nas_bench_101.drawn_cell(prune(graph) or graph)}), title)


FIGURES: Mapping[str, Callable[[Genotype, str], Figure]] = {
    NATS_SIZE: _widths_figure,
    MOBILE: chain_figure,
    SHUFFLENET: chain_figure,
    CHOICES: decisions_figure,
    NAS_BENCH_101: _vertices_figure,
    NAS_BENCH_1SHOT1: _vertices_figure,
}
"""Figure of a genotype and a title, by the notation of its space; other spaces have ``graph_figure``."""


def save_cell(genotype: Genotype, directory: Path) -> tuple[Path, Path]:
    """Write ``cell.svg`` and ``cell.png`` atomically; equal genotypes give equal bytes."""
    figure = cell_figure(genotype)
    directory.mkdir(parents=True, exist_ok=True)
    svg, png = directory / "cell.svg", directory / "cell.png"
    save_figure(figure, svg)
    save_figure(figure, png)
    return svg, png


def _lay_out(cell: CellGenotype) -> _CellDrawing:
    first = min((link.target for link in cell.links), default=min(cell.output, default=1))
    inputs = range(min(first, 2))
    nodes = sorted({*inputs, *cell.output, *(node for _, *pair in cell.links for node in pair)})
    ends = Counter(end for link in cell.links for end in (("from", link.source), ("to", link.target)))
    degree = {node: max(ends["from", node] + (node in cell.output), ends["to", node]) for node in nodes}
    boxes = {
        n: Box(text_width(_node_name(n, inputs), FONT + 1) + 0.26, max(0.4, 0.1 * degree[n] + 0.08)) for n in nodes
    }
    arrows = [Arrow(source, target, text_width(label(op), FONT) + 0.12) for op, source, target in cell.links]
    if len(cell.output) > 1:
        output = nodes[-1] + 1
        boxes[output] = Box(0.5, max(0.4, 0.25 * len(cell.output)))
        arrows += [Arrow(node, output) for node in cell.output]
    return _CellDrawing(cell, inputs, layered_layout(boxes, arrows), boxes)


def _node_name(node: int, inputs: range) -> str:
    if node not in inputs:
        return str(node)
    return "in" if len(inputs) == 1 else f"$c_{{k-{2 - node}}}$"


def _draw(axes: Axes, drawing: _CellDrawing) -> None:
    cell, inputs, layout, boxes = drawing
    for route, link in zip(layout.routes, cell.links, strict=False):
        _draw_link(axes, route, link)
    for route in layout.routes[len(cell.links) :]:
        axes.add_patch(_arrow(route, GRAY, "-", 1.0))
    for node, (x, y) in layout.nodes.items():
        is_output = node not in inputs and (node == max(boxes) if len(cell.output) > 1 else node in cell.output)
        (width, height), text = boxes[node], "out" if is_output else _node_name(node, inputs)
        style = "round,pad=0,rounding_size=0.1"
        face = "#fff3e0" if is_output else "#e3f2fd" if node in inputs else "white"
        corner = (x - width / 2, y - height / 2)
        axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, fc=face, ec=INK, lw=1.3, zorder=3))
        axes.text(x, y, text, fontsize=FONT + 1, color=INK, ha="center", va="center_baseline", zorder=4)


def _draw_link(axes: Axes, route: Route, link: Link) -> None:
    color = op_color(link.op)
    axes.add_patch(_arrow(route, color, ":" if link.op == NONE else "-", 1.6))
    background = {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none"}
    axes.text(
        *route.label,
        label(link.op),
        fontsize=FONT,
        color=color,
        ha="center",
        va="center_baseline",
        bbox=background,
        zorder=2,
    )


def _arrow(route: Route, color: str, line_style: str, line_width: float) -> FancyArrowPatch:
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
    return FancyArrowPatch(
        path=path, arrowstyle="-|>", mutation_scale=9, color=color, ls=line_style, lw=line_width, zorder=1
    )
