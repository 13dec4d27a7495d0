"""Comparison of the repeated searches of a sweep, against scipy."""

from __future__ import annotations

import csv
import json
import random
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nas.cli.run_dir.repetition_comparison import compare_repetitions

MEANS = {"random_search": 93.0, "bananas": 94.0, "bohb": 93.1}


def write_job(sweep: Path, number: int, method: str, mean: float, **more: Any) -> dict[str, Any]:
    rng, directory = random.Random(number), sweep / str(number)
    directory.mkdir()
    rows: list[dict[str, Any]] = [
        {"seed": seed, "value": rng.gauss(mean - 9, 0.3), "cifar10/test": rng.gauss(mean, 0.3), "queries": 100}
        for seed in range(12)
    ]
    (directory / "repetitions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"directory": str(directory), "method": method, "dataset": "cifar10", "rows": rows, **more}


def table_of(sweep: Path) -> dict[str, dict[str, str]]:
    return {row["method"]: row for row in csv.DictReader((sweep / "comparison.csv").open())}


def test_comparison_has_moments_ranks_and_p_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [write_job(tmp_path, number, *pair) for number, pair in enumerate(MEANS.items())]
    compare_repetitions(tmp_path, [*jobs, {"failure": "no summary", "directory": "nowhere"}], ["experiment"])
    table = table_of(tmp_path)
    values = {job["method"]: [row["cifar10/test"] for row in job["rows"]] for job in jobs}
    ranks = stats.rankdata([[-v for v in values[name]] for name in MEANS], axis=0).mean(axis=1)
    for name, rank in zip(MEANS, ranks, strict=True):
        row = table[name]
        assert float(row["cifar10/test mean"]) == pytest.approx(np.mean(values[name]), rel=1e-5) and row["n"] == "12"
        assert float(row["cifar10/test std"]) == pytest.approx(statistics.stdev(values[name]), rel=1e-5)
        assert float(row["cifar10/test rank"]) == pytest.approx(rank, rel=1e-5)
    pairs = [("random_search", "bananas"), ("random_search", "bohb"), ("bananas", "bohb")]
    raw = sorted((stats.wilcoxon(values[a], values[b]).pvalue, a, b) for a, b in pairs)
    holm = np.maximum.accumulate([min(1.0, p * (3 - i)) for i, (p, _, _) in enumerate(raw)])
    truth = {(a if b == "bananas" else b): p for p, (_, a, b) in zip(holm, raw, strict=True) if "bananas" in (a, b)}
    assert {name: float(table[name]["cifar10/test p"]) for name in truth} == pytest.approx(truth, rel=1e-4)
    assert next(iter(table)) == "bananas" and table["bananas"]["cifar10/test p"] == "", "the best comes first"
    assert (tmp_path / "critical_difference.png").read_bytes().startswith(b"\x89PNG")
    assert "bananas" in capsys.readouterr().out


def test_equal_methods_are_named_by_swept_values_and_data_sets_are_separate(tmp_path: Path) -> None:
    jobs = [
        write_job(tmp_path, 0, "bananas", 93.0, predictor="mlp"),
        write_job(tmp_path, 1, "bananas", 94.0, predictor="forest"),
        write_job(tmp_path, 2, "bohb", 93.5, predictor=""),
        {**write_job(tmp_path, 3, "bohb", 70.0, predictor=""), "dataset": "cifar100"},
        {**write_job(tmp_path, 4, "bananas", 71.0, predictor="mlp"), "dataset": "cifar100"},
    ]
    compare_repetitions(tmp_path, jobs, ["predictor"])
    rows = list(csv.DictReader((tmp_path / "comparison.csv").open()))
    assert [(row["searched on"], row["method"]) for row in rows] == [
        ("cifar10", "bananas, predictor=forest"),
        ("cifar10", "bohb"),
        ("cifar10", "bananas, predictor=mlp"),
        ("cifar100", "bananas"),
        ("cifar100", "bohb"),
    ]
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "critical_difference_cifar10.png", "critical_difference_cifar100.png"
    }  # fmt: skip


def test_a_single_repeated_search_has_no_comparison(tmp_path: Path) -> None:
    job = write_job(tmp_path, 0, "bohb", 93.0)
    compare_repetitions(tmp_path, [job, {"directory": str(tmp_path), "method": "darts"}], [])
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
