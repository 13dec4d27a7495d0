"""Latency and throughput of a network on its device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Latency:
    """Seconds per pass over ``batch`` images: the median and the 10 % and 90 % quantiles of ``runs`` passes."""

    batch: int
    median: float
    low: float
    high: float
    runs: int

    @property
    def images_per_second(self) -> float:
        """Throughput at this batch size."""
        return self.batch / self.median


def measure_latency(
    network: Callable[[Tensor], object], x: Tensor, warmup: int = 10, runs: int = 100, seconds: float = 5.0
) -> Latency:
    """Time passes over ``x`` [B, C, H, W], with a device synchronization after each pass.

    Args:
        network: function to time, on the device of ``x``.
        x: batch of images.
        warmup: passes before the measurement; at least one.
        runs: timed passes; at least three.
        seconds: time limit of the warm-up and of the measurement, which then end early.
    """
    _timed_passes(network, x, warmup, 1, seconds)
    times = _timed_passes(network, x, runs, 3, seconds)
    deciles = statistics.quantiles(times, n=10, method="inclusive")
    return Latency(len(x), statistics.median(times), deciles[0], deciles[-1], len(times))


def _timed_passes(network: Callable[[Tensor], object], x: Tensor, most: int, least: int, limit: float) -> list[float]:
    times: list[float] = []
    _synchronize(x.device)
    while len(times) < max(most, least) and (len(times) < least or sum(times) < limit):
        start = time.perf_counter()
        network(x)
        _synchronize(x.device)
        times.append(time.perf_counter() - start)
    return times


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
