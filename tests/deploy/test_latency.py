"""Timing of forward passes."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from nas.deploy.latency import measure_latency


def test_measure_latency_returns_median_and_interval() -> None:
    calls: list[int] = []

    def slow(x: Tensor) -> None:
        calls.append(len(x))
        time.sleep(0.03 if len(calls) % 2 else 0.01)

    found = measure_latency(slow, torch.zeros(4, 1, 1, 1), warmup=2, runs=9)
    assert calls == [4] * 11 and (found.batch, found.runs) == (4, 9)
    assert 0.01 <= found.low < 0.02 < 0.03 <= found.high and found.low <= found.median <= found.high
    assert found.images_per_second == pytest.approx(4 / found.median)
    assert measure_latency(slow, torch.zeros(1), warmup=2, runs=9, seconds=0.0).runs == 3
