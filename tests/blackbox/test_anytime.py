"""Anytime curves against numbers worked out by hand, and their band against a bootstrap."""

from __future__ import annotations

import csv
import math
import random
from pathlib import Path

import numpy as np

from nas.blackbox.anytime import (
    AnytimeCurve,
    Band,
    anytime_curve,
    mean_band,
    plot_curves,
    save_curves,
    summarize,
    values_on_grid,
)
from nas.blackbox.ask_tell import AskTellLoop, Budget, Query
from nas.blackbox.evaluator import QueryResult
from nas.blackbox.strategies.random_search import RandomSearch
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.query_tools import Formula


def test_values_on_grid_change_at_queries() -> None:
    curves = [AnytimeCurve([2.0, 5.0], {"value": [10.0, 30.0]}, 8.0), AnytimeCurve([3.0], {"value": [20.0]}, 8.0)]
    grid = np.array([1.0, 2.0, 3.0, 4.9, 5.0, 8.0])
    found = values_on_grid(curves, "value", grid)
    np.testing.assert_array_equal(found, [[math.nan, 10, 10, 10, 30, 30], [math.nan, math.nan, 20, 20, 20, 20]])


def test_mean_band_equals_bootstrap() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, 1.5, size=(200, 3)) + [90, 91, 92]
    found = mean_band(values, np.arange(3.0))
    means = values[rng.integers(0, 200, size=(20000, 200))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    half = (high - low) / 2
    assert np.all(abs(found.low - low) < 0.1 * half) and np.all(abs(found.high - high) < 0.1 * half)
    np.testing.assert_allclose(found.mean, values.mean(axis=0))


def test_mean_band_of_three_runs_by_hand() -> None:
    found = mean_band(np.array([[1.0], [2.0], [6.0]]), np.zeros(1))
    std = math.sqrt((4 + 1 + 9) / 2)
    assert found.mean == 3 and math.isclose(found.std[0], std)
    assert math.isclose(found.high[0], 3 + 4.302653 * std / math.sqrt(3), rel_tol=1e-6)  # Student's t, 2 degrees
    assert np.isnan(mean_band(np.ones((1, 4)), np.zeros(4)).low).all()


def loop_of(costs: list[float], values: list[float]) -> AskTellLoop:
    space = NasBench201((3, 32, 32), 10)
    loop = AskTellLoop(RandomSearch(space), Budget(queries=len(costs)), random.Random(0))
    pairs = iter(zip(values, costs, strict=True))
    while loop.step(lambda genotype: QueryResult(*next(pairs))):
        pass
    return loop


def test_anytime_curve_over_seconds_or_queries() -> None:
    loop, evaluator = loop_of([1, 2, 4, 8], [5, 3, 7, 6]), Formula()
    found = anytime_curve(loop, evaluator)
    best: list[Query] = [loop.history[0], loop.history[2]]
    assert (found.spent, found.values["value"], found.end) == ([1, 7], [5, 7], 15)
    assert found.values["fact"] == [evaluator.reported_accuracies(q.genotype)["fact"] for q in best]
    evaluator.simulated = False
    assert (anytime_curve(loop, evaluator).spent, anytime_curve(loop, evaluator).end) == ([1, 3], 4)


def test_summarize_omits_incomplete_values_and_adds_regret(tmp_path: Path) -> None:
    curves = [
        AnytimeCurve([1.0], {"value": [1.0], "a": [60.0], "b": [1.0]}, 4.0),
        AnytimeCurve([2.0, 3.0], {"value": [2.0, 3.0], "a": [50.0, 70.0]}, 4.0),
    ]
    found = summarize(curves, {"a": 80.0})
    assert set(found) == {"value", "a", "a regret"} and found["a"].grid[0] == 2
    assert (found["a regret"].mean[0], found["a regret"].mean[-1]) == (25, 15)
    table, picture = save_curves(found, tmp_path, Formula())
    rows = list(csv.DictReader(table.open()))
    assert {row["name"] for row in rows} == set(found) and float(rows[-1]["mean"]) == 15
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_axis_of_a_regret_over_a_decade_has_several_numbers() -> None:
    grid, regret = np.linspace(1, 100, 50), np.geomspace(6, 0.2, 50)
    band = Band(grid, regret, 0 * regret, regret, regret)
    axes = plot_curves({"value": band, "x regret": band}, Formula()).axes[1]
    axes.get_figure().canvas.draw()
    low, high = axes.get_ylim()
    shown = [label.get_text() for label in axes.get_yticklabels() if low <= label.get_position()[1] <= high]
    assert shown == ["0.2", "0.5", "1", "2", "5"]
