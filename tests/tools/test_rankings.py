"""The table of finished rankings, and its published correlations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

import nas.benchmarks
from nas.proxies.ranking.outputs import SCORES_FILE, write_scores
from nas.proxies.ranking.report import RankingReport
from nas.proxies.ranking.score_log import ScoreRecord
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tools.rankings import load_report, main, parse_arguments, published

SPACE = NasBench201((3, 32, 32), 10)
RECORDS = [
    ScoreRecord(SPACE.native(SPACE.from_index(i)), i, score, 0.1, 10, 10)
    for i, score in enumerate([3.0, 1.0, 2.0, 5.0, 4.0])
]
ACCURACIES = {"test": [1.0, 2.0, 3.0, 4.0, 5.0], "test_of_valid_run": [5.0, 4.0, 3.0, 2.0, 1.5]}


class Table:
    def report_epochs(self, dataset: str) -> int:
        return 200

    def check(self, dataset: str, split: str, epochs: int, seed: str) -> None:
        assert split in ACCURACIES

    def accuracy(self, genotype: Any, dataset: str, split: str, epochs: int, seed: str) -> float:
        row = next(record.index or 0 for record in RECORDS if record.architecture == SPACE.native(genotype))
        return ACCURACIES[split][row]


@pytest.fixture
def ranking_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a finished ranking by fisher."""
    monkeypatch.setattr(nas.benchmarks, "find_benchmark", lambda root, notation: Table())
    report = RankingReport("data", "cifar10", top=(1,), resamples=5)
    found = {"score": "fisher", "higher_is_better": True, "space": "nas_bench_201", "dataset": "cifar10"}
    found |= report(RECORDS, True, report.find_accuracies(SPACE, RECORDS))
    (tmp_path / "report.json").write_text(json.dumps(found))
    write_scores(RECORDS, {}, tmp_path / SCORES_FILE)
    return tmp_path


def test_rankings_table_has_published_values_of_same_accuracies(
    ranking_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authors use the test accuracy of networks trained on half of the training images."""
    plain, half = (
        load_report(ranking_dir / "report.json", split, ranking_dir) for split in (None, "test_of_valid_run")
    )
    scores = [record.score for record in RECORDS]
    for report, split in ((plain, "test"), (half, "test_of_valid_run")):
        assert report["split"] == split and report["accuracies_of"] == "cifar10"
        assert report["spearman"]["value"] == pytest.approx(stats.spearmanr(scores, ACCURACIES[split]).statistic)
    assert published(plain) is None and published(half) == 0.36
    assert published({**half, "accuracies_of": "cifar100"}) is None
    assert published({"space": "nas_bench_201", "dataset": "cifar100", "proxy": "synflow"}) == 0.763
    main(ranking_dir, "test_of_valid_run", ranking_dir)
    assert "| test_of_valid_run | 5 |" in (printed := capsys.readouterr().out) and "| 0.360 |" in printed
    head, rule, row = ([cell.strip() for cell in line.split("|")] for line in printed.splitlines())
    assert len(head) == len(rule) == len(row) and dict(zip(head, row, strict=True))["published"] == "0.360"
    monkeypatch.setattr(nas.benchmarks, "find_benchmark", lambda root, notation: None)
    with pytest.raises(NasError, match="no benchmark of space"):
        main(ranking_dir, "valid", ranking_dir)
    with pytest.raises(SystemExit):
        parse_arguments([str(ranking_dir), "--split", "valid"])
    assert "set --benchmark DIR" in capsys.readouterr().err


def test_rankings_notice_damaged_scores(ranking_dir: Path) -> None:
    content = bytearray((ranking_dir / SCORES_FILE).read_bytes())
    content[40] ^= 1
    (ranking_dir / SCORES_FILE).write_bytes(content)
    with pytest.raises(NasError, match=r"scores.parquet is damaged \(its checksum does not match\). Rank the"):
        load_report(ranking_dir / "report.json", "test_of_valid_run", ranking_dir)
