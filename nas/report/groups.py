"""Groups of runs that differ only in the seed, and their results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from nas.report.group_options import options_of
from nas.report.run import Run
from nas.utils.is_number import is_number

COLUMNS = (
    ("test_accuracy", "test accuracy (%)"),
    ("test_perplexity", "test perplexity"),
    ("benchmark/test", "benchmark test (%)"),
    ("benchmark/valid", "benchmark valid (%)"),
    ("cifar10/test", "CIFAR-10 test (%)"),
    ("cifar100/test", "CIFAR-100 test (%)"),
    ("imagenet16_120/test", "ImageNet16-120 test (%)"),
    ("val_accuracy", "validation accuracy (%)"),
    ("val_perplexity", "validation perplexity"),
    ("spearman", "Spearman correlation"),
    ("value", "value"),
    ("parameters", "parameters (M)"),
    ("macs", "MACs (M)"),
    ("search_seconds", "search time (s)"),
    ("train_seconds", "training time (s)"),
)
"""Results of a run, keys of summary.json, and their titles."""
SCORES = tuple(name for name, _ in COLUMNS[:11])
"""Results to compare groups by, the most important first."""
EXACT = ("spearman", "value")
"""Results that are compared with all digits."""
BENCHMARKED = ("cifar10/test", "cifar100/test", "imagenet16_120/test")
"""Test accuracies in a tabular benchmark, one of which usually repeats ``benchmark/test``."""
MILLIONS = ("parameters", "macs")


@dataclass(frozen=True)
class Member:
    """Results of one seed: of a run, or of one repetition of a run."""

    run: Run
    seed: int | None
    values: dict[str, float]


@dataclass(frozen=True)
class Group:
    """Runs with equal method, space, data set and options.

    Attributes:
        name: text that distinguishes the group from the other ones, unique.
        label: method, and the options that differ; for legends.
        kind, space, dataset: common to all members.
        value_of: description of the result ``value``, "" without one.
        members: the runs, or repetitions.
    """

    name: str
    label: str
    kind: str
    space: str
    dataset: str
    value_of: str
    members: Sequence[Member]

    def results(self, name: str) -> list[float]:
        """Return the values of a result, with the digits that ``_rounded`` keeps."""
        return [_rounded(name, member.values[name]) for member in self.members if name in member.values]

    def by_seed(self, name: str) -> dict[int, float]:
        """Return the values of a result by seed; the last one of several runs with a seed."""
        return {m.seed: _rounded(name, m.values[name]) for m in self.members if name in m.values and m.seed is not None}

    @property
    def runs(self) -> list[Run]:
        """The runs, each once."""
        return list({id(member.run): member.run for member in self.members}.values())

    @property
    def repeated_seeds(self) -> bool:
        """True if several members have the same seed."""
        seeds = [member.seed for member in self.members if member.seed is not None]
        return len(set(seeds)) < len(seeds)


def _rounded(name: str, value: float) -> float:
    """Round accuracies and perplexities to six digits, so that equal results in float32 and float64 are equal."""
    return float(f"{value:.6g}") if name in SCORES and name not in EXACT else value


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Group runs by kind, method, space, data set and the options that differ between them."""
    first: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        first.setdefault((run.kind, *map(run.name_of, ("method", "space", "dataset"))), []).append(run)
    several = {position: len({key[position] for key in first} - {""}) > 1 for position in range(4)}
    groups = []
    for key, runs_of_key in first.items():
        for options, members in _split(runs_of_key).items():
            kind, method, space, dataset = key
            head = method or (kind if kind != "search" else "") or "unknown"
            label = ", ".join([head, *options])
            parts = [part for position, part in ((2, space), (3, dataset), (0, kind)) if several[position] and part]
            name = f"{label} ({', '.join(dict.fromkeys(parts))})" if parts else label
            value_of = next((str(run.summary["value_of"]) for run in members if "value_of" in run.summary), "")
            groups.append(Group(name, label, kind, space, dataset, value_of, [m for r in members for m in _members(r)]))
    return _with_unique_names(groups)


def columns_of(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """Return the results (name, title) that a group has, without those that repeat ``benchmark/test``."""
    members = [member.values for group in groups for member in group.members]
    repeated = {
        name
        for name in BENCHMARKED
        if all(name not in scores or math.isclose(scores[name], scores.get("benchmark/test", -1)) for scores in members)
    }
    return [
        (name, title) for name, title in COLUMNS if name not in repeated and any(name in scores for scores in members)
    ]


def common_scores(groups: Sequence[Group]) -> list[str]:
    """Return the results that at least two groups have and that can be compared."""
    names = []
    for name in (name for name, _ in columns_of(groups) if name in SCORES):
        having = [group for group in groups if group.results(name)]
        if len(having) > 1 and (name != "value" or len({group.value_of for group in having}) == 1):
            names.append(name)
    return names


def title_of(name: str) -> str:
    """Return the title of a result."""
    return dict(COLUMNS).get(name, name)


def _split(runs: Sequence[Run]) -> dict[tuple[str, ...], list[Run]]:
    """Split runs by the options (key=value) that differ between them."""
    options = [options_of(run) for run in runs]
    keys = dict.fromkeys(key for run_options in options for key in run_options)
    varying = [key for key in keys if len({run_options.get(key) for run_options in options}) > 1]
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run, run_options in zip(runs, options, strict=True):
        groups.setdefault(tuple(f"{key}={run_options[key]}" for key in varying if key in run_options), []).append(run)
    return groups


def _with_unique_names(groups: Sequence[Group]) -> list[Group]:
    """Add the parts that only other groups of the same name have, and then a number, to the names of groups."""
    parts = {"kind": attrgetter("kind"), "space": attrgetter("space"), "data set": attrgetter("dataset")}
    used, renamed_groups = set[str](), []
    for group in groups:
        others = [other for other in groups if other.name == group.name]
        unknown = [part for part, value in parts.items() if not value(group) and any(map(value, others))]
        base = f"{group.name} (unknown {', '.join(unknown)})" if unknown else group.name
        name, number = base, 2
        while name in used:
            name, number = f"{base} [{number}]", number + 1
        used.add(name)
        renamed_groups.append(replace(group, name=name))
    return renamed_groups


def _members(run: Run) -> list[Member]:
    """Return the run, or its repetitions."""
    rows = [row for row in run.repetitions if isinstance(row.get("seed"), int)]
    if not rows:
        return [Member(run, run.seed, _numbers(run.summary))]
    return [Member(run, int(row["seed"]), _numbers(row)) for row in rows]


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: float(values[name]) for name, _ in COLUMNS if is_number(values.get(name))}
    return {name: value / 1e6 if name in MILLIONS else value for name, value in numbers.items()}
