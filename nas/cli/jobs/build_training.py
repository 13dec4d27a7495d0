"""Construction of the training of a network, by the kind of data: images or text."""

from __future__ import annotations

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from nas.cli.build_parts import check_class
from nas.cli.overrides.parse import key_of
from nas.cli.run_dir.task_overrides import task_overrides
from nas.data.kinds import DataSet
from nas.data.text.base import TextData
from nas.spaces.base import Network
from nas.training.base import BaseTraining
from nas.training.language_model import LanguageModelTraining
from nas.training.network_training import Best, Training
from nas.utils.errors import NasError

OPTIONS = {"images": "training", "text": "text_training"}
"""Key of the options of a training, by the kind of data."""


def build_training(cfg: DictConfig, data: DataSet, network: Network) -> Training | LanguageModelTraining:
    """Build the training of a network on a data set.

    Raises:
        NasError: for options of the command line that a training on this kind of data does not use.
    """
    used, unused = (OPTIONS[kind] for kind in (data.inputs, *(kind for kind in OPTIONS if kind != data.inputs)))
    for line in task_overrides():
        if key_of(line).partition(".")[0] == unused:
            raise NasError(f"{line}: a training on {data.inputs} does not use {unused}. Set an option of {used}.")
    if not isinstance(data, TextData):
        training: Training = instantiate(cfg.training, network=network, classes=data.classes, _convert_="all")
        check_class("training", training, Training)
        return training
    if cfg.ema is not None:
        raise NasError(
            f"ema={cfg.ema}: text_training.averaging averages the weights of a language model. Leave it out."
        )
    model: LanguageModelTraining = instantiate(cfg.text_training, network=network, _convert_="all")
    check_class("text_training", model, LanguageModelTraining)
    return model


def training_results(training: BaseTraining, data: DataSet, metrics: Any, epochs: int) -> dict[str, Any]:
    """Return the results of a finished training for summary.json.

    Args:
        training: the training after its test.
        data: its data set.
        metrics: metrics of the test.
        epochs: number of epochs.
    """
    if isinstance(training, LanguageModelTraining):
        return _text_results(training, data, metrics)
    assert isinstance(training, Training)
    accuracy, best = float(metrics["test/accuracy"]), training.best
    if best is not None and best.images == training.tested_images and accuracy > best.accuracy:
        best = Best(accuracy, epochs, best.images)  # the last epoch may have had no validation
    best_accuracy, best_epochs, best_images = best or (None, None, None)
    top5 = metrics.get("test/top5_accuracy")
    return {
        "tested_on": data.describe_test_images(),
        "images": training.tested_images,
        "test_accuracy": accuracy,
        "test_loss": float(metrics["test/loss"]),
        **({} if top5 is None else {"test_top5_accuracy": float(top5)}),
        "best_test_accuracy": best_accuracy,
        "best_epochs": best_epochs,
        "best_images": best_images,
    }


def _text_results(training: LanguageModelTraining, data: DataSet, metrics: Any) -> dict[str, Any]:
    best = training.best
    return {
        "tested_on": data.describe_test_images(),
        "tokens": training.tested_images,
        "test_perplexity": float(metrics["test/perplexity"]),
        "test_loss": float(metrics["test/loss"]),
        "val_perplexity": None if best is None else best.perplexity,
        "val_tokens": None if best is None else best.tokens,
        "best_epochs": None if best is None else best.epochs,
        "averaged": training.switched,
        "vocabulary": data.classes,
    }
