"""Progress bar of a run."""

from __future__ import annotations

import io
from types import SimpleNamespace
from unittest import mock

import pytest
import pytorch_lightning as pl
from rich.console import Console

from nas.callbacks.progress_bar import RunProgressBar
from nas.callbacks.recording import time_left
from nas.callbacks.recording.time_left import TimeLeft, format_time
from nas.cli.build import build_trainer
from tests.support.compose_tools import composed, tiny


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (309, "5:09"), (3909, "1:05:09"), (90000, "25:00:00")])
def test_format_time(seconds: float, text: str) -> None:
    assert format_time(seconds) == text


def test_time_left_of_a_resumed_run_follows_the_epochs_of_this_process() -> None:
    """Two of ten epochs take 60 s after a resume at epoch 4, and four epochs remain."""
    left = TimeLeft()
    with mock.patch.object(time_left.time, "monotonic", side_effect=[100.0, 160.0]):
        left.start(4.0)
        assert left.seconds() is None
        left.update(6.0, 10.0)
    assert left.seconds() == pytest.approx(120.0)


def test_progress_bar_counts_epochs_as_the_log_and_shows_the_time_left() -> None:
    with composed("search", *tiny("darts"), "epochs=3", "logger=none", "trainer.enable_progress_bar=true") as cfg:
        cfg.callbacks = {}
        trainer = build_trainer(cfg)
    bar = trainer.progress_bar_callback
    assert isinstance(bar, RunProgressBar) and len([c for c in trainer.callbacks if isinstance(c, RunProgressBar)]) == 1
    bar.setup(trainer, pl.LightningModule(), "fit")
    assert [bar._get_train_description(epoch).rstrip() for epoch in range(3)] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    with mock.patch.object(time_left.time, "monotonic", side_effect=[0.0, 10.0]):
        bar.time_left.start(0.0)
        bar.time_left.update(0.5, 3.0)
    column = bar.configure_columns(trainer)[-1]
    shown = Console(file=io.StringIO(), width=80)
    shown.print(column.render(SimpleNamespace(description="epoch 1/3  ")))
    shown.print(column.render(SimpleNamespace(description="Validation")))
    assert shown.file.getvalue().split("\n")[:2] == ["run: 0:50 left", ""]  # type: ignore[attr-defined]
