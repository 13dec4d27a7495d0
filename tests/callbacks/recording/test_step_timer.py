"""Duration of training steps: which steps are counted."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nas.callbacks.recording.step_timer import StepTimer


@pytest.mark.parametrize(
    ("options", "counted"), [({}, [3, 4, 5]), ({"warmup": 1}, [1, 2, 3, 4, 5]), ({"keep": 2}, [3, 4])]
)
def test_step_timer_counts_steps_after_the_warmup(
    options: dict[str, int], counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six steps take 0, 1, ... 5 seconds."""
    clock = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: clock)
    timer, module = StepTimer(**options), SimpleNamespace(device=torch.device("cpu"))
    given: Any = (None, module)
    assert timer.median() is None
    for seconds in range(6):
        timer.on_train_batch_start(*given, None, seconds)
        clock += seconds
        timer.on_train_batch_end(*given, None, None, seconds)
        clock += 100
    assert timer.seconds == counted and timer.median() == pytest.approx(sum(counted) / len(counted))
