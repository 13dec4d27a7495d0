"""Line charts and area charts of a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from nas.plotting.figure import label, new_figure
from nas.report.svg import INK, SERIES, STYLE, css_color, inline_svg

WIDTH, HEIGHT = 4.2, 2.6  # inches
MAX_POINTS = 300  # points of a line; longer lines are thinned


@dataclass(frozen=True)
class Chart:
    """A chart of a page: its picture, the entries (text, CSS color) of its legend, and a sentence below it."""

    title: str
    svg: Markup
    legend: Sequence[tuple[str, str]] = ()
    note: str = ""


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        label: name in the legend.
        x, y: the points; NaN leaves a gap.
        color: color of :mod:`nas.report.svg`, or of an op.
        low, high: limits of a band around the line.
        style: straight lines, steps, or only points.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    color: str
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    style: Literal["line", "steps", "points", "dashed"] = "line"


def series_color(number: int) -> str:
    """Return the color of a series by its number."""
    return SERIES[number % len(SERIES)]


def series_style(number: int) -> Literal["line", "dashed"]:
    """Return the style of a series by its number: series with the same color have different styles."""
    return "dashed" if number // len(SERIES) % 2 else "line"


def line_chart(
    name: str,
    title: str,
    lines: Sequence[Line],
    x_label: str = "epoch",
    note: str = "",
    log: bool = False,
    reference: tuple[str, float] | None = None,
) -> Chart:
    """Draw lines, with their bands.

    Args:
        name: prefix of ids, unique in the page.
        title: quantity on the y axis, with its unit.
        lines: the lines.
        x_label: label of the x axis.
        note: a sentence below the chart.
        log: whether the y axis is logarithmic.
        reference: label and value of a horizontal line.
    """
    with rc_context(STYLE):
        figure, axes = _new_axes()
        for line in lines:
            _draw(axes, line)
        if reference is not None:
            axes.axhline(reference[1], color=INK, lw=1, ls=(0, (5, 3)))
        if log and len({y for line in lines for y in line.y}) > 1:
            _logarithmic(axes)
        else:
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.ticklabel_format(axis="y", useOffset=False)
            _widen(axes)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.set_xlabel(label(x_label))
        axes.margins(x=0.02)
        if len(places := {x for line in lines for x in line.x}) == 1:
            axes.set_xlim(min(places) - 0.5, max(places) + 0.5)
        svg = inline_svg(figure, name, _describe(title, lines))
    legend = [legend_entry(line) for line in lines] if len(lines) > 1 or reference else []
    if reference is not None:
        legend.append((f"{reference[0]} {reference[1]:.2f} (dashed)", css_color(INK)))
    return Chart(title, svg, legend, note)


def legend_entry(line: Line) -> tuple[str, str]:
    """Return the entry (text, CSS color) of a line in a legend."""
    return f"{line.label} (dashed)" if line.style == "dashed" else line.label, css_color(line.color)


def area_chart(
    name: str,
    title: str,
    x: Sequence[float],
    parts: Mapping[str, Sequence[float]],
    colors: Mapping[str, str],
    note: str = "",
) -> Chart:
    """Draw shares of a whole over the epochs as stacked areas, in percent.

    Args:
        name: name of the picture, unique in a page.
        title: title of the chart.
        x: the epochs.
        parts: values of each part, which are divided by their sum.
        colors: color of each part.
        note: text below the chart.
    """
    total = np.maximum(np.sum([list(part) for part in parts.values()], axis=0), 1e-12)
    shares = {key: 100 * np.asarray(part, float) / total for key, part in parts.items()}
    last = ", ".join(f"{key} {part[-1]:.0f} %" for key, part in shares.items())
    x, shares = _thin(x, np.mean), {key: np.asarray(_thin(part.tolist(), np.nanmean)) for key, part in shares.items()}
    if len(x) == 1:  # an area needs a width
        x, shares = [x[0] - 0.5, x[0] + 0.5], {key: np.repeat(part, 2) for key, part in shares.items()}
    with rc_context(STYLE):
        figure, axes = _new_axes()
        axes.stackplot(x, list(shares.values()), colors=[colors[key] for key in shares], lw=0)
        axes.set(ylim=(0, 100), xlim=(min(x), max(x)))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("epoch")
        svg = inline_svg(figure, name, f"{title}. At the end: {last}.")
    return Chart(title, svg, [(key, css_color(colors[key])) for key in shares], note)


def _new_axes() -> tuple[Figure, Axes]:
    figure = new_figure(WIDTH, HEIGHT)  # fixed margins: an automatic layout draws a figure twice
    figure.patch.set_visible(False)
    return figure, figure.add_axes((0.6 / WIDTH, 0.42 / HEIGHT, 1 - 0.7 / WIDTH, 1 - 0.52 / HEIGHT))


def _draw(axes: Axes, line: Line) -> None:
    x, y = _thinned(line)
    if line.low and line.high:
        middle, low, high = _thin(line.x, np.mean), _thin(line.low, np.nanmin), _thin(line.high, np.nanmax)
        axes.fill_between(middle, low, high, color=line.color, alpha=0.18, lw=0)
    if line.style == "points":
        axes.plot(x, y, ".", color=line.color, ms=3, alpha=0.6)
        return
    marker = "o" if len(x) == 1 else ""
    drawstyle: Literal["steps-post", "default"] = "steps-post" if line.style == "steps" else "default"
    dashes = (0, (4, 2)) if line.style == "dashed" else "-"
    axes.plot(x, y, color=line.color, lw=1.4, ls=dashes, marker=marker, ms=4, drawstyle=drawstyle)


def _logarithmic(axes: Axes) -> None:
    """Use a logarithmic y axis whose ticks are plain numbers, also within one decade."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    steps = (1, 2, 5) if high < 1000 * low else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps) if high > 10 * low else MaxNLocator(5))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.6g}"))


def _widen(axes: Axes) -> None:
    """Show at least 2 % of the value of a nearly constant line, so that it looks constant."""
    low, high = axes.get_ylim()
    least = 0.02 * max(abs(low), abs(high))
    if high - low < least:
        middle = (low + high) / 2
        axes.set_ylim(middle - least / 2, middle + least / 2)


def _thinned(line: Line) -> tuple[list[float], list[float]]:
    """Return the points of a line to draw: means of blocks, the last points of blocks (steps), or some of the points.

    The highest and the lowest one of separate points are always drawn.
    """
    if line.style == "steps":
        return _thin(line.x, _last), _thin(line.y, _last)
    if line.style != "points":
        return _thin(line.x, np.mean), _thin(line.y, np.nanmean)
    finite = [position for position, value in enumerate(line.y) if math.isfinite(value)]
    extremes = {of(finite, key=lambda position: line.y[position]) for of in (min, max) if finite}
    kept = sorted({*range(0, len(line.y), _block_size(line.y)), *extremes})
    return [line.x[position] for position in kept], [line.y[position] for position in kept]


def _thin(values: Sequence[float], of: Callable[[Any], Any]) -> list[float]:
    """Return at most ``MAX_POINTS`` values: ``of`` each block of consecutive ones, NaN for a block of NaN."""
    size = _block_size(values)
    if size == 1:
        return list(values)
    blocks = [np.asarray(values[start : start + size], float) for start in range(0, len(values), size)]
    return [math.nan if np.isnan(block).all() else float(of(block)) for block in blocks]


def _block_size(values: Sequence[float]) -> int:
    return max(math.ceil(len(values) / MAX_POINTS), 1)


def _last(block: Sequence[float]) -> float:
    return block[-1]


def _describe(title: str, lines: Sequence[Line]) -> str:
    """Return the last value of each line, for screen readers."""
    ends = [(line.label, [y for y in line.y if math.isfinite(y)]) for line in lines]
    return f"{title}. Last values: " + ", ".join(f"{name} {values[-1]:.4g}" for name, values in ends if values) + "."
