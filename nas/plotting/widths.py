"""Bar charts of the layer widths of NATS-Bench's size space."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas.plotting.figure import HEAD, INK, add_title, new_figure
from nas.spaces.nats_size.skeleton import REDUCTION_BLOCKS

GRAY = "#78909c"
COLORS = {"cell": "#1565c0", "reduction": "#d84315"}
FONT = 9.0
LEFT, BOTTOM = 0.7, 0.55  # inches


def widths_figure(widths: Sequence[int], title: str = "") -> Figure:
    """Plot one bar per layer under a title; its height and its label are the output channels."""
    width, height, head = 1.0 * len(widths) + 1.2, 3.0, HEAD if title else 0.0
    figure = new_figure(width, height + head)
    add_title(figure, title, 0.2)
    size = (width - LEFT - 0.2) / width, (height - BOTTOM - 0.4) / (height + head)
    axes = figure.add_axes((LEFT / width, BOTTOM / (height + head), *size))
    for layer, width in enumerate(widths):
        kind = "reduction" if layer + 1 in REDUCTION_BLOCKS else "cell"
        _bar(axes, layer, width, max(widths), COLORS[kind])
    names = [f"{layer}\n{'reduction' if layer + 1 in REDUCTION_BLOCKS else 'cell'}" for layer in range(len(widths))]
    axes.set_xticks(range(len(widths)), names, fontsize=FONT, color=INK)
    axes.set(xlim=(-0.6, len(widths) - 0.4), ylim=(0, 1.15 * max(widths)))
    axes.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 4, 5, 10], integer=True))  # whole channels
    axes.set_ylabel("output channels", fontsize=FONT, color=INK)
    axes.set_title("width of each layer", loc="left", fontsize=FONT + 3, fontweight="bold", color=INK)
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", labelsize=FONT, colors=GRAY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRAY)
    return figure


def _bar(axes: Axes, layer: int, width: int, highest: int, color: str) -> None:
    axes.bar(layer, width, 0.62, color=color, alpha=0.9, zorder=2)
    axes.text(layer, width + 0.02 * highest, str(width), fontsize=FONT + 2, color=INK, ha="center", va="bottom")
