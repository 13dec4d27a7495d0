"""summary.json: what was run, on what, and what came out."""

from __future__ import annotations

import platform
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from nas.architecture.cell import Genotype
from nas.callbacks.recording.benchmark import BenchmarkAccuracy
from nas.nn.macs import count_operations, count_parameters
from nas.spaces.base import Space
from nas.zoo.architectures import PublishedArchitecture

PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "omegaconf", "torchmetrics", "numpy")


def cost(space: Space, genotype: Genotype, **options: Any) -> dict[str, Any]:
    """Parameters (without the auxiliary head) and multiply-adds of the derived network, as its space counts them."""
    with torch.device("meta"):
        network = space.network(genotype, **options)
    rule = "macs_bias" if space.counts_bias else "macs"
    return {
        "parameters": count_parameters(network),
        "macs": count_operations(network, space.shape, rule),
        "macs_rule": rule,
    }


def as_published(entry: PublishedArchitecture, space: Space, genotype: Genotype, **options: Any) -> dict[str, Any]:
    """What was reported of an architecture, and what its network as it is here costs by the rules of its authors."""
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


def known(callbacks: Iterable[Any], genotype: Genotype) -> dict[str, Any]:
    """What a benchmark tells of a genotype, by the names of the metrics; nothing where there is none."""
    table = next((callback for callback in callbacks if isinstance(callback, BenchmarkAccuracy)), None)
    found: dict[str, Any] = {} if table is None else dict(table.accuracies(genotype))
    return {**found, "benchmark_of": table.description} if table is not None and found else {}


def environment(device: torch.device, precision: str) -> dict[str, Any]:
    """Where a run took place and what it needed."""
    return {
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or platform.machine(),
        "accelerator": device.type,
        "precision": precision,
        "peak_memory_bytes": peak_memory(device),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "commit": commit(),
        "command": shlex.join(["python", *sys.argv]),
    }


def peak_memory(device: torch.device) -> int:
    """The most memory held at a time, in bytes: of the device on CUDA, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def commit() -> str | None:
    """The git commit of the code, with '+' where files differ from it; None outside a checkout."""
    root = Path(__file__).parents[3]
    try:
        found = [
            subprocess.run(
                ["git", "-C", str(root), *args], capture_output=True, text=True, timeout=10, check=True
            ).stdout
            for args in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return found[0].strip() + ("+" if found[1].strip() else "")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
