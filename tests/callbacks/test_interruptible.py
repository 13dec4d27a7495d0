"""Tests of SIGTERM within long evaluations of callbacks."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytorch_lightning.utilities.exceptions import SIGTERMException

from nas.callbacks.interruptible import interruptible
from nas.callbacks.selection import perturbation_selection
from tests.support.error_tools import SEARCH, run


def test_sigterm_ends_the_batches_of_a_single_process() -> None:
    trainer: Any = SimpleNamespace(received_sigterm=False, world_size=1)
    batches = interruptible(trainer, iter(range(5)))
    assert [next(batches), next(batches)] == [0, 1]
    trainer.received_sigterm = True
    with pytest.raises(SIGTERMException):
        next(batches)
    trainer.world_size = 2
    assert list(interruptible(trainer, range(3))) == [0, 1, 2], "the other processes wait for this one"


def test_sigterm_ends_a_selection_after_the_present_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The selection of DARTS-PT evaluates many architectures before the first step of an epoch."""
    evaluated = []

    def stopped(trainer: Any, architectures: Sequence[Any]) -> Iterator[Any]:
        for architecture in interruptible(trainer, architectures):
            evaluated.append(architecture)
            if len(evaluated) == 2:
                assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL, "it would end the tests"
                os.kill(os.getpid(), signal.SIGTERM)
            yield architecture

    monkeypatch.setattr(perturbation_selection, "interruptible", stopped)
    found = run("search", *SEARCH, "method=darts_pt", "epochs=2", f"hydra.run.dir={tmp_path}/run")
    found.refused("interrupted", code=130)
    assert len(evaluated) == 2
