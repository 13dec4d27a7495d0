"""Print the table of BENCHMARKS.md: finished rankings in a directory, with published correlations.

    python tools/rankings.py DIRECTORY
    python tools/rankings.py DIRECTORY --split test_of_valid_run --benchmark DIR     compare with other accuracies

Published values come from nas/zoo/results.yaml; on CIFAR-10 they are of the split test_of_valid_run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from nas.benchmarks import checksum
from nas.proxies.ranking.outputs import SCORES_FILE
from nas.proxies.ranking.report import SPLITS, RankingReport
from nas.proxies.ranking.score_log import ScoreRecord
from nas.spaces.base import Space
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from nas.zoo.results import load_results

SPACES: dict[str, Space] = {space.name: space for space in (NasBench201((3, 32, 32), 10), NatsSize((3, 32, 32), 10))}
HALF = "networks trained on half of CIFAR-10"
"""Variant of the published correlations that uses the split test_of_valid_run."""


def published(report: dict[str, Any]) -> float | None:
    """Return the published correlation of the same proxy, space, data set and accuracies; None if there is none."""
    if report.get("accuracies_of", report["dataset"]) != report["dataset"]:
        return None
    variant = {"test": None, "test_of_valid_run": HALF}.get(report.get("split", "test"), "unpublished")
    same = (report["proxy"], report["space"], report["dataset"], "spearman", variant)
    for row in load_results():
        if row.published and (row.proxy, row.space, row.dataset, row.metric.name, row.variant) == same:
            return float(row.published.value)
    return None


def load_report(file: Path, split: str | None, benchmark: Path | None) -> dict[str, Any]:
    """Return the report of a ranking; with ``split``, compare its scores with those accuracies of ``benchmark``."""
    report: dict[str, Any] = json.loads(file.read_text())
    report.setdefault("proxy", report.get("score"))  # key of version 0.1.0
    if split is None or report["space"] not in SPACES:
        return report
    scores = file.with_name(SCORES_FILE)
    stored = checksum.stored_checksum(pq.ParquetFile(scores))
    if stored is not None and not checksum.fits(scores, stored):  # files of earlier versions have none
        raise NasError(f"{scores} is damaged (its checksum does not match). Rank the architectures again.")
    records = [ScoreRecord(**row) for row in pq.read_table(scores).to_pylist()]
    options = {"top": [row["k"] for row in report["top"]], "resamples": report["resamples"]} if "top" in report else {}
    make_report = RankingReport(str(benchmark), report["dataset"], split, **options)
    accuracies = make_report.find_accuracies(SPACES[report["space"]], records)
    if not accuracies.available.any():
        raise NasError(accuracies.description)
    return {**report, **make_report(records, report["higher_is_better"], accuracies)}


def main(directory: Path, split: str | None = None, benchmark: Path | None = None) -> None:
    """Print a table of all finished rankings, highest correlation first."""
    reports = [load_report(path, split, benchmark) for path in sorted(directory.rglob("report.json"))]
    reports = [report for report in reports if "spearman" in report]
    if not reports:
        raise SystemExit(f"error: {directory} has no finished ranking with benchmark accuracies")
    tops = sorted({row["k"] for report in reports for row in report["top"]})
    heads = ["proxy", "space", "data", "accuracy", "architectures", "not finite"]
    heads += ["Spearman", "published", "Kendall tau-b"]
    heads += [f"best of top {k}, %" for k in tops] + ["s each"]
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for report in sorted(reports, key=lambda r: (r["space"], r["dataset"], -(r["spearman"]["value"] or -2))):
        print("| " + " | ".join(_cells(report, tops)) + " |")


def _cells(report: dict[str, Any], tops: list[int]) -> list[str]:
    value = published(report)
    found = {row["k"]: row["accuracy"] for row in report["top"]}
    return [
        report["proxy"],
        report["space"],
        report["dataset"],
        report.get("split", "test"),
        f"{report['with_accuracy']:,}",
        f"{report['not_finite']:,}",
        _interval(report["spearman"]),
        "" if value is None else f"{value:.3f}",
        _interval(report["kendall_tau_b"]),
        *("" if k not in found else _interval(found[k], 2) for k in tops),
        f"{report['seconds']['median']:.3f}",
    ]


def _interval(found: dict[str, Any], digits: int = 3) -> str:
    numbers = [found["value"], *found["interval"]]
    value, low, high = ("undefined" if n is None else f"{n:.{digits}f}" for n in numbers)
    return f"{value} [{low}, {high}]"


def parse_arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--split", choices=SPLITS)
    parser.add_argument("--benchmark", type=Path, help="directory of the benchmark tables")
    found = parser.parse_args(given)
    if found.split is not None and found.benchmark is None:
        parser.error(f"--split {found.split}: set --benchmark DIR, the directory of its accuracies")
    return found


if __name__ == "__main__":
    options = parse_arguments(sys.argv[1:])
    try:
        main(options.directory, options.split, options.benchmark)
    except NasError as error:
        raise SystemExit(f"error: {error}") from None
