"""Entry of the leaderboard, and the task that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Origin = Literal["published", "measured", "run"]
SPACES = {
    "nas_bench_201": "NAS-Bench-201",
    "nas_bench_101": "NAS-Bench-101",
    **{f"nas_bench_1shot1_{number}": f"NAS-Bench-1Shot1, subspace {number}" for number in (1, 2, 3)},
    "trans_nas_bench_101_micro": "TransNAS-Bench-101 (micro)",
    "trans_nas_bench_101_macro": "TransNAS-Bench-101 (macro)",
    "nats_size": "NATS-Bench size space",
    "darts": "DARTS space",
    "shufflenet": "ShuffleNet-like space",
    "mobile": "MobileNetV2-like space",
    "recurrent": "Recurrent space",
    **{f"darts_s{number}": f"DARTS space S{number}" for number in range(1, 5)},
}
DATASETS = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
    "imagenet16_120": "ImageNet16-120",
    "digits": "digits",
    "ptb": "Penn Treebank",
    "wikitext2": "WikiText-2",
    "text_synthetic": "synthetic text",
}


@dataclass(frozen=True, order=True)
class Task:
    """Quantity that entries are compared by: a metric on a data set, for networks of a search space.

    Attributes:
        space: name of the search space.
        dataset: name of the data set.
        metric: key of the metric.
        title: title of the metric.
        unit: unit of the metric, empty for a number without one.
        higher: whether higher values are better.
    """

    space: str
    dataset: str
    metric: str
    title: str = field(compare=False)
    unit: str = field(compare=False)
    higher: bool = field(compare=False)

    @property
    def space_title(self) -> str:
        """Name of the space to print."""
        return SPACES.get(self.space, self.space)

    @property
    def dataset_title(self) -> str:
        """Name of the data set to print."""
        return DATASETS.get(self.dataset, self.dataset)

    @property
    def metric_title(self) -> str:
        """Title of the metric with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True)
class Entry:
    """One value of a task.

    Attributes:
        task: the task.
        value: the value, a mean if there are several runs.
        model: method, genotype or name of a baseline.
        source: publication, or the directories of the runs.
        origin: published, measured by this project (in the data file), or a run that was given.
        digits: decimals of the value to print.
        spread: standard deviation over runs, None if unknown.
        runs: number of runs, None if unknown.
        variant: settings that distinguish entries of the same model.
        kind: search (value of a found architecture) or training (of a given network).
        protocol: settings of a published entry, or the differences of a run from the published settings.
        search_dataset: data set of the search.
        genotype: name or native string of the architecture.
        command: command that repeats the entry.
    """

    task: Task
    value: float
    model: str
    source: str
    origin: Origin
    digits: int = 2
    spread: float | None = None
    runs: int | None = None
    variant: str = ""
    kind: str = "search"
    protocol: str = ""
    search_dataset: str | None = None
    genotype: str | None = None
    command: str | None = None

    @property
    def name(self) -> str:
        """Model with its variant."""
        return f"{self.model} ({self.variant})" if self.variant else self.model

    def value_text(self) -> str:
        """Return the value with its spread and number of runs."""
        text = f"{self.value:.{self.digits}f}"
        if self.spread is not None:
            text += f" ± {self.spread:.{self.digits}f}"
        return text if self.runs is None else f"{text} ({self.runs})"
