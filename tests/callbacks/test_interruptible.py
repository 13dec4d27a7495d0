"""Tests of SIGTERM within long evaluations of callbacks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytorch_lightning.utilities.exceptions import SIGTERMException

from nas.callbacks.interruptible import interruptible

ROOT = Path(__file__).parents[2]


def test_sigterm_ends_the_batches_of_a_single_process() -> None:
    trainer: Any = SimpleNamespace(received_sigterm=False, world_size=1)
    batches = interruptible(trainer, iter(range(5)))
    assert [next(batches), next(batches)] == [0, 1]
    trainer.received_sigterm = True
    with pytest.raises(SIGTERMException):
        next(batches)
    trainer.world_size = 2
    assert list(interruptible(trainer, range(3))) == [0, 1, 2], "the other processes wait for this one"


def test_sigterm_ends_a_selection_that_takes_minutes(tmp_path: Path) -> None:
    """The selection of DARTS-PT evaluates hundreds of validation batches before the first step of an epoch."""
    overrides = "method=darts_pt space=darts space.channels=4 space.layers=3 epochs=2 threads=1 dataset=synthetic"
    overrides += " dataset.size=65536 dataset.batch_size=16 dataset.eval_batch_size=64 trainer.limit_train_batches=1"
    overrides += f" trainer.limit_val_batches=1 hydra.run.dir={tmp_path}/run"
    command = [sys.executable, str(ROOT / "search.py"), *overrides.split()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path)
    history = tmp_path / "run" / "history.jsonl"
    end = time.monotonic() + 90
    while not history.exists() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.2)
    assert history.exists(), process.communicate()[0]
    time.sleep(3)  # in the selection
    sent = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in output and "Traceback" not in output, output
    assert time.monotonic() - sent < 30
