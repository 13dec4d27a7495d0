"""Protocols of language models: composed values equal those of the publications."""

from __future__ import annotations

import pytest
import torch
from hydra.utils import instantiate

from nas.cli.build import build_data
from nas.data.text.base import TextData
from nas.training.language_model import LanguageModelTraining
from tests.conf.test_protocols import TEXT
from tests.support.compose_tools import composed
from tests.training.test_language_model import network


@pytest.mark.parametrize("name", TEXT)
def test_text_protocol_has_the_published_values(name: str) -> None:
    dataset, size, hidden_dropout, decay, epochs, skip_recent = TEXT[name]
    with composed("train", f"protocol={name}", "genotype=x", "paths.data=x", "paths.output=x") as cfg:
        data = build_data(cfg, bilevel=False)
        assert isinstance(data, TextData) and data.name == dataset and cfg.trainer.max_epochs == cfg.epochs == epochs
        assert (data.batch_size, data.eval_batch_size, data.test_batch_size) == (64, 10, 1)
        assert (data.lengths.bptt, data.lengths.short_probability, data.lengths.length_std) == (35, 0.05, 5)
        options = cfg.network
        assert (options.hidden_size, options.hidden_dropout) == (size, hidden_dropout)
        dropouts = options.word_dropout, options.embedding_dropout, options.input_dropout, options.output_dropout
        assert dropouts == (0.1, 0.2, 0.75, 0.75)
        training = instantiate(cfg.text_training, network=network(), _convert_="all")
        assert isinstance(training, LanguageModelTraining)
        assert (training.task.activation_penalty, training.task.temporal_penalty) == (0, 1e-3)
        assert (training.clip_norm, training.averaging, training.decay_norm_and_bias) == (0.25, True, True)
        assert (training.trigger.patience, training.trigger.skip_recent) == (5, skip_recent)
        (optimizer,), schedulers = training.configure_optimizers()
        group = optimizer.param_groups[0]
        assert type(optimizer) is torch.optim.SGD and schedulers == []
        assert (group["lr"], group["weight_decay"], group["momentum"]) == (20, decay, 0)
