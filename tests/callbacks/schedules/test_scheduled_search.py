"""nas.callbacks.schedules.scheduled_search: callbacks that need a number of epochs."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl

from nas.callbacks.schedules.dots import DotsStages
from nas.callbacks.schedules.greedy_decisions import GreedyDecisions
from nas.callbacks.schedules.split_edges import SplitEdges
from nas.callbacks.selection.perturbation_selection import PerturbationSelection
from nas.utils.errors import NasError

CALLBACKS = [DotsStages(), GreedyDecisions(), SplitEdges((1,), 4), PerturbationSelection()]


@pytest.mark.parametrize("callback", CALLBACKS, ids=lambda callback: type(callback).__name__)
@pytest.mark.parametrize("epochs", [-1, 2])
def test_callbacks_refuse_other_modules_and_an_unknown_number_of_epochs(callback: pl.Callback, epochs: int) -> None:
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(NasError, match=f"{type(callback).__name__}: needs a gradient search with trainer.max_epochs"):
        callback.on_train_epoch_start(trainer, pl.LightningModule())
