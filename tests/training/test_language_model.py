"""nas.training.language_model: steps, the switch to averaged SGD, the best weights and resumption."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from nas.data.text.synthetic import SyntheticText
from nas.nn.hidden_states import HiddenStates
from nas.spaces.base import Network, Output
from nas.training.language_model import LanguageModelTraining
from nas.training.lr_schedule import LRDecay
from nas.utils.errors import NasError
from tests.support.resume_tools import assert_equal

SGD = partial(torch.optim.SGD, lr=2.0, weight_decay=1e-3)


class Elman(Network):
    """Language model with one hidden layer: h = tanh(x + U h)."""

    def __init__(self, words: int, size: int, dropout: float) -> None:
        super().__init__()
        self.embedding, self.hidden = nn.Embedding(words, size), nn.Linear(size, size)
        self.dropout, self.decoder = nn.Dropout(dropout), nn.Linear(size, words)
        self.states = HiddenStates()

    def outputs(self, x: Any, arch: Any = None) -> Output:
        inputs = self.embedding(x.tokens)
        start = h = self.states.start(x, inputs.shape[-1], inputs)
        found = []
        for step in inputs:
            h = torch.tanh(step + self.hidden(h))
            found.append(h)
        self.states.keep(x, start, h)
        hidden = torch.stack(found)
        features = self.dropout(hidden)
        return Output(self.decoder(features.flatten(0, 1)), features, hidden=hidden)


def network(dropout: float = 0.0, words: int = 12) -> Network:
    torch.manual_seed(1)
    return Elman(words, 8, dropout)


def text(**options: Any) -> SyntheticText:
    given = {"words": 12, "size": 480, "eval_size": 120, "batch_size": 4, "eval_batch_size": 4, "bptt": 12}
    return SyntheticText(**{**given, "bilevel": False, "length_std": 3.0, **options})


def fit(module: LanguageModelTraining, epochs: int, *callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    path, data = options.pop("ckpt_path", None), options.pop("data", None) or text()
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, callbacks=list(callbacks),
        **options,
    )  # fmt: skip
    trainer.fit(module, datamodule=data, ckpt_path=path)
    return trainer


def test_steps_are_those_of_sgd_with_rates_in_proportion_to_the_chunks() -> None:
    """Repeat an epoch by hand: penalty of slowness, clipping, weight decay, rate times length, carried states."""
    options = {"temporal_penalty": 0.5, "clip_norm": 0.3}
    trained, by_hand = network(), network()
    fit(LanguageModelTraining(trained, SGD, **options), 1)
    scales = set()
    for chunk, target in text().train_dataloader():
        by_hand.zero_grad()
        outputs = by_hand.outputs(chunk)
        slowness = (outputs.hidden[1:] - outputs.hidden[:-1]).pow(2).mean()
        loss = torch.nn.functional.cross_entropy(outputs.logits, target) + 0.5 * slowness
        loss.backward()
        gradients = [p.grad for p in by_hand.parameters()]
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        with torch.no_grad():
            for parameter, gradient in zip(by_hand.parameters(), gradients, strict=True):
                clipped = gradient * min(1.0, 0.3 / float(norm))
                parameter -= 2.0 * chunk.lr_scale * (clipped + 1e-3 * parameter)
        scales.add(chunk.lr_scale)
    assert len(scales) > 2
    for name, value in by_hand.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_training_learns_the_chain() -> None:
    """A unigram model has a perplexity near 12; the chain has 3.35."""
    module = LanguageModelTraining(network(), partial(torch.optim.SGD, lr=2.0))
    trainer = fit(module, 4, data=text(size=4_000))
    assert module.best is not None and module.best.perplexity < 6
    assert float(trainer.callback_metrics["train/perplexity"]) < 7
    loss = float(trainer.callback_metrics["val/loss"])
    assert float(trainer.callback_metrics["val/perplexity"]) == pytest.approx(math.exp(loss), rel=1e-5)


class Record(pl.Callback):
    """Record the weights after each step and the metrics of each validation; save checkpoints at chosen places."""

    def __init__(self, directory: Path | None = None, save: tuple[int, int] | None = None) -> None:
        self.directory, self.save = directory, save
        self.steps: list[list[Tensor]] = []
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0 or not self.steps:
            self.steps.append([])
        self.steps[-1].append(module.network.decoder.bias.detach().clone())
        if self.save == (trainer.current_epoch, batch_idx):
            trainer.save_checkpoint(self.directory / "at.ckpt", weights_only=False)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.values.append(float(trainer.callback_metrics["val/perplexity"]))


def perplexity(model: Network) -> float:
    """Return the validation perplexity, computed from log-probabilities."""
    total, count = 0.0, 0
    with torch.no_grad():
        for chunk, target in text().val_dataloader():
            logs = model.eval()(chunk).double().log_softmax(-1)
            total -= float(logs.gather(1, target[:, None]).sum())
            count += len(target)
    return math.exp(total / count)


def test_switch_to_averaged_weights() -> None:
    """After the switch the weights are averaged over all steps but the first, and validations use the average."""
    module = LanguageModelTraining(network(), SGD, patience=1)
    module.trigger.losses = [0.0, 0.0]  # any loss of the first epoch is above them
    record = Record()
    trainer = fit(module, 3, record)
    assert module.switched and isinstance(trainer.optimizers[0], torch.optim.ASGD)
    later = torch.stack([bias for epoch in record.steps[1:] for bias in epoch])
    average = trainer.optimizers[0].state[module.network.decoder.bias]["ax"]
    torch.testing.assert_close(average, later[1:].mean(0), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(module.network.decoder.bias.detach(), later[-1], msg="training continues unaveraged")
    assert module.best is not None and module.best.perplexity == min(record.values)
    if module.best.epochs == 3:
        torch.testing.assert_close(module.best.weights["decoder.bias"], average)
    module.use_best()
    assert perplexity(module.network) == pytest.approx(min(record.values), rel=1e-5)


def test_plain_sgd_never_switches() -> None:
    module = LanguageModelTraining(network(), SGD, averaging=False)
    module.trigger.losses = [0.0, 0.0]
    assert isinstance(fit(module, 2).optimizers[0], torch.optim.SGD) and not module.switched


@pytest.mark.parametrize("place", [(1, -1), (2, 1)], ids=["after an epoch", "within an epoch"])
def test_resumed_training_is_bit_equal(place: tuple[int, int], tmp_path: Path) -> None:
    """The switch happens after the first epoch; dropout, carried states, averages and the best weights resume."""

    def module() -> LanguageModelTraining:
        made = LanguageModelTraining(network(dropout=0.2), SGD, patience=1)
        made.trigger.losses = [0.0, 0.0]
        return made

    class EndOfEpoch(Record):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
            if place[1] < 0 and trainer.current_epoch == place[0]:
                trainer.save_checkpoint(tmp_path / "at.ckpt", weights_only=False)

    whole, rest, record = module(), module(), Record()
    torch.manual_seed(0)
    first = fit(whole, 4, EndOfEpoch(tmp_path, place))
    rest.trigger.losses = []
    second = fit(rest, 4, record, ckpt_path=tmp_path / "at.ckpt")
    assert rest.switched and len(record.steps) == 2
    assert_equal(dict(whole.state_dict()), dict(rest.state_dict()), "state_dict")
    assert_equal(first.optimizers[0].state_dict(), second.optimizers[0].state_dict(), "optimizer")
    assert whole.best is not None and rest.best is not None
    assert_equal(whole.best._asdict(), rest.best._asdict(), "best")
    assert whole.trigger.losses == rest.trigger.losses


def test_contradicting_options_are_refused_in_one_line() -> None:
    with pytest.raises(NasError, match="text_training.scheduler"):
        LanguageModelTraining(network(), SGD, partial(LRDecay, T_max=3))
    with pytest.raises(NasError, match="accumulate_grad_batches=2"):
        fit(LanguageModelTraining(network(), SGD), 1, accumulate_grad_batches=2)
