"""Results of a sweep: each job, and mean and standard deviation over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from nas.plotting.figure import INK, label, new_figure

POINT, MEAN, GRAY = "#90a4ae", "#1565c0", "#cfd8dc"
FONT = 9.0
MAX_ROWS = 60


def sweep_figure(values: Mapping[str, Sequence[float]], name: str, higher_is_better: bool = True) -> Figure:
    """Plot the values of each configuration as points, with mean and standard deviation (by n - 1), best at the top.

    Args:
        values: values of the jobs by configuration; the first ``MAX_ROWS`` configurations are shown.
        name: label of the axis.
        higher_is_better: direction of the values.
    """
    shown = sorted(values, key=lambda key: _mean(values[key]), reverse=not higher_is_better)[-MAX_ROWS:]
    texts = [label(key, 60) for key in shown]
    left = 0.35 + 0.075 * max(map(len, texts), default=0)
    width, height = left + 6.3, 0.32 * len(shown) + 0.9
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, 0.6 / height, 5.1 / width, (height - 0.75) / height))
    for row, key in enumerate(shown):
        results = list(values[key])
        axes.plot(results, [row] * len(results), "o", color=POINT, ms=4, zorder=2)
        mean = _mean(results)
        text = f"{mean:.2f}"
        if len(results) > 1:
            std = (sum((value - mean) ** 2 for value in results) / (len(results) - 1)) ** 0.5
            axes.errorbar(mean, row, xerr=std, fmt="D", color=MEAN, ms=5, capsize=3, lw=1.4, zorder=3)
            text += f" ± {std:.2f}"
        axes.annotate(
            text, (1.0, row), (4, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=FONT, color=INK
        )
    axes.set_yticks(range(len(shown)), texts, fontsize=FONT)
    axes.set(ylim=(-0.6, len(shown) - 0.4))
    unit = " (%)" if name.endswith("accuracy") else ""
    axes.set_xlabel(label(name.replace("_", " ")) + unit, fontsize=FONT, color=INK)
    axes.tick_params(labelsize=FONT, length=0, colors=INK)
    axes.grid(axis="x", color=GRAY, lw=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRAY)
    return figure


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
