"""Callback that reports epochs to a study."""

from __future__ import annotations

from typing import Any, cast
from unittest import mock

import pytest
import torch

from nas.callbacks.guards.prune_trial import PruneTrial
from nas.utils.errors import NasError, TrialPruned


def trainer(epoch: int, first: bool = True, others_prune: bool = False, **metrics: float) -> Any:
    logged = {name.replace("_", "/"): torch.tensor(value) for name, value in metrics.items()}
    found = mock.Mock(callback_metrics=logged, current_epoch=epoch, max_epochs=5, is_global_zero=first)
    found.strategy.reduce_boolean_decision = lambda decision, all: decision or others_prune
    return found


def test_values_are_reported_with_the_number_of_epochs() -> None:
    reported: list[tuple[int, float]] = []

    def report(epochs: int, value: float) -> bool:
        reported.append((epochs, value))
        return epochs == 3

    callback = PruneTrial(report)
    module = cast(Any, None)
    callback.on_train_epoch_end(trainer(0, val_accuracy=50.0, val_loss=1.0), module)
    callback.on_train_epoch_end(trainer(1, train_loss=1.0), module)  # an epoch without a validation
    callback.on_train_epoch_end(trainer(1, val_accuracy=float("nan")), module)
    with pytest.raises(TrialPruned, match=r"after epoch 3 with val/accuracy=61.5"):
        callback.on_train_epoch_end(trainer(2, val_accuracy=61.5), module)
    assert reported == [(1, 50.0), (3, 61.5)]


def test_a_finished_trial_is_not_pruned() -> None:
    report = mock.Mock(return_value=True)
    PruneTrial(report).on_train_epoch_end(trainer(4, val_accuracy=1.0), cast(Any, None))
    report.assert_called_once_with(5, 1.0)


def test_other_ranks_neither_report_nor_continue() -> None:
    report = mock.Mock(return_value=True)
    callback = PruneTrial(report)
    callback.on_train_epoch_end(trainer(0, first=False, test_accuracy=1.0), cast(Any, None))
    with pytest.raises(TrialPruned):
        callback.on_train_epoch_end(trainer(0, first=False, others_prune=True, test_accuracy=1.0), cast(Any, None))
    report.assert_not_called()


def test_unknown_monitor_is_one_line() -> None:
    callback = PruneTrial(mock.Mock(), "val/acc")
    callback.on_train_epoch_end(trainer(0, train_loss=1.0), cast(Any, None))
    with pytest.raises(NasError, match="monitor=val/acc: the run does not log it. It logs val/accuracy"):
        callback.on_train_epoch_end(trainer(0, val_accuracy=1.0), cast(Any, None))
