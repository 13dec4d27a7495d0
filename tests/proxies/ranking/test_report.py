"""Reports of a ranking against scipy and numbers worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scipy import stats

import nas.benchmarks
from nas.architecture.cell import Genotype
from nas.proxies.ranking.report import RankingReport, format_report
from nas.proxies.ranking.score_log import ScoreRecord
from nas.spaces.nas_bench_201 import notation as nas_bench_201
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.golden_tools import shared_folder
from tests.support.ranking_tools import NATIVE, SPACE, record


class PartialBenchmark:
    """Benchmark with a few architectures."""

    def __init__(self, stored: dict[str, float]) -> None:
        self.stored = stored

    def check(self, dataset: str, split: str, epochs: int, seed: str) -> None:
        if dataset != "cifar10":
            raise NasError(f"no {dataset}: there is cifar10")
        assert (split, epochs, seed) == ("test", 200, "mean")

    def report_epochs(self, dataset: str) -> int:
        return 200

    def accuracy(self, genotype: Genotype, dataset: str, split: str, epochs: int, seed: str) -> float:
        self.check(dataset, split, epochs, seed)
        value = self.stored.get(nas_bench_201.native(genotype), math.nan)
        if math.isnan(value):
            raise NasError("not stored")
        return value


@pytest.fixture
def partial_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    table = PartialBenchmark(dict(zip(NATIVE[:5], [90.0, 91.0, math.nan, 93.0, 94.0], strict=True)))
    monkeypatch.setattr(nas.benchmarks, "find_benchmark", lambda root, notation: table)


RECORDS = [record(score, i) for i, score in enumerate([5.0, 4.0, 9.0, math.nan, 4.0, 1.0])]


@pytest.mark.usefixtures("partial_benchmark")
@pytest.mark.parametrize("higher", [True, False])
def test_report_compares_with_benchmark(higher: bool) -> None:
    report = RankingReport("data", "cifar10", top=(1, 2, 9), resamples=50)
    accuracies = report.find_accuracies(SPACE, RECORDS)
    found = report(RECORDS, higher, accuracies)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["architectures"], found["not_finite"], found["distinct_scores"]) == (6, 1, 5)
    assert found["with_accuracy"] == 4  # the third is NaN, the sixth is not stored
    sign = 1 if higher else -1
    ranks, true = [sign * 5.0, sign * 4.0, -100.0, sign * 4.0], [90.0, 91.0, 93.0, 94.0]
    assert found["spearman"]["value"] == pytest.approx(stats.spearmanr(ranks, true).statistic)
    assert found["kendall_tau_b"]["value"] == pytest.approx(stats.kendalltau(ranks, true).statistic)
    assert [row["k"] for row in found["top"]] == [1, 2]
    best = [row["accuracy"]["value"] for row in found["top"]]
    assert best == ([90.0, pytest.approx((91 + 94) / 2)] if higher else [pytest.approx((91 + 94) / 2), 94.0])
    assert found["best"]["architecture"] == NATIVE[2 if higher else 5] and found["best"]["accuracy"] is None
    low, high = found["spearman"]["interval"]
    assert -1 <= low <= high <= 1 and found["best_possible_accuracy"] == 94.0
    page = format_report(found, "weights")
    assert "Spearman" in page and "top 2" in page and "1 not finite" in page and "mean of the benchmark's seeds" in page


@pytest.mark.usefixtures("partial_benchmark")
def test_report_without_accuracies_states_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    for dataset, reason in (("digits", "no digits: there is cifar10"), ("cifar10", "no benchmark of space")):
        if dataset == "cifar10":
            monkeypatch.setattr(nas.benchmarks, "find_benchmark", lambda root, notation: None)
        report = RankingReport("data", dataset)
        found = report(RECORDS, True, report.find_accuracies(SPACE, RECORDS))
        assert reason in found["benchmark"] and found["with_accuracy"] == 0 and "spearman" not in found
        scores = [5, 4, 9, -100, 4, 1]
        assert found["spearman_parameters"] == pytest.approx(stats.spearmanr(scores, range(6)).statistic)
        assert reason in format_report(found, "weights") and "Kendall" not in format_report(found, "weights")
    with pytest.raises(NasError, match="top"):
        RankingReport("data", "cifar10", top=(0,))


@pytest.mark.data
def test_report_of_parameters_equals_scipy_on_nas_bench_201() -> None:
    """The correlation of the real benchmark's own columns, by scipy."""
    file = shared_folder() / "data" / "nas_bench_201" / "nb201.parquet"
    if not file.exists():
        pytest.skip(f"there is no {file}")
    rows = pq.read_table(file, columns=["arch_str", "cifar10_test_acc_200", "cifar10_params_M_formula"]).to_pylist()[
        :900
    ]
    space = NasBench201((3, 32, 32), 10)
    sizes = [space.count(nas_bench_201.parse(row["arch_str"])) for row in rows]
    records = [
        ScoreRecord(row["arch_str"], i, float(p), 0.1, p, m)
        for i, (row, (p, m)) in enumerate(zip(rows, sizes, strict=True))
    ]
    report = RankingReport(str(shared_folder() / "data"), "cifar10", resamples=20)
    found = report(records, True, report.find_accuracies(space, records))
    expected = stats.spearmanr(
        [row["cifar10_params_M_formula"] for row in rows], [row["cifar10_test_acc_200"] for row in rows]
    )
    assert found["with_accuracy"] == 900 and found["spearman"]["value"] == pytest.approx(expected.statistic, abs=1e-9)
    assert found["spearman_parameters"] == pytest.approx(1.0)


def test_check_fails_on_an_unreadable_benchmark_only_if_the_report_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(root: str, notation: str) -> None:
        raise NasError("two tables")

    monkeypatch.setattr("nas.benchmarks.find_benchmark", find)
    space = NasBench201((3, 32, 32), 10)
    assert RankingReport(str(tmp_path), "digits").check(space, "digits") == "no accuracies: two tables"
    with pytest.raises(NasError, match="ranking.report: two tables"):
        RankingReport(str(tmp_path), "cifar10", split="valid").check(space, "cifar10")


@pytest.mark.data
def test_check_names_what_the_benchmark_lacks(shared: Path) -> None:
    root, space = str(shared / "data"), NasBench201((3, 32, 32), 10)
    assert RankingReport(root, "cifar10").check(space, "cifar10") is None
    assert "no accuracies" in str(RankingReport(root, "digits").check(space, "digits"))
    assert "no benchmark of space" in str(RankingReport("/nowhere", "cifar10", epochs=7).check(space, "cifar10"))
    with pytest.raises(NasError, match=r"ranking.report: epochs=13: .* has trainings of .*200 epochs"):
        RankingReport(root, "cifar10", epochs=13).check(space, "cifar10")
    with pytest.raises(NasError, match="unknown ranking.report.split"):
        RankingReport(root, "cifar10", split="vald").check(space, "cifar10")
    with pytest.raises(NasError, match="unknown ranking.report.dataset 'cifr10'"):
        RankingReport("/nowhere", "cifr10").check(space, "digits")
