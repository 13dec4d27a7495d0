"""Trials with several objectives and their Pareto front."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from matplotlib.figure import Figure

from nas.plotting.figure import INK, label, new_figure, use_prefixes

POINT, FRONT, GRAY = "#90a4ae", "#1565c0", "#cfd8dc"
FONT = 9.0
PANEL = 4.2  # inches
MAX_PANELS = 3


def pareto_figure(values: Sequence[Sequence[float]], front: Sequence[Sequence[float]], names: Sequence[str]) -> Figure:
    """Plot all trials as points and the Pareto front as a line, one panel per pair of objectives.

    Args:
        values: objectives of each trial.
        front: objectives of the trials that no other one dominates.
        names: names of the objectives. The first ``MAX_PANELS`` pairs are shown.
    """
    pairs = list(itertools.combinations(range(len(names)), 2))[:MAX_PANELS]
    figure = new_figure(PANEL * len(pairs) + 0.2, 3.6, layout="constrained")
    for position, (vertical, horizontal) in enumerate(pairs):
        axes = figure.add_subplot(1, len(pairs), position + 1)
        axes.plot(
            [row[horizontal] for row in values],
            [row[vertical] for row in values],
            "o",
            color=POINT,
            ms=5,
            label="trials",
        )
        ordered = sorted((row[horizontal], row[vertical]) for row in front)
        line = "-" if len(names) == 2 else ""  # a pair out of more objectives has no separate front
        x, y = zip(*ordered, strict=True) if ordered else ((), ())
        axes.plot(x, y, line, marker="D", color=FRONT, ms=6, lw=1.4, label="Pareto front")
        axes.set_xlabel(label(names[horizontal].replace("_", " ")), fontsize=FONT, color=INK)
        axes.set_ylabel(label(names[vertical].replace("_", " ")), fontsize=FONT, color=INK)
        use_prefixes(axes.xaxis, (row[horizontal] for row in values))
        use_prefixes(axes.yaxis, (row[vertical] for row in values))
        axes.tick_params(labelsize=FONT - 1, length=2, colors=INK)
        axes.grid(color=GRAY, lw=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(GRAY)
    figure.axes[0].legend(fontsize=FONT, labelcolor=INK, frameon=False)
    return figure
