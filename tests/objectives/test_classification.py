"""Loss and accuracy of image classification, in plain numbers."""

from __future__ import annotations

import math

import pytest
import torch

from nas.objectives.classification import Classification

LOGITS = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0], [math.log(4.0), 0.0]])
TARGET = torch.tensor([1, 0, 1])
LOSS = -(math.log(3 / 4) + math.log(1 / 2) + math.log(1 / 5)) / 3


def test_loss_is_smoothed_in_training_alone() -> None:
    task = Classification(label_smoothing=0.2)
    other = -(math.log(1 / 4) + math.log(1 / 2) + math.log(4 / 5)) / 3
    assert float(task.loss(LOGITS, TARGET, training=False)) == pytest.approx(LOSS)
    assert float(task.loss(LOGITS, TARGET)) == pytest.approx(0.9 * LOSS + 0.1 * other)
    assert float(Classification().loss(LOGITS, TARGET)) == pytest.approx(LOSS)


def test_accuracy_is_in_percent() -> None:
    assert float(Classification().accuracy(LOGITS, TARGET)) == pytest.approx(200 / 3)
