"""Figures of a genotype for summary.json: its cost, its published results, its benchmark accuracies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from nas.architecture.cell import Genotype
from nas.callbacks.guards.cpu_budget import CpuBudget
from nas.callbacks.recording.benchmark import BenchmarkAccuracy
from nas.callbacks.recording.memory import MemoryEstimate
from nas.callbacks.recording.step_timer import StepTimer
from nas.cli.run_dir.batch_plan import BatchPlan
from nas.data.base import ImageData
from nas.data.kinds import DataSet
from nas.nn.macs import count_operations
from nas.searches.base import SupernetSearch
from nas.spaces.base import Space
from nas.spaces.genotype_budget import read_budget
from nas.training.network_training import Training
from nas.zoo.architectures import PublishedArchitecture


def network_cost(space: Space, genotype: Genotype, **options: Any) -> dict[str, Any]:
    """Count the parameters (without the auxiliary head) and multiply-adds of a network by the rule of its space.

    ``network_size`` describes the size of this network. ``input_shape`` and ``classes`` are those of the data set.
    """
    parameters, macs = space.count(genotype, **options)
    counted_with = {"input_shape": list(space.shape), "classes": space.classes} if len(space.shape) == 3 else {}
    return {
        **counted_with,
        "parameters": parameters,
        "macs": macs,
        "macs_rule": "macs_bias" if space.counts_bias else "macs",
        "network_size": space.describe_size(**options),
    }


def budget_figures(source: str, counted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recorded limits of the search of a genotype beside the counted costs of a network of it.

    Args:
        source: value of ``genotype=``.
        counted: ``parameters`` and ``macs`` of the network. Limits of other costs are left out.
    """
    recorded = read_budget(source)
    figures = {
        name: {"value": counted[name], "limit": cost["limit"]} for name, cost in recorded.items() if name in counted
    }
    return {"budget": figures} if figures else {}


def published_figures(entry: PublishedArchitecture, space: Space, genotype: Genotype, **options: Any) -> dict[str, Any]:
    """Return the reported results of an architecture, and the cost of this network by the rules of its authors."""
    rules = {str(figures["rule"]) for figures in entry.reported.values() if "rule" in figures}
    with torch.device("meta"):
        network = space.network(genotype, **options)
    return {
        "name": entry.name,
        "source": entry.source,
        "reported": {data: dict(figures) for data, figures in entry.reported.items()},
        "reported_in": entry.reported_in,
        "counted": {rule: count_operations(network, space.shape, rule) for rule in sorted(rules)},
    }


def benchmark_figures(callbacks: Iterable[Any], genotype: Genotype) -> dict[str, Any]:
    """Return the benchmark accuracies of a genotype and the best of the table, empty without a benchmark callback."""
    benchmark = next((callback for callback in callbacks if isinstance(callback, BenchmarkAccuracy)), None)
    figures: dict[str, Any] = {} if benchmark is None else dict(benchmark.accuracies(genotype))
    if benchmark is None or not figures:
        return {}
    return {**figures, "benchmark_of": benchmark.description, "benchmark_best": benchmark.best()}


def benchmark_tests(callbacks: Iterable[Any], genotype: Genotype) -> dict[str, float]:
    """Return the test accuracies of a genotype on all data sets of its benchmark, by ``DATASET/test``."""
    benchmark = next((callback for callback in callbacks if isinstance(callback, BenchmarkAccuracy)), None)
    return {} if benchmark is None else benchmark.test_accuracies(genotype)


def split_figures(data: DataSet) -> dict[str, Any]:
    """Return whether a split of NAS-Bench-201 used its official list, empty for any other split."""
    split = data.describe_split()
    return {} if split is None else {"split": split}


def estimated_memory(callbacks: Iterable[Any]) -> int | None:
    """Return the estimated peak memory in bytes, None without an estimate."""
    estimate = next((callback for callback in callbacks if isinstance(callback, MemoryEstimate)), None)
    return estimate.estimated_bytes if estimate is not None else None


def step_seconds(callbacks: Iterable[Any]) -> float | None:
    """Return the median duration of a training step in seconds, None without a timer or with too few steps."""
    timer = next((callback for callback in callbacks if isinstance(callback, StepTimer)), None)
    return timer.median() if timer is not None else None


def plan_of(trainer: pl.Trainer, module: pl.LightningModule) -> BatchPlan | None:
    """Return the division of the images of a step of a trainer, None if the run takes no steps on batches."""
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, ImageData) or not isinstance(module, SupernetSearch | Training):
        return None
    size = module.images_per_pass if isinstance(module, SupernetSearch) else None
    size = data.batch_size if size is None else size
    return BatchPlan(trainer.world_size, trainer.accumulate_grad_batches * data.batch_size // size, size)


def batch_figures(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
    """Return the images per step on all devices and their division as text, empty for a run without such steps."""
    plan = plan_of(trainer, module)
    return {} if plan is None else {"images_per_step": plan.total, "batch": plan.describe()}


def cpu_figures(callbacks: Iterable[Any]) -> dict[str, Any]:
    """Return the CPU seconds of the search and its budget in minutes, empty without the callback that measures them.

    The CPU seconds of a search in a process with others are unknown and left out.
    """
    budget = next((callback for callback in callbacks if isinstance(callback, CpuBudget)), None)
    if budget is None:
        return {}
    seconds = {} if budget.shared else {"cpu_seconds": round(budget.seconds(), 3)}
    return {**seconds, "cpu_minutes": budget.minutes}
