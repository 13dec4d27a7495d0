"""Rows for BENCHMARKS.md of the finished scans below a directory, beside published values.

    python tools/scans.py DIRECTORY
    python tools/scans.py DIRECTORY --split test_of_valid_run --benchmark DIR     the same scores, other accuracies

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

from nas.proxies.ranking.log import Entry
from nas.proxies.ranking.outputs import TABLE_FILE
from nas.proxies.ranking.report import SPLITS, RankingReport
from nas.spaces.base import Space
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from nas.zoo.results import load_results

SPACES: dict[str, Space] = {space.name: space for space in (NasBench201((3, 32, 32), 10), NatsSize((3, 32, 32), 10))}
HALF = "networks trained on half of CIFAR-10"
"""Variant of the published correlations whose accuracies are those of the split test_of_valid_run."""


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


def compared(file: Path, split: str | None, benchmark: Path | None) -> dict[str, Any]:
    """A scan's report; with ``split`` its scores against those accuracies of the tables under ``benchmark``."""
    report: dict[str, Any] = json.loads(file.read_text())
    report.setdefault("proxy", report.get("score"))  # the key of version 0.1.0
    if split is None or report["space"] not in SPACES:
        return report
    entries = [Entry(**row) for row in pq.read_table(file.with_name(TABLE_FILE)).to_pylist()]
    options = {"top": [row["k"] for row in report["top"]], "resamples": report["resamples"]} if "top" in report else {}
    again = RankingReport(str(benchmark), report["dataset"], split, **options)
    truth = again.truth(SPACES[report["space"]], entries)
    if not truth.known.any():
        raise NasError(truth.said)
    return {**report, **again(entries, report["higher_is_better"], truth)}


def main(directory: Path, split: str | None = None, benchmark: Path | None = None) -> None:
    """Prints a table of all finished scans, the best correlation first."""
    reports = [compared(path, split, benchmark) for path in sorted(directory.rglob("report.json"))]
    reports = [report for report in reports if "spearman" in report]
    if not reports:
        raise SystemExit(f"error: there is no finished scan with a benchmark below {directory}")
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


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--split", choices=SPLITS)
    parser.add_argument("--benchmark", type=Path, help="where the tables of trained architectures lie")
    found = parser.parse_args(given)
    if found.split is not None and found.benchmark is None:
        parser.error(f"--split {found.split}: give --benchmark DIR, where its accuracies are")
    return found


if __name__ == "__main__":
    options = arguments(sys.argv[1:])
    try:
        main(options.directory, options.split, options.benchmark)
    except NasError as error:
        raise SystemExit(f"error: {error}") from None
