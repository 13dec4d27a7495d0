"""nas.training.network_training: drop path, losses, optimizer steps, moving average and best epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import Tensor, nn

from nas.data.synthetic import Synthetic
from nas.nn.drop_path import DropPath
from nas.spaces.base import Network, Output
from nas.spaces.darts.space import Darts
from nas.spaces.genotype_file import load_genotype
from nas.training.lr_schedule import LRDecay
from nas.training.network_training import Training
from nas.utils.errors import NasError
from tests.support.resume_tools import DARTS

SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01)


class Small(Network):
    """Two linear heads with simple gradients; the second one is auxiliary."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.auxiliary_head = nn.Linear(12, 5), nn.Linear(12, 5)
        self.drop_path = DropPath()

    def outputs(self, x: Tensor, arch: Any = None) -> Output:
        features = x.flatten(1)
        return Output(self.head(features), features, self.auxiliary_head(features) if self.training else None)


def data(**options: Any) -> Synthetic:
    synthetic = Synthetic(shape=(3, 2, 2), classes=5, size=32, test_size=20, batch_size=8, bilevel=False, **options)
    synthetic.test_every_epoch = True
    return synthetic


def fit(
    training: Training, epochs: int, *callbacks: pl.Callback, ckpt_path: Path | None = None, **options: Any
) -> pl.Trainer:
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, callbacks=list(callbacks),
        **options,
    )  # fmt: skip
    trainer.fit(training, datamodule=data(), ckpt_path=ckpt_path)
    return trainer


class RecordEpochs(pl.Callback):
    """Record the drop-path probability and the test accuracy of each epoch."""

    def __init__(self) -> None:
        self.probabilities: list[set[float]] = []
        self.accuracies: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        found = {m.probability for m in module.modules() if isinstance(m, DropPath)}
        if batch_idx == 0:
            self.probabilities.append(found)
        assert self.probabilities[-1] == found

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.accuracies.append(float(trainer.callback_metrics["test/accuracy"]))


def test_training_logs_the_learning_rate_of_each_epoch() -> None:
    class Rates(pl.Callback):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            self.seen.append(float(trainer.callback_metrics["train/learning_rate"]))

    rates = Rates()
    fit(Training(Small(), SGD, partial(LRDecay, T_max=4), classes=5), 4, rates)
    assert rates.seen == pytest.approx([0.05 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)])


def test_training_increases_drop_path_linearly() -> None:
    watch = RecordEpochs()
    fit(Training(Small(), SGD, classes=5, drop_path=0.3), 6, watch)
    assert [round(p, 12) for (p,) in watch.probabilities] == [0.0, 0.05, 0.1, 0.15, 0.2, 0.25]


def test_training_resumed_within_an_epoch_has_its_drop_path(tmp_path: Path) -> None:
    class Watch(pl.Callback):
        """Record the drop-path probability of each step, and save a checkpoint in the middle of the third epoch."""

        def __init__(self) -> None:
            self.seen: list[tuple[int, int, float]] = []

        def on_train_batch_end(
            self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            self.seen.append((trainer.current_epoch, batch_idx, module.network.drop_path.probability))
            if self.seen[-1][:2] == (2, 1):
                trainer.save_checkpoint(tmp_path / "within.ckpt", weights_only=False)

    whole, rest = Watch(), Watch()
    fit(Training(Small(), SGD, classes=5, drop_path=0.3), 4, whole)
    fit(Training(Small(), SGD, classes=5, drop_path=0.3), 4, rest, ckpt_path=tmp_path / "within.ckpt")
    assert rest.seen == [entry for entry in whole.seen if entry[:2] > (2, 1)]
    assert rest.seen[0] == (2, 2, pytest.approx(0.15))


@pytest.mark.parametrize(("cell", "dropped"), [(0, 6), (1, 5)])
def test_drop_path_skips_identities(cell: int, dropped: int) -> None:
    """Two of eight links are identities in the normal cell, three in the reduction cell (a skip of stride 2 is not)."""
    network = Darts((3, 8, 8), 10).network(load_genotype(DARTS), channels=4, layers=3)
    calls: list[int] = []
    network.cells[cell].graph.drop_path.register_forward_hook(lambda *args: calls.append(1))
    network(torch.randn(2, 3, 8, 8))
    assert len(calls) == dropped


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    kept = DropPath(0.25).train()(torch.ones(10_000, 2, 1, 1))
    assert kept.unique().tolist() == pytest.approx([0.0, 4 / 3]) and torch.equal(kept[:, 0], kept[:, 1])
    assert (kept[:, 0] > 0).float().mean() == pytest.approx(0.75, abs=0.015)


@pytest.mark.parametrize(("weight", "smoothing"), [(0.4, 0.0), (0.4, 0.1), (0.0, 0.1)])
def test_training_loss_matches_its_definition(weight: float, smoothing: float) -> None:
    """Compare with the mean cross-entropy to (1 - s) onehot + s / K, plus that of the auxiliary head."""
    network = Small().double()
    training = Training(network, SGD, classes=5, auxiliary_weight=weight, label_smoothing=smoothing)
    training.log_dict = lambda *args, **kwargs: None  # type: ignore[assignment]
    x, y = torch.randn(8, 3, 2, 2, dtype=torch.float64), torch.randint(5, (8,))
    found = training.training_step((x, y), 0)

    def loss(logits: Tensor) -> float:
        total = 0.0
        for row, label in zip(logits.tolist(), y.tolist(), strict=True):
            norm = torch.logsumexp(torch.tensor(row, dtype=torch.float64), 0).item()
            for k, value in enumerate(row):
                total -= ((1 - smoothing) * (k == label) + smoothing / 5) * (value - norm)
        return total / len(y)

    features = x.flatten(1)
    assert float(found.detach()) == pytest.approx(
        loss(network.head(features)) + weight * loss(network.auxiliary_head(features))
    )


def test_training_test_loss_has_no_label_smoothing() -> None:
    training = Training(Small(), SGD, classes=5, label_smoothing=0.1).eval()
    x, y = torch.randn(8, 3, 2, 2), torch.randint(5, (8,))
    training.test_step((x, y), 0)
    expected = nn.functional.cross_entropy(training.network(x), y)
    assert float(training.test_loss.compute()) == pytest.approx(float(expected.detach()))


def sgd_by_hand(network: Small, batches: Iterator[tuple[Tensor, Tensor]], every: int = 1) -> list[dict[str, Tensor]]:
    """Return the parameters after each step of SGD with momentum and clipping, as in the documentation of torch."""
    state = {name: p.detach().clone() for name, p in network.named_parameters()}
    speed = {name: torch.zeros_like(p) for name, p in state.items()}
    seen = []
    gradients = {name: torch.zeros_like(p) for name, p in state.items()}
    for number, (x, y) in enumerate(batches, 1):
        weights = {name: p.clone().requires_grad_() for name, p in state.items()}
        features = x.flatten(1)
        heads = [nn.functional.linear(features, weights[f"{h}.weight"], weights[f"{h}.bias"])
                 for h in ("head", "auxiliary_head")]  # fmt: skip
        loss = nn.functional.cross_entropy(heads[0], y) + 0.4 * nn.functional.cross_entropy(heads[1], y)
        found = torch.autograd.grad(loss / every, list(weights.values()))
        gradients = {name: gradients[name] + g for name, g in zip(weights, found, strict=True)}
        if number % every:
            continue
        norm = torch.cat([g.flatten() for g in gradients.values()]).norm()
        factor = min(1.0, 0.5 / float(norm + 1e-6))
        for name in state:
            step = factor * gradients[name] + 0.01 * state[name]
            speed[name] = step if len(seen) == 0 else 0.9 * speed[name] + step
            state[name] = state[name] - 0.1 * speed[name]
        seen.append(dict(state))
        gradients = {name: torch.zeros_like(p) for name, p in state.items()}
    return seen


def batches_of(epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
    loader = data().train_dataloader()
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        yield from loader


@pytest.mark.parametrize("every", [1, 2])
def test_training_steps_match_clipped_sgd(every: int) -> None:
    """Clip the gradient of the accumulated loss."""
    torch.manual_seed(0)
    network = Small()
    expected = sgd_by_hand(network, batches_of(2), every)
    trainer = fit(Training(network, SGD, classes=5, clip_norm=0.5), 2, accumulate_grad_batches=every)
    assert trainer.global_step == len(expected) == 8 // every
    for name, value in network.named_parameters():
        torch.testing.assert_close(value.detach(), expected[-1][name], rtol=1e-4, atol=1e-6)


def test_training_tests_and_saves_the_moving_average() -> None:
    """Start the average as a copy after the first step; test and keep the average."""
    torch.manual_seed(0)
    network = Small()
    steps = sgd_by_hand(network, batches_of(2))
    watch = RecordEpochs()
    fit(Training(network, SGD, classes=5, clip_norm=0.5), 2, EMAWeightAveraging(decay=0.9), watch)
    for name, value in network.named_parameters():
        average = steps[0][name]
        for step in steps[1:]:
            average = 0.9 * average + 0.1 * step[name]
        torch.testing.assert_close(value.detach(), average, rtol=1e-4, atol=1e-6)
    found = data().splits
    x = (found.test_images / 255 - 0.5) / 0.25
    accuracy = 100 * float((network.eval()(x).argmax(1) == found.test_labels).float().mean())
    assert watch.accuracies[-1] == pytest.approx(accuracy)


def test_training_best_is_the_first_epoch_of_the_highest_accuracy() -> None:
    torch.manual_seed(1)
    watch = RecordEpochs()
    training = Training(Small(), partial(torch.optim.SGD, lr=0.6), classes=5)
    fit(training, 6, watch)
    assert len(watch.accuracies) == 6 and len(set(watch.accuracies)) > 1
    best = max(watch.accuracies)
    assert training.best == (best, watch.accuracies.index(best) + 1, training.tested_images)
    checkpoint: dict[str, Any] = {}
    training.on_save_checkpoint(checkpoint)
    other = Training(Small(), SGD, classes=5)
    other.on_load_checkpoint({"state_dict": training.state_dict(), **checkpoint})
    assert other.best == training.best
    other.on_load_checkpoint({"state_dict": training.state_dict(), **checkpoint, "best": [50.0, 2]})
    assert other.best is not None and other.best[:2] == (50.0, 2), "version 0.1.0 stored no number of images"


def test_training_channels_last_matches_contiguous() -> None:
    found = []
    for last in (False, True):
        torch.manual_seed(0)
        network = Darts((3, 16, 16), 10).network(load_genotype(DARTS), channels=4, layers=3).double()
        training = Training(network, SGD)
        if last:
            training.set_memory_format(torch.channels_last)
        training.log_dict = lambda *args, **kwargs: None  # type: ignore[assignment]
        x = torch.randn(4, 3, 16, 16, dtype=torch.float64)
        loss = training.training_step((x, torch.arange(4)), 0)
        loss.backward()
        norm = torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm()
        found.append((float(loss.detach()), float(norm)))
        kernel = network.stem[0].weight
        assert kernel.is_contiguous(memory_format=torch.channels_last) is last
    assert found[0] == pytest.approx(found[1], rel=1e-10)


def test_training_reports_top5_with_100_classes() -> None:
    assert Training(Small(), SGD, classes=5).test_top5 is None
    training = Training(nn.Flatten(), SGD, classes=100)  # type: ignore[arg-type]
    scores = torch.arange(100.0).flip(0).repeat(10, 1).view(10, 100, 1, 1)  # class 0 first, then 1, ...
    training.test_step((scores, torch.arange(10)), 0)
    assert training.test_top5 is not None
    assert (float(training.test_accuracy.compute()), float(training.test_top5.compute())) == pytest.approx((0.1, 0.5))


def test_training_rejects_drop_path_without_modules() -> None:
    network = Small()
    del network.drop_path
    Training(network, SGD, classes=5)
    with pytest.raises(NasError, match="training.drop_path=0.2: this network has no drop path"):
        Training(network, SGD, classes=5, drop_path=0.2)
