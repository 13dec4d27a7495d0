"""Expected time of a run, logged within a long first epoch."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from nas.callbacks.recording import time_left
from nas.callbacks.recording.time_left import ExpectedTime


@pytest.mark.parametrize(
    ("step_seconds", "lines"), [(20.0, ["time left      about 5:00, from the first 3 steps"]), (5.0, [])]
)
def test_expected_time_is_logged_once_in_a_long_epoch(
    caplog: pytest.LogCaptureFixture, step_seconds: float, lines: list[str]
) -> None:
    """Two epochs of nine steps: three steps are done after 40 s without the first one, and 15 remain."""
    trainer: Any = SimpleNamespace(max_epochs=2, num_training_batches=9, current_epoch=0)
    callback = ExpectedTime()
    times = [100.0 + step_seconds * step for step in range(5)]
    with caplog.at_level(logging.INFO), mock.patch.object(time_left.time, "monotonic", side_effect=times):
        for step in range(5):
            callback.on_train_batch_end(trainer, mock.MagicMock(), None, None, step)
    assert caplog.messages == lines
