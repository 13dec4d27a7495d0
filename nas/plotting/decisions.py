"""Table of the decisions of a genotype of a user-defined model."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from nas.architecture.cell import CellGenotype, Genotype
from nas.plotting.figure import BOLD, HEAD, INK, TITLE_FONT, add_title, label, new_figure, text_width
from nas.plotting.op_colors import op_color

FONT = 9.0
MARGIN, ROW, BOX, GAP = 0.2, 0.36, 0.27, 0.12  # inches
PAD = 0.24


def decisions_figure(genotype: Genotype, title: str = "") -> Figure:
    """Plot one row per decision under a title: its name, and a box with each chosen option."""
    rows = {label(name): [label(text) for text in _options(cell)] for name, cell in genotype.cells.items()}
    names = max(text_width(name, FONT) * BOLD for name in rows)
    boxes = max(sum(text_width(text, FONT) + PAD + GAP for text in texts) for texts in rows.values())
    head = HEAD if title else 0.0
    width = max(2 * MARGIN + names + GAP + boxes, text_width(label(title), TITLE_FONT) * BOLD + 2 * MARGIN)
    height = 2 * MARGIN + ROW * len(rows) + head
    figure = new_figure(width, height)
    add_title(figure, title, MARGIN)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    for number, (name, texts) in enumerate(rows.items()):
        y = height - head - MARGIN - ROW * (number + 0.5)
        axes.text(MARGIN, y, name, fontsize=FONT, fontweight="bold", color=INK, va="center_baseline")
        x = MARGIN + names + GAP
        for text in texts:
            size, color = text_width(text, FONT) + PAD, op_color(text.rpartition(" ")[2])
            style = "round,pad=0,rounding_size=0.08"
            axes.add_patch(FancyBboxPatch((x, y - BOX / 2), size, BOX, boxstyle=style, fc="white", ec=color, lw=1.5))
            axes.text(x + size / 2, y, text, fontsize=FONT, color=color, ha="center", va="center_baseline")
            x += size + GAP
    return figure


def _options(cell: CellGenotype) -> list[str]:
    """Return the texts of the boxes: the option, or each kept input with its option."""
    if len(cell.links) == 1 and cell.links[0][1:] == (0, 1):
        return [cell.links[0].op]
    return [f"{link.source} \N{RIGHTWARDS ARROW} {link.op}" for link in cell.links]
