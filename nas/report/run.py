"""Content of a run directory, as far as a report shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from nas.architecture.cell import Cell, Genotype


class Points(NamedTuple):
    """Values of a metric by epoch (counted from 1) or step."""

    x: list[float]
    y: list[float]


class Band(NamedTuple):
    """A central curve with a lower and an upper one."""

    x: list[float]
    low: list[float]
    middle: list[float]
    high: list[float]


class Option(NamedTuple):
    """An option of a run that differs from its default; ``default`` is None if it is unknown."""

    key: str
    value: str
    default: str | None


class Query(NamedTuple):
    """An evaluation of a black-box search; ``value`` is NaN if it failed."""

    number: int
    value: float


@dataclass(frozen=True)
class Run:
    """A run of any kind. Everything but the directory may be missing.

    Attributes:
        directory: the path to print.
        kind: ``mode`` of the run, "" if it is unknown.
        status: "finished", "failed" or "unfinished".
        summary: content of summary.json.
        choices: chosen names of the configuration groups.
        overrides: overrides by key.
        options: options that differ from their defaults.
        epochs: metrics by epoch.
        steps: metrics by step.
        genotypes: genotype of each epoch.
        ops: number of links with each op, for each epoch.
        scores: for each epoch the scores [edges, ops] of each cell type.
        cells: cell types of the space.
        genotype: the final genotype.
        queries: evaluations of a black-box search.
        repetitions: results of the repetitions of a black-box search.
        anytime: mean and 95 % band of the best values over the cost.
        anytime_axis: "seconds" or "queries".
        hypervolume: hypervolume of the front after each evaluation of a Pareto search.
        accuracy_range: range and mode of the benchmark accuracy of sampled architectures, by data set.
        optimum: best accuracy of the benchmark, by data set of ``accuracy_range``.
        problems: sentences on missing or damaged files.
        failure: the error that ended the run.
        started, ended: times of the first and the last file.
        resumable: whether there is a checkpoint.
        flags: quoted options that commands on the run need, such as ``-cd DIRECTORY``.
        resume_flags: quoted options that the command that resumes the run needs.
    """

    directory: str
    kind: str = ""
    status: str = "unfinished"
    summary: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[Option] = ()
    epochs: Mapping[str, Points] = field(default_factory=dict)
    steps: Mapping[str, Points] = field(default_factory=dict)
    genotypes: Sequence[tuple[int, Genotype]] = ()
    ops: Sequence[tuple[int, Mapping[str, int]]] = ()
    scores: Sequence[tuple[int, Mapping[str, list[list[float]]]]] = ()
    cells: Mapping[str, Cell] = field(default_factory=dict)
    genotype: Genotype | None = None
    queries: Sequence[Query] = ()
    repetitions: Sequence[Mapping[str, Any]] = ()
    anytime: Mapping[str, Band] = field(default_factory=dict)
    anytime_axis: str = "queries"
    hypervolume: Points = Points([], [])
    accuracy_range: Mapping[str, Band] = field(default_factory=dict)
    optimum: Mapping[str, float] = field(default_factory=dict)
    problems: Sequence[str] = ()
    failure: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    resumable: bool = False
    flags: Sequence[str] = ()
    resume_flags: Sequence[str] = ()

    def name_of(self, part: str) -> str:
        """Return the method (in a ranking: the proxy), space or data set of the run, "" if it is unknown."""
        part = "proxy" if part == "method" and self.kind == "rank_proxies" else part
        name = self.summary.get(part, self.choices.get(part, ""))
        return name if isinstance(name, str) else ""

    @property
    def seed(self) -> int | None:
        """The seed, None if it is unknown."""
        value = self.summary.get("seed", self.overrides.get("seed"))
        return int(value) if str(value).isdecimal() else None

    @property
    def title(self) -> str:
        """Kind, method or proxy, space, data set and seed, as far as they are known."""
        kinds = {"": "Run", "eval": "Evaluation", "train": "Training", "rank_proxies": "Ranking by a proxy"}
        names = [name for name in map(self.name_of, ("method", "space", "dataset")) if name]
        seed = [] if self.seed is None else [f"seed {self.seed}"]
        return f"{kinds.get(self.kind, self.kind.capitalize())}: {', '.join([*names, *seed]) or self.directory}"

    @property
    def ops_in_order(self) -> list[str]:
        """All ops of the cell types and genotypes."""
        names = [op for cell in self.cells.values() for op in cell.ops]
        names += [op for _, counts in self.ops for op in counts]
        links = (link for _, genotype in self.genotypes for cell in genotype.cells.values() for link in cell.links)
        return list(dict.fromkeys([*names, *(op for op, _, _ in links)]))
