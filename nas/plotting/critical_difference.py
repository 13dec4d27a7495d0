"""Critical-difference diagrams of mean ranks (Demsar, JMLR 2006)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.plotting.figure import INK, label, new_figure

FONT, BAR, LINE = 9.0, "#1565c0", 1.0
WIDTH, HEAD, ROW, AXIS = 7.4, 0.95, 0.23, -0.66
"""Inches: width of the figure, height of a panel without rows, height of a row, position of the axis of ranks."""


class RankPanel(NamedTuple):
    """Mean ranks of methods by one measure.

    Attributes:
        title: title of the diagram.
        ranks: mean rank by name; 1 is the best.
        critical_difference: difference of mean ranks that is significant, None if it is unknown.
    """

    title: str
    ranks: Mapping[str, float]
    critical_difference: float | None


def cliques(ranks: Sequence[float], critical_difference: float) -> list[tuple[int, int]]:
    """Return the largest ranges (first, last) of sorted ranks that differ by less than the critical difference."""
    ranges: list[tuple[int, int]] = []
    for first, low in enumerate(ranks):
        last = max(i for i, rank in enumerate(ranks) if rank - low < critical_difference or i == first)
        if last > first and (not ranges or last > ranges[-1][1]):
            ranges.append((first, last))
    return ranges


def critical_difference_figure(panels: Sequence[RankPanel]) -> Figure:
    """Draw one diagram per panel: an axis of ranks, the methods, and bars that connect those without a difference."""
    rows = [-(-len(panel.ranks) // 2) for panel in panels]
    bars = [len(_bars(panel)) for panel in panels]
    heights = [HEAD + ROW * count + 0.11 * more for count, more in zip(rows, bars, strict=True)]
    figure = new_figure(WIDTH, sum(heights))
    top = sum(heights)
    for panel, height in zip(panels, heights, strict=True):
        top -= height
        axes = figure.add_axes((0, top / sum(heights), 1, height / sum(heights)))
        axes.set(xlim=(0, WIDTH), ylim=(-height, 0))
        axes.axis("off")
        _draw(axes, panel)
    return figure


def _bars(panel: RankPanel) -> list[tuple[float, float]]:
    """Return the ends of the bars."""
    ranks = sorted(panel.ranks.values())
    if panel.critical_difference is None:
        return []
    return [(ranks[first], ranks[last]) for first, last in cliques(ranks, panel.critical_difference)]


def _draw(axes: Axes, panel: RankPanel) -> None:
    """Draw a panel in inches, the upper left corner at (0, 0)."""
    names = sorted(panel.ranks, key=lambda name: panel.ranks[name])
    count, left, right, line = len(names), 2.1, WIDTH - 2.1, AXIS

    def position(rank: float) -> float:
        return left + (right - left) * (rank - 1) / max(count - 1, 1)

    axes.text(0.1, -0.1, label(panel.title), fontsize=FONT + 1, fontweight="bold", color=INK, va="top")
    axes.plot([left, right], [line, line], color=INK, lw=LINE)
    for rank in range(1, count + 1):
        axes.plot([position(rank)] * 2, [line, line + 0.06], color=INK, lw=LINE)
        axes.text(position(rank), line + 0.08, str(rank), fontsize=FONT - 1, color=INK, ha="center", va="bottom")
    if panel.critical_difference is not None:
        end = position(1 + panel.critical_difference)
        axes.plot([left, end], [-0.36] * 2, color=INK, lw=LINE + 0.5, marker="|", ms=5)
        text = f"critical difference {panel.critical_difference:.2f}"
        axes.text(end + 0.1, -0.36, text, fontsize=FONT - 1, color=INK, va="center")
    bars = _bars(panel)
    for number, (low, high) in enumerate(bars):
        height = line - 0.08 - 0.11 * number
        axes.plot([position(low) - 0.03, position(high) + 0.03], [height] * 2, color=BAR, lw=3.5)
    for number, name in enumerate(names):
        is_left = number < -(-count // 2)
        row = number if is_left else count - 1 - number
        height = line - 0.14 - 0.11 * len(bars) - ROW * row
        edge, side = (left - 0.1, -0.06) if is_left else (right + 0.1, 0.06)
        place = position(panel.ranks[name])
        axes.plot([place, place, edge], [line, height, height], color=INK, lw=LINE * 0.7)
        text = (
            f"{label(name, 28)}  {panel.ranks[name]:.2f}" if is_left else f"{panel.ranks[name]:.2f}  {label(name, 28)}"
        )
        axes.text(edge + side, height, text, fontsize=FONT, color=INK, ha="right" if is_left else "left", va="center")
