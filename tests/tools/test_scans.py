"""The table of finished scans: which published values stand beside which accuracies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import nas.benchmarks
from nas.proxies.ranking.log import Entry
from nas.proxies.ranking.outputs import TABLE_FILE, write_table
from nas.proxies.ranking.report import RankingReport
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tools.scans import arguments, compared, main, published

SPACE = NasBench201((3, 32, 32), 10)
ENTRIES = [
    Entry(SPACE.native(SPACE.from_index(i)), i, score, 0.1, 10, 10) for i, score in enumerate([3.0, 1.0, 2.0, 5.0, 4.0])
]
ACCURACIES = {"test": [1.0, 2.0, 3.0, 4.0, 5.0], "test_of_valid_run": [5.0, 4.0, 3.0, 2.0, 1.5]}


class Table:
    def row(self, genotype: Any) -> int:
        return next(entry.index or 0 for entry in ENTRIES if entry.architecture == SPACE.native(genotype))

    def accuracies(self, dataset: str, split: str, epochs: int, seed: str) -> Any:
        return np.array(ACCURACIES[split])


@pytest.fixture
def scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished scan of fisher."""
    monkeypatch.setattr(nas.benchmarks, "find_benchmark", lambda root, notation: Table())
    report = RankingReport("data", "cifar10", top=(1,), resamples=5)
    found = {"score": "fisher", "higher_is_better": True, "space": "nas_bench_201", "dataset": "cifar10"}
    found |= report(ENTRIES, True, report.truth(SPACE, ENTRIES))
    (tmp_path / "report.json").write_text(json.dumps(found))
    write_table(ENTRIES, {}, tmp_path / TABLE_FILE)
    return tmp_path


def test_published_values_stand_beside_their_own_accuracies(
    scanned: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authors correlate with the test accuracy of networks that saw half of the training images."""
    plain, half = (compared(scanned / "report.json", split, scanned) for split in (None, "test_of_valid_run"))
    scores = [entry.score for entry in ENTRIES]
    for report, split in ((plain, "test"), (half, "test_of_valid_run")):
        assert report["split"] == split and report["accuracies_of"] == "cifar10"
        assert report["spearman"]["value"] == pytest.approx(stats.spearmanr(scores, ACCURACIES[split]).statistic)
    assert published(plain) is None and published(half) == 0.36
    assert published({**half, "accuracies_of": "cifar100"}) is None
    assert published({"space": "nas_bench_201", "dataset": "cifar100", "proxy": "synflow"}) == 0.763
    main(scanned, "test_of_valid_run", scanned)
    assert "| test_of_valid_run | 5 |" in (said := capsys.readouterr().out) and "| 0.360 |" in said
    head, rule, row = ([cell.strip() for cell in line.split("|")] for line in said.splitlines())
    assert len(head) == len(rule) == len(row) and dict(zip(head, row, strict=True))["published"] == "0.360"
    monkeypatch.setattr(nas.benchmarks, "find_benchmark", lambda root, notation: None)
    with pytest.raises(NasError, match="no benchmark of space"):
        main(scanned, "valid", scanned)
    with pytest.raises(SystemExit):
        arguments([str(scanned), "--split", "valid"])
    assert "give --benchmark DIR" in capsys.readouterr().err
