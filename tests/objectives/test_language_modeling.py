"""Loss, perplexity and regularizers of language models, in plain numbers."""

from __future__ import annotations

import math

import pytest
import torch

from nas.nn.chunk import Chunk
from nas.objectives.language_modeling import LanguageModeling, Perplexity
from nas.spaces.base import Output

LOGITS = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0], [math.log(4.0), 0.0]])
TARGET = torch.tensor([1, 0, 1])
LOSS = -(math.log(3 / 4) + math.log(1 / 2) + math.log(1 / 5)) / 3
STATES = torch.tensor([0.0, 1.0, 3.0])[:, None, None].expand(3, 2, 4)


def test_score_is_the_mean_log_likelihood_and_its_metric_the_perplexity() -> None:
    task = LanguageModeling()
    assert float(task.loss(LOGITS, TARGET)) == pytest.approx(LOSS)
    assert float(task.score(LOGITS, TARGET)) == pytest.approx(-LOSS)
    assert float(task.value(task.score(LOGITS, TARGET))) == pytest.approx((3 / 4 * 1 / 2 * 1 / 5) ** (-1 / 3))


def test_perplexity_of_an_epoch_weights_batches_by_their_tokens() -> None:
    metric = Perplexity()
    metric.update(torch.tensor(-1.0), 30)
    metric.update(torch.tensor(-4.0), 10)
    assert float(metric.compute()) == pytest.approx(math.exp(70 / 40))


def test_penalty_adds_both_activation_regularizers() -> None:
    outputs = Output(LOGITS, features=2 * STATES, hidden=STATES)
    penalty = LanguageModeling(activation_penalty=0.5, temporal_penalty=3.0).penalty(outputs)
    assert penalty is not None
    assert float(penalty) == pytest.approx(0.5 * 4 * 10 / 3 + 3.0 * (1 + 4) / 2)
    assert LanguageModeling().penalty(outputs) is None
    one_step = Output(LOGITS, features=STATES[:1], hidden=STATES[:1])
    assert LanguageModeling(temporal_penalty=1.0).penalty(one_step) == 0


def test_learning_rate_follows_the_length_of_the_chunk() -> None:
    assert LanguageModeling().lr_scale(Chunk(torch.zeros(17, 2, dtype=torch.long), lr_scale=17 / 35)) == 17 / 35
