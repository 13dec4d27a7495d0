"""Entries of the data file."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from nas.leaderboard.board import arrange
from nas.leaderboard.published import entries_of
from nas.utils.errors import NasError
from nas.zoo.results import Measured, Metric, Published, Result, load_results

ACCURACY = Metric("test_accuracy", "Test accuracy", "%", "higher")
ERROR = Metric("test_error", "Test error", "%", "lower")


def result(metric: Metric, **values: object) -> Result:
    return Result("search", "darts", "cifar10", metric, **values)  # type: ignore[arg-type]


def test_errors_become_accuracies() -> None:
    error = Published(Decimal("2.46"), "a paper", spread=Decimal("0.030"), runs=4)
    ours = Measured(Decimal("97.1"), date(2026, 11, 21))
    entries = entries_of([result(ERROR, published=error, method="drnas"), result(ACCURACY, ours=ours, method="gdas")])
    (table,) = arrange(entries)
    assert [(rank, entry.name, entry.value_text()) for rank, entry in table.rows] == [
        (1, "drnas", "97.540 ± 0.030 (4)"),
        (2, "gdas", "97.1"),
    ]
    assert table.task.metric == "test_accuracy" and table.rows[1][1].source == "this project, 2026-11-21"


def test_equal_values_share_a_rank_and_lower_can_be_better() -> None:
    cost = Metric("search_seconds", "Search time", "s", "lower")
    figures = [Published(Decimal(value), "a paper") for value in ("3", "1", "3", "7")]
    (table,) = arrange(entries_of([result(cost, published=figure, label=str(i)) for i, figure in enumerate(figures)]))
    assert [rank for rank, _ in table.rows] == [1, 2, 2, 4]
    with pytest.raises(NasError, match="--sort=best"):
        arrange([], "best")


def test_all_results_are_entries() -> None:
    results = load_results()
    entries = entries_of(results)
    assert len(entries) == sum((r.published is not None) + (r.ours is not None) for r in results)
    errors = [entry for entry in entries if entry.task.metric.endswith("_error")]
    assert not errors and all(entry.value >= (-1 if entry.task.metric == "spearman" else 0) for entry in entries)
    methods = {e.model for e in entries if (e.task.space, e.task.dataset) == ("nas_bench_201", "cifar10")}
    expected = {"rsps", "darts", "darts_2nd", "gdas", "setn", "enas", "snas", "pc_darts", "drnas", "te_nas"}
    assert expected | {"regularized_evolution", "reinforce", "random_search", "bohb", "optimum"} <= methods
