"""Anytime performance of black-box searches: curves of the best value so far, their mean, and the plot."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from nas.architecture.cell import Genotype
from nas.blackbox.ask_tell import AskTellLoop
from nas.blackbox.evaluator import Evaluator
from nas.utils.atomic_write import write_atomically

Values = NDArray[np.float64]
POINTS = 200
PLOT_COLUMNS = 3
LABEL_WIDTH = 32
"""Characters per line of an axis label."""


class AnytimeCurve(NamedTuple):
    """Best genotype of a run as a function of the cost.

    Attributes:
        spent: cost from which each incumbent is the best.
        values: values of the incumbents by name; "value" is that of the search.
        end: cost of the whole run.
    """

    spent: list[float]
    values: dict[str, list[float]]
    end: float


class Band(NamedTuple):
    """Statistics over runs at the points of a grid: mean, standard deviation, and 95 % band of the mean."""

    grid: Values
    mean: Values
    std: Values
    low: Values
    high: Values


def anytime_curve(
    loop: AskTellLoop, evaluator: Evaluator, cache: dict[Genotype, dict[str, float]] | None = None
) -> AnytimeCurve:
    """Return the curve of a run, over simulated seconds or else queries.

    Args:
        loop: the run.
        evaluator: provides the ``reported_accuracies`` of the incumbents.
        cache: reported accuracies of genotypes, extended and reused from run to run.
    """
    cache = {} if cache is None else cache
    seconds = list(accumulate(query.seconds for query in loop.history))
    spent = [seconds[number] if evaluator.simulated else number + 1.0 for number in loop.incumbents]
    best = [loop.history[number] for number in loop.incumbents]
    for genotype in {query.genotype for query in best} - set(cache):
        cache[genotype] = evaluator.reported_accuracies(genotype)
    reported = [cache[query.genotype] for query in best]
    values = {"value": [query.value if math.isfinite(query.value) else math.nan for query in best]}
    for name in sorted(set.intersection(*(set(accuracies) for accuracies in reported))):
        values[name] = [accuracies[name] for accuracies in reported]
    return AnytimeCurve(spent, values, seconds[-1] if evaluator.simulated else float(len(loop.history)))


def values_on_grid(curves: Sequence[AnytimeCurve], name: str, grid: Values) -> Values:
    """Return the value of each run's incumbent [runs, points] at each cost; NaN before the run's first query."""
    table = np.full((len(curves), len(grid)), np.nan)
    for row, curve in zip(table, curves, strict=True):
        incumbent = np.searchsorted(curve.spent, grid, side="right") - 1
        row[incumbent >= 0] = np.asarray(curve.values[name])[incumbent[incumbent >= 0]]
    return table


def mean_band(values: Values, grid: Values, level: float = 0.95) -> Band:
    """Return mean, standard deviation (n - 1) and Student's interval of the mean over runs.

    Args:
        values: [runs, points]. The deviation and band of a single run are NaN.
        grid: costs [points].
        level: coverage of the interval.
    """
    from scipy import stats  # imported here, because it takes longer than the import of this package

    runs = len(values)
    mean = values.mean(axis=0)
    std = values.std(axis=0, ddof=1) if runs > 1 else np.full_like(mean, np.nan)
    half = stats.t.ppf((1 + level) / 2, max(runs - 1, 1)) * std / math.sqrt(runs)
    return Band(grid, mean, std, mean - half, mean + half)


def summarize(curves: Sequence[AnytimeCurve], optimum: Mapping[str, float]) -> dict[str, Band]:
    """Return a band per value that all runs have, and of NAME regret (optimum - value) for each known optimum.

    The grid starts at the first cost at which every run has made a query.
    """
    grid = np.linspace(max(curve.spent[0] for curve in curves), max(curve.end for curve in curves), POINTS)
    bands: dict[str, Band] = {}
    for name in curves[0].values:
        if all(name in curve.values for curve in curves):
            table = values_on_grid(curves, name, grid)
            bands[name] = mean_band(table, grid)
            if name in optimum:
                bands[f"{name} regret"] = mean_band(optimum[name] - table, grid)
    return bands


def save_curves(bands: Mapping[str, Band], directory: Path, evaluator: Evaluator) -> tuple[Path, Path]:
    """Write anytime.csv (one row per name and point) and anytime.png, and return their paths."""
    table, plot = directory / "anytime.csv", directory / "anytime.png"
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["name", "seconds" if evaluator.simulated else "queries", "mean", "std", "low", "high"])
    for name, band in bands.items():
        writer.writerows([name, *(f"{value:.6g}" for value in row)] for row in zip(*band, strict=True))
    write_atomically(table, text.getvalue())
    image = io.BytesIO()
    plot_curves(bands, evaluator).savefig(image, format="png", dpi=120, metadata={"Software": None})
    write_atomically(plot, image.getvalue())
    return table, plot


def plot_curves(bands: Mapping[str, Band], evaluator: Evaluator) -> Figure:
    """Plot mean and band of the best value and, if the optimum is known, of the regrets."""
    names = ["value", *(name for name in bands if name.endswith(" regret"))]
    columns = min(len(names), PLOT_COLUMNS)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.5 * rows), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for position, name in enumerate(names, 1):
        axes = figure.add_subplot(rows, columns, position)
        band = bands[name]
        axes.step(band.grid, band.mean, where="post", color="#1565c0", lw=1.6)
        if np.isfinite(band.low).any():
            axes.fill_between(band.grid, band.low, band.high, step="post", color="#1565c0", alpha=0.25, lw=0)
        axes.set_xlabel("simulated seconds of evaluations" if evaluator.simulated else "queries")
        axes.locator_params(axis="x", integer=True)
        label = evaluator.label if name == "value" else f"{name} (%)"
        axes.set_ylabel(textwrap.fill(label, LABEL_WIDTH))
        if name != "value" and (band.mean > 0).all():
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            plain = StrMethodFormatter("{x:g}")  # 0.6 instead of 6 x 10^-1
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(plain)
            axes.yaxis.set_minor_formatter(plain if high < 10 * low else NullFormatter())
        axes.grid(alpha=0.3)
    return figure
