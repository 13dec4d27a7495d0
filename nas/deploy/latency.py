"""How fast a network runs on the device that it is on."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Latency:
    """Seconds of one pass over ``batch`` images, after a warm-up: the median, and between what 80 % of ``runs`` lie."""

    batch: int
    median: float
    low: float
    high: float
    runs: int

    @property
    def images_per_second(self) -> float:
        """The throughput at this batch."""
        return self.batch / self.median


def measure_latency(
    network: Callable[[Tensor], object], x: Tensor, warmup: int = 10, runs: int = 100, seconds: float = 5.0
) -> Latency:
    """Passes over ``x`` [B, C, H, W], one by one, each waited for on an accelerator.

    Warm-up and measurement end early, but after one and three passes, where they take longer than ``seconds``.
    """
    _passes(network, x, warmup, 1, seconds)
    taken = _passes(network, x, runs, 3, seconds)
    deciles = statistics.quantiles(taken, n=10, method="inclusive")
    return Latency(len(x), statistics.median(taken), deciles[0], deciles[-1], len(taken))


def _passes(network: Callable[[Tensor], object], x: Tensor, most: int, least: int, seconds: float) -> list[float]:
    taken: list[float] = []
    _wait(x.device)
    while len(taken) < max(most, least) and (len(taken) < least or sum(taken) < seconds):
        began = time.perf_counter()
        network(x)
        _wait(x.device)
        taken.append(time.perf_counter() - began)
    return taken


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
