"""Table of measured latencies: ops and whole networks of a space on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nas.architecture.cell import Genotype
from nas.latency.choices import MIN_RUNS, Backend, Kind, Statistic
from nas.latency.parts import PartKey
from nas.latency.timing import Timing
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, Range, check_ranges


@check_ranges(batch=COUNT, runs=Range(MIN_RUNS, 10**6, whole=True), warmup=COUNT_OR_ZERO, threads=COUNT)
@dataclass(frozen=True)
class LatencySetup:
    """Conditions of a measurement.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1`` or another device of PyTorch.
        backend: runtime.
        batch: images per pass.
        precision: ``32``, ``16`` or ``bf16``; ONNX Runtime supports 32.
        threads: threads of the CPU; None is the choice of the runtime.
        runs: timed passes of each op and network.
        warmup: passes before them.
        statistic: quantile that stands for a latency: ``median``, or ``low``, the 10 % quantile, which changes
            less with the load of the machine.
    """

    device: str = "cpu"
    backend: Backend = "torch"
    batch: int = 1
    precision: str = "32"
    threads: int | None = 1
    runs: int = 100
    warmup: int = 3
    statistic: Statistic = "median"


@dataclass(frozen=True)
class LatencyTable:
    """Latencies in milliseconds.

    Attributes:
        notation: notation of the space.
        shape: (C, H, W) of an image.
        classes: number of classes.
        network: options of the networks.
        setup: conditions of the measurement.
        ops: latency of each part by its key.
        networks: latencies of random networks, from which a predictor is fitted.
        predictor: kind of the predictor.
        machine: description of processor and device.
        versions: versions of the packages.
        date: day of the measurement, ``2026-01-31``.
    """

    notation: str
    shape: tuple[int, int, int]
    classes: int
    network: Mapping[str, Any]
    setup: LatencySetup
    ops: Mapping[PartKey, Timing]
    networks: Mapping[Genotype, Timing]
    predictor: Kind = "ridge"
    machine: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    date: str = ""

    def latency(self, timing: Timing) -> float:
        """Return the milliseconds of a timing by the statistic of the setup."""
        return timing.median if self.setup.statistic == "median" else timing.low

    def describe(self) -> str:
        """Describe the conditions in one line."""
        setup, device = self.setup, self.machine.get("device", self.setup.device)
        threads = "" if setup.threads is None or setup.device != "cpu" else f", {setup.threads} thread(s)"
        quantile = "median" if setup.statistic == "median" else "10 % quantile"
        return (
            f"{device}, {setup.backend}, batch {setup.batch}, precision {setup.precision}{threads}, {quantile} of "
            f"{setup.runs} passes"
        )
