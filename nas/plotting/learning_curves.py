"""Learning curves of predictors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from nas.plotting.figure import INK, label, new_figure

COLORS = ("#1565c0", "#ef6c00", "#2e7d32", "#8e24aa", "#c62828", "#546e7a")
FONT = 9.0

Curve = Mapping[int, tuple[float, float]]
"""Mean and standard deviation by the number of samples."""


def learning_curves_figure(panels: Mapping[str, Mapping[str, Curve]], name: str) -> Figure:
    """Plot one panel per encoding and one curve per predictor, with bands of one standard deviation; no point for NaN.

    Args:
        panels: curves by predictor, by encoding.
        name: label of the vertical axis.
    """
    figure = new_figure(4.2 * len(panels) + 0.4, 3.6, "constrained")
    names = list(dict.fromkeys(key for curves in panels.values() for key in curves))
    shared = None
    for position, (title, curves) in enumerate(panels.items(), 1):
        axes = shared = figure.add_subplot(1, len(panels), position, sharey=shared)
        for key, curve in curves.items():
            color, sizes = COLORS[names.index(key) % len(COLORS)], sorted(curve)
            mean, std = ([curve[size][part] for size in sizes] for part in (0, 1))
            axes.plot(sizes, mean, "o-", color=color, ms=3.5, lw=1.4, label=label(key))
            low, high = (_shifted(mean, std, sign) for sign in (-1, 1))
            axes.fill_between(sizes, low, high, color=color, alpha=0.12, lw=0)
        axes.set_xscale("log")
        ticks = sorted({size for curve in curves.values() for size in curve})
        if not any(math.isfinite(mean) for curve in curves.values() for mean, _ in curve.values()):
            axes.set_xlim(ticks[0] / 2, 2 * ticks[-1])  # a logarithmic axis has no default limits without points
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("samples", fontsize=FONT, color=INK)
        axes.set_title(label(title), fontsize=FONT + 1, color=INK)
        axes.tick_params(labelsize=FONT, colors=INK)
        axes.grid(alpha=0.3)
        if position == 1:
            axes.set_ylabel(label(name), fontsize=FONT, color=INK)
            axes.legend(fontsize=FONT - 1, frameon=False, loc="lower right")
    return figure


def _shifted(mean: Sequence[float], std: Sequence[float], sign: int) -> list[float]:
    return [m + sign * s for m, s in zip(mean, std, strict=True)]
