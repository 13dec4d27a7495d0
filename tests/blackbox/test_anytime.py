"""Curves of runs against numbers worked out by hand, and their band against a bootstrap."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from nas.blackbox.anytime import Trace, band, on_grid, save_curves, summarize, trace
from nas.blackbox.evaluator import Evaluation
from nas.blackbox.history import Budget, Queries, Query
from nas.blackbox.strategies.random_search import RandomSearch
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.query_tools import Formula, sampled


def test_a_step_holds_from_its_query_on() -> None:
    runs = [Trace([2.0, 5.0], {"value": [10.0, 30.0]}, 8.0), Trace([3.0], {"value": [20.0]}, 8.0)]
    grid = np.array([1.0, 2.0, 3.0, 4.9, 5.0, 8.0])
    found = on_grid(runs, "value", grid)
    np.testing.assert_array_equal(found, [[math.nan, 10, 10, 10, 30, 30], [math.nan, math.nan, 20, 20, 20, 20]])


def test_the_band_is_that_of_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, 1.5, size=(200, 3)) + [90, 91, 92]
    found = band(values, np.arange(3.0))
    means = values[rng.integers(0, 200, size=(20000, 200))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    half = (high - low) / 2
    assert np.all(abs(found.low - low) < 0.1 * half) and np.all(abs(found.high - high) < 0.1 * half)
    np.testing.assert_allclose(found.mean, values.mean(axis=0))


def test_the_band_of_three_runs_by_hand() -> None:
    found = band(np.array([[1.0], [2.0], [6.0]]), np.zeros(1))
    std = math.sqrt((4 + 1 + 9) / 2)
    assert found.mean == 3 and math.isclose(found.std[0], std)
    assert math.isclose(found.high[0], 3 + 4.302653 * std / math.sqrt(3), rel_tol=1e-6)  # Student's t, 2 degrees
    assert np.isnan(band(np.ones((1, 4)), np.zeros(4)).low).all()


def queries_of(costs: list[float], values: list[float]) -> Queries:
    space = NasBench201((3, 32, 32), 10)
    queries = Queries(RandomSearch(space), Budget(queries=len(costs)), __import__("random").Random(0))
    pairs = iter(zip(values, costs, strict=True))
    while queries.step(lambda genotype: Evaluation(*next(pairs))):
        pass
    return queries


def test_a_trace_tells_of_the_best_in_seconds_or_in_queries() -> None:
    queries, evaluator = queries_of([1, 2, 4, 8], [5, 3, 7, 6]), Formula()
    found = trace(queries, evaluator)
    best: list[Query] = [queries.history[0], queries.history[2]]
    assert (found.spent, found.values["value"], found.end) == ([1, 7], [5, 7], 15)
    assert found.values["fact"] == [evaluator.facts(q.genotype)["fact"] for q in best]
    evaluator.simulated = False
    assert (trace(queries, evaluator).spent, trace(queries, evaluator).end) == ([1, 3], 4)


def test_facts_that_one_run_lacks_are_left_out_and_regret_is_to_the_optimum(tmp_path: Path) -> None:
    runs = [
        Trace([1.0], {"value": [1.0], "a": [60.0], "b": [1.0]}, 4.0),
        Trace([2.0, 3.0], {"value": [2.0, 3.0], "a": [50.0, 70.0]}, 4.0),
    ]
    found = summarize(runs, {"a": 80.0})
    assert set(found) == {"value", "a", "a regret"} and found["a"].grid[0] == 2
    assert (found["a regret"].mean[0], found["a regret"].mean[-1]) == (25, 15)
    table, picture = save_curves(found, tmp_path, Formula())
    rows = list(csv.DictReader(table.open()))
    assert {row["name"] for row in rows} == set(found) and float(rows[-1]["mean"]) == 15
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len({genotype for genotype in sampled(NasBench201((3, 32, 32), 10), 5)}) == 5
