"""How good the best of a search is at any time: curves of runs, their mean and its band, and the picture of it."""

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
from numpy.typing import NDArray
from scipy import stats

from nas.architecture.cell import Genotype
from nas.blackbox.evaluator import Evaluator
from nas.blackbox.history import Queries
from nas.utils.io import write_atomically

Values = NDArray[np.float64]
POINTS = 200
COLUMNS = 3  # of the picture
LABEL = 32  # characters of a label beside an axis


class Trace(NamedTuple):
    """The best of a run against what it cost: from ``spent[i]`` on, ``values[name][i]`` holds of the best genotype."""

    spent: list[float]
    values: dict[str, list[float]]
    end: float


class Band(NamedTuple):
    """Over runs, at the points of a grid: mean, standard deviation, and the 95 % band of the mean."""

    grid: Values
    mean: Values
    std: Values
    low: Values
    high: Values


def trace(queries: Queries, evaluator: Evaluator, known: dict[Genotype, dict[str, float]] | None = None) -> Trace:
    """The curve of a run, in simulated seconds or else in queries: its value, and the ``facts`` of its best genotypes.

    ``known`` keeps the facts from run to run.
    """
    known = {} if known is None else known
    seconds = list(accumulate(query.seconds for query in queries.history))
    spent = [seconds[number] if evaluator.simulated else number + 1.0 for number in queries.incumbents]
    best = [queries.history[number] for number in queries.incumbents]
    for genotype in {query.genotype for query in best} - set(known):
        known[genotype] = evaluator.facts(genotype)
    facts = [known[query.genotype] for query in best]
    values = {"value": [query.value if math.isfinite(query.value) else math.nan for query in best]}
    for name in sorted(set.intersection(*(set(found) for found in facts))):
        values[name] = [found[name] for found in facts]
    return Trace(spent, values, seconds[-1] if evaluator.simulated else float(len(queries.history)))


def on_grid(runs: Sequence[Trace], name: str, grid: Values) -> Values:
    """[runs, points] The value ``name`` of the best genotype at each point; NaN before a run's first query."""
    table = np.full((len(runs), len(grid)), np.nan)
    for row, run in zip(table, runs, strict=True):
        place = np.searchsorted(run.spent, grid, side="right") - 1
        row[place >= 0] = np.asarray(run.values[name])[place[place >= 0]]
    return table


def band(values: Values, grid: Values, level: float = 0.95) -> Band:
    """Mean, standard deviation (n - 1), and Student's interval of the mean over the rows of ``values``.

    Of one row there is no deviation: it is NaN, and so is the band.
    """
    runs = len(values)
    mean = values.mean(axis=0)
    std = values.std(axis=0, ddof=1) if runs > 1 else np.full_like(mean, np.nan)
    half = stats.t.ppf((1 + level) / 2, max(runs - 1, 1)) * std / math.sqrt(runs)
    return Band(grid, mean, std, mean - half, mean + half)


def summarize(runs: Sequence[Trace], optimum: Mapping[str, float]) -> dict[str, Band]:
    """A band for each value that all runs have, and ``NAME regret`` (optimum - value) where the optimum is known.

    The grid begins where every run has made its first query.
    """
    grid = np.linspace(max(run.spent[0] for run in runs), max(run.end for run in runs), POINTS)
    found: dict[str, Band] = {}
    for name in runs[0].values:
        if all(name in run.values for run in runs):
            table = on_grid(runs, name, grid)
            found[name] = band(table, grid)
            if name in optimum:
                found[f"{name} regret"] = band(optimum[name] - table, grid)
    return found


def save_curves(bands: Mapping[str, Band], directory: Path, evaluator: Evaluator) -> tuple[Path, Path]:
    """Writes anytime.csv (one row a name and point) and anytime.png."""
    table, picture = directory / "anytime.csv", directory / "anytime.png"
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["name", "seconds" if evaluator.simulated else "queries", "mean", "std", "low", "high"])
    for name, one in bands.items():
        writer.writerows([name, *(f"{value:.6g}" for value in row)] for row in zip(*one, strict=True))
    write_atomically(table, buffer.getvalue())
    drawn = io.BytesIO()
    curve_figure(bands, evaluator).savefig(drawn, format="png", dpi=120, metadata={"Software": None})
    write_atomically(picture, drawn.getvalue())
    return table, picture


def curve_figure(bands: Mapping[str, Band], evaluator: Evaluator) -> Figure:
    """The value of the best genotype and, where it is known, the regret of what is reported of it: mean and band."""
    names = ["value", *(name for name in bands if name.endswith(" regret"))]
    columns = min(len(names), COLUMNS)
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.5 * lines), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(lines, columns, place)
        one = bands[name]
        axes.step(one.grid, one.mean, where="post", color="#1565c0", lw=1.6)
        if np.isfinite(one.low).any():
            axes.fill_between(one.grid, one.low, one.high, step="post", color="#1565c0", alpha=0.25, lw=0)
        axes.set_xlabel("simulated seconds" if evaluator.simulated else "queries")
        label = evaluator.unit if name == "value" else f"{name} (%)"
        axes.set_ylabel(textwrap.fill(label, LABEL))
        if name != "value" and (one.mean > 0).all():
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
    return figure
