"""Rows for BENCHMARKS.md of the scans below a directory, beside published values: python tools/scans.py DIRECTORY"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# Spearman over all architectures of NAS-Bench-201 (Abdelfattah et al., ICLR 2021).
PUBLISHED = {
    ("nas_bench_201", "cifar10"): {
        "grad_norm": 0.58,
        "snip": 0.58,
        "grasp": 0.48,
        "fisher": 0.36,
        "synflow": 0.74,
        "jacob_cov": 0.73,
    },
    ("nas_bench_201", "cifar100"): {
        "grad_norm": 0.64,
        "snip": 0.63,
        "grasp": 0.54,
        "fisher": 0.39,
        "synflow": 0.76,
        "jacob_cov": 0.71,
    },
    ("nas_bench_201", "imagenet16_120"): {
        "grad_norm": 0.58,
        "snip": 0.58,
        "grasp": 0.56,
        "fisher": 0.33,
        "synflow": 0.75,
        "jacob_cov": 0.71,
    },
}


def main(directory: Path) -> None:
    """Prints a table of all finished scans, the best correlation first."""
    reports = [json.loads(path.read_text()) for path in sorted(directory.rglob("report.json"))]
    reports = [report for report in reports if "spearman" in report]
    if not reports:
        raise SystemExit(f"error: there is no finished scan with a benchmark below {directory}")
    tops = sorted({row["k"] for report in reports for row in report["top"]})
    heads = ["score", "space", "data", "architectures", "not finite", "Spearman", "published", "Kendall tau-b"]
    heads += [f"best of top {k}, %" for k in tops] + ["s each"]
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for report in sorted(reports, key=lambda r: (r["space"], r["dataset"], -(r["spearman"]["value"] or -2))):
        print("| " + " | ".join(_cells(report, tops)) + " |")


def _cells(report: dict[str, Any], tops: list[int]) -> list[str]:
    published = PUBLISHED.get((report["space"], report["dataset"]), {}).get(report["score"])
    found = {row["k"]: row["accuracy"] for row in report["top"]}
    return [
        report["score"],
        report["space"],
        report["dataset"],
        f"{report['with_accuracy']:,}",
        f"{report['not_finite']:,}",
        _interval(report["spearman"]),
        "" if published is None else f"{published:.2f}",
        _interval(report["kendall_tau_b"]),
        *("" if k not in found else _interval(found[k], 2) for k in tops),
        f"{report['seconds']['median']:.3f}",
    ]


def _interval(found: dict[str, Any], digits: int = 3) -> str:
    numbers = [found["value"], *found["interval"]]
    value, low, high = ("undefined" if n is None else f"{n:.{digits}f}" for n in numbers)
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("error: python tools/scans.py DIRECTORY")
    main(Path(sys.argv[1]))
