"""Trajectory of a pruning search: figure 5 of TE-NAS (Chen et al., ICLR 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from nas.plotting.figure import INK, label, new_figure, save_figure

LINE, GRAY = "#1565c0", "#90a4ae"


def trajectory_figure(points: Sequence[Mapping[str, float]], names: Sequence[str]) -> Figure:
    """Plot the first of ``names`` (y axis) against the second (x axis), or against the round if there is only one.

    Each point is labeled with its number of completed rounds. Points that are not finite are omitted.
    """
    x_name = names[1] if len(names) > 1 else "round"
    finite = [p for p in points if math.isfinite(p[names[0]]) and math.isfinite(p[x_name])]
    figure = new_figure(5.0, 4.0, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([p[x_name] for p in finite], [p[names[0]] for p in finite], "-o", color=LINE, lw=1.4, ms=5)
    for p in finite:
        position = (p[x_name], p[names[0]])
        axes.annotate(f"{p['round']:.0f}", position, (5, 5), textcoords="offset points", color=INK, fontsize=9)
    axes.set_xlabel(label(x_name.replace("_", " ")), color=INK)
    axes.locator_params(axis="x", integer=x_name == "round")
    axes.set_ylabel(label(names[0].replace("_", " ")), color=INK)
    axes.margins(0.08)
    axes.grid(color=GRAY, alpha=0.3, lw=0.6)
    axes.tick_params(labelsize=9, length=2, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRAY)
    return figure


def save_trajectory(points: Sequence[Mapping[str, float]], names: Sequence[str], directory: Path) -> tuple[Path, Path]:
    """Write ``trajectory.svg`` and ``trajectory.png`` atomically; equal points give equal bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    svg, png = directory / "trajectory.svg", directory / "trajectory.png"
    figure = trajectory_figure(points, names)
    save_figure(figure, svg)
    save_figure(figure, png)
    return svg, png
