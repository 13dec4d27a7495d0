"""Reports of rankings: checks against the benchmark before the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.proxies.ranking.report import RankingReport
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError


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
