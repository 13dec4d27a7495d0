"""The trajectory of a pruning search as a picture: figure 5 of TE-NAS (Chen et al., ICLR 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nas.utils.io import write_atomically

INK = "#263238"
LINE = "#1565c0"


def trajectory_figure(points: Sequence[Mapping[str, float]], names: Sequence[str]) -> Figure:
    """The first of ``names`` on the y axis against the second, or against the rounds where there is one.

    Points are numbered by the rounds behind them; those that are not finite are left out.
    """
    across = names[1] if len(names) > 1 else "round"
    shown = [p for p in points if math.isfinite(p[names[0]]) and math.isfinite(p[across])]
    figure = Figure(figsize=(5.0, 4.0), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([p[across] for p in shown], [p[names[0]] for p in shown], "-o", color=LINE, lw=1.4)
    for p in shown:
        place = (p[across], p[names[0]])
        axes.annotate(f"{p['round']:.0f}", place, (5, 5), textcoords="offset points", color=INK, fontsize=9)
    axes.set_xlabel(across.replace("_", " "))
    axes.set_ylabel(names[0].replace("_", " "))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def save_trajectory(points: Sequence[Mapping[str, float]], names: Sequence[str], directory: Path) -> tuple[Path, Path]:
    """Write ``trajectory.svg`` and ``trajectory.png``, whole or not at all, the same bytes for the same points."""
    directory.mkdir(parents=True, exist_ok=True)
    files = directory / "trajectory.svg", directory / "trajectory.png"
    hidden: tuple[dict[str, None], ...] = ({"Date": None, "Creator": None}, {"Software": None})
    figure = trajectory_figure(points, names)
    for file, metadata in zip(files, hidden, strict=True):
        drawn = BytesIO()
        with rc_context({"svg.hashsalt": "nas"}):
            figure.savefig(drawn, format=file.suffix[1:], dpi=160, metadata=metadata)
        write_atomically(file, drawn.getvalue())
    return files
