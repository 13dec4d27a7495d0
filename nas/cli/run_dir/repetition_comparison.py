"""Comparison of the repeated black-box searches of a sweep: a table, and a critical-difference diagram."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.cli.run_dir.layout import REPETITIONS
from nas.cli.run_dir.sweep_print import print_comparison
from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError
from nas.utils.is_number import is_number
from nas.utils.json_lines import read_log
from nas.utils.read_file import parse_json

COMPARISON_FILE, PICTURE = "comparison.csv", "critical_difference.png"
MEASURES = {
    "cifar10/test": "CIFAR-10, test accuracy",
    "cifar100/test": "CIFAR-100, test accuracy",
    "imagenet16_120/test": "ImageNet16-120, test accuracy",
}
"""Results that methods are ranked by, with their titles; ``value`` if there are none."""
COLUMNS = ("value", "cifar10/valid", "cifar100/valid", "imagenet16_120/valid", *MEASURES, "queries")

Rows = Mapping[int, Mapping[str, Any]]
"""Lines of repetitions.jsonl by seed."""


def compare_repetitions(sweep: Path, jobs: Sequence[Mapping[str, Any]], swept: Sequence[str]) -> None:
    """Write and print the comparison of the jobs with repetitions; nothing if there are fewer than two.

    comparison.csv has a row per job: the number n of repetitions, and mean and standard deviation (n - 1) of each
    result. For each measure it has the mean rank over the common seeds, and the p-value of Wilcoxon's signed-rank test
    against the best job, adjusted for all pairs (Holm). Jobs that searched on different data sets are not ranked
    against each other.

    Args:
        sweep: directory of the sweep.
        jobs: rows of the table of the sweep.
        swept: keys whose values differ between jobs.
    """
    repeated = [job for job in jobs if "failure" not in job and (Path(job["directory"]) / REPETITIONS).is_file()]
    if len(repeated) < 2:
        return
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for job in repeated:
        groups.setdefault(str(job.get("dataset", "")), []).append(job)
    table: list[dict[str, Any]] = []
    for dataset, members in groups.items():
        results = {_label(job, members, swept): _read(Path(job["directory"])) for job in members}
        table += _compare(results, dataset, sweep, several=len(groups) > 1)
    columns = list(dict.fromkeys(key for row in table for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows({key: f"{v:.6g}" if isinstance(v, float) else v for key, v in row.items()} for row in table)
    write_atomically(sweep / COMPARISON_FILE, text.getvalue())
    print_comparison(table, list(MEASURES), f"{sweep / COMPARISON_FILE}")


def _label(job: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]], swept: Sequence[str]) -> str:
    """Return the method of a job, and its swept values if another job has the same method."""
    method = str(job.get("method", "job"))
    if sum(other.get("method") == job.get("method") for other in jobs) == 1:
        return method
    return ", ".join([method, *(f"{key}={job[key]}" for key in swept if job.get(key, "") != "")])


def _read(directory: Path) -> Rows:
    try:
        rows = read_log(directory / REPETITIONS, parse_json)
    except NasError:
        return {}
    return {row["seed"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("seed"), int)}


def _compare(results: Mapping[str, Rows], dataset: str, sweep: Path, several: bool) -> list[dict[str, Any]]:
    """Return the rows of the table for searches on one data set, best first, and save the diagram."""
    from nas.plotting.critical_difference import RankPanel, critical_difference_figure
    from nas.plotting.figure import save_figure
    from nas.report.statistics import mean_and_std, paired_tests, rank_groups

    table: dict[str, dict[str, Any]] = {name: {"method": name, "searched on": dataset} for name in results}
    for name, rows in results.items():
        table[name]["n"] = len(rows)
        for column in COLUMNS:
            values = [float(row[column]) for row in rows.values() if is_number(row.get(column))]
            if len(values) == len(rows) and values:
                mean, std = mean_and_std(values)
                table[name] |= {f"{column} mean": mean, f"{column} std": "" if std is None else std}
    measures = [name for name in MEASURES if all(f"{name} mean" in row for row in table.values())] or ["value"]
    panels = []
    for measure in measures:
        by_seed = {
            name: {seed: float(row[measure]) for seed, row in rows.items() if is_number(row.get(measure))}
            for name, rows in results.items()
        }
        ranks = rank_groups(by_seed)
        if ranks is None:
            continue
        panels.append(RankPanel(MEASURES.get(measure, "Value"), ranks.mean, ranks.critical_difference))
        best = next(iter(ranks.mean))
        p_values = {}
        for test in paired_tests(by_seed):
            if best in (test.first, test.second):
                p_values[test.second if test.first == best else test.first] = test.adjusted
        for name, row in table.items():
            p = p_values.get(name)
            row |= {f"{measure} rank": ranks.mean[name], f"{measure} p": "" if p is None else p}
    if panels:
        picture = sweep / (PICTURE.replace(".png", f"_{dataset}.png") if several else PICTURE)
        save_figure(critical_difference_figure(panels), picture)
    first = f"{measures[0]} rank"
    return sorted(table.values(), key=lambda row: row.get(first, 0.0))
