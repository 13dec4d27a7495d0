"""Metrics of the current epoch alone: unit tests, and runs that validate every second epoch or not at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from nas.callbacks.recording.epoch_metrics import EpochMetrics, limited_validation
from nas.training.network_training import Training
from nas.utils.errors import NasError
from tests.support.compose_tools import lines
from tests.support.error_tools import NB201, SEARCH, TRAIN, run


class Logging(pl.LightningModule):
    """Module that logs a loss in each epoch, another metric in every second, and a validation loss of 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: list[set[str]] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.log("train/loss", 0.0, on_step=False, on_epoch=True)
        if self.current_epoch % 2 == 0:
            self.log("eigenvalue", 1.0, on_step=False, on_epoch=True)
        return self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/loss", 1.0)

    def on_train_epoch_end(self) -> None:
        self.seen.append(set(self.trainer.callback_metrics))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(*callbacks: pl.Callback, epochs: int = 4, **options: Any) -> Logging:
    module = Logging()
    loader: Any = DataLoader(torch.zeros(2, 1))
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=[EpochMetrics(), *callbacks], **quiet, **options
    )
    trainer.fit(module, loader, loader)
    return module


def test_epoch_has_only_the_metrics_that_were_measured_in_it() -> None:
    seen = fit(enable_checkpointing=False, check_val_every_n_epoch=2).seen
    assert seen == [{"train/loss", "eigenvalue"}, {"train/loss", "val/loss"}] * 2


def test_early_stopping_counts_measured_values_alone() -> None:
    """The first value is never improved: patience 2 ends after the third validation, in epoch 6."""
    options = {"monitor": "val/loss", "patience": 2, "strict": False, "check_on_train_epoch_end": True}
    module = fit(EarlyStopping(**options), epochs=9, enable_checkpointing=False, check_val_every_n_epoch=2)
    assert len(module.seen) == 6


def test_checkpoint_of_every_epoch_cannot_monitor_a_rarer_metric(tmp_path: Path) -> None:
    options = {"dirpath": tmp_path, "monitor": "val/loss"}
    with pytest.raises(NasError, match=r"monitor=val/loss: not measured in every epoch.*save_on_train_epoch_end=false"):
        fit(ModelCheckpoint(save_on_train_epoch_end=True, **options), check_val_every_n_epoch=2)
    fit(ModelCheckpoint(save_on_train_epoch_end=False, **options), check_val_every_n_epoch=2)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("limit", "expected"), [(1.0, None), (1, 5), (0.5, 5)])
def test_limited_validation_distinguishes_all_batches_from_one(limit: float, expected: int | None) -> None:
    module = Training(nn.Linear(1, 2), torch.optim.SGD)  # type: ignore[arg-type]
    module.validated_images = 5
    trainer = pl.Trainer(accelerator="cpu", limit_val_batches=limit, logger=False, enable_checkpointing=False)
    assert limited_validation(trainer, module) == expected


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_search_that_validates_every_second_epoch(tmp_path: Path) -> None:
    """The last epoch has no validation, so the summary has no accuracy of the final network."""
    done = run("search", *SEARCH, "epochs=3", "trainer.check_val_every_n_epoch=2", f"hydra.run.dir={tmp_path}")
    done.succeeded()
    history = lines(tmp_path / "history.jsonl")
    assert [{"val/loss", "val/accuracy"} <= line.keys() for line in history] == [False, True, False]
    assert not any(name.startswith("val/") for line in (history[0], history[2]) for name in line)
    printed = [line for line in done.said.splitlines() if line.startswith("epoch ")]
    assert ["  val " in line for line in printed] == [False, True, False]
    rows = csv_rows(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows if row["val/loss"]] == ["1"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["val_accuracy"], summary["val_images"], summary["val_accuracy_of"]) == (None, None, None)
    assert "val accuracy" not in done.said


def test_search_names_the_images_and_the_network_of_each_figure(tmp_path: Path) -> None:
    small = ["dataset.eval_batch_size=8", "trainer.limit_val_batches=2", f"hydra.run.dir={tmp_path}"]
    done = run("search", *SEARCH, *small)
    done.succeeded()
    assert "% of 16 images" in next(line for line in done.said.splitlines() if line.startswith("epoch 1/1"))
    text = "% of 16 images: the derived network with the weights of the supernet (channels=4 cells_per_stage=1)"
    assert text in next(line for line in done.said.splitlines() if line.startswith("val accuracy"))
    parameters = next(line for line in done.said.splitlines() if line.startswith("parameters"))
    assert parameters.endswith("   final network with channels=16 cells_per_stage=5")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["val_images"] == 16 and summary["network_size"] == "channels=16 cells_per_stage=5"
    (tmp_path / "summary.json").unlink()  # as after a kill behind the last checkpoint
    run("search", f"ckpt_path={tmp_path}").succeeded()
    again = json.loads((tmp_path / "summary.json").read_text())
    names = ("val_accuracy", "val_images", "val_accuracy_of", "genotype")
    assert [again[name] for name in names] == [summary[name] for name in names]


@pytest.mark.parametrize(
    ("limit", "tested", "printed", "best"),
    [("2", [False, True, False], "% of 8 images", 8), ("0", [False] * 3, "", None)],
    ids=["8 of 16 images", "none"],
)
def test_training_tests_some_epochs_on_some_images(
    limit: str, tested: list[bool], printed: str, best: int | None, tmp_path: Path
) -> None:
    every = ["epochs=3", "trainer.check_val_every_n_epoch=2", f"trainer.limit_val_batches={limit}"]
    size = ["dataset.eval_batch_size=4", "dataset.size=32"]
    done = run("train", *TRAIN, f"genotype={NB201}", *every, *size, f"hydra.run.dir={tmp_path}")
    done.succeeded()
    epochs = [line for line in done.said.splitlines() if line.startswith("epoch ")]
    assert ["  test " in line for line in epochs] == tested and printed in epochs[1]
    rows = csv_rows(tmp_path / "metrics.csv")
    assert [row["epoch"] for row in rows if row["test/loss"]] == [*(str(e) for e in (1,) if any(tested)), "3"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["images"] == 16 and summary["best_images"] == best
    line = next(line for line in done.said.splitlines() if line.startswith("test accuracy"))
    assert (f"of {best} images after epoch 2" in line) == any(tested) == ("best" in line)


def test_training_best_includes_the_last_epoch(tmp_path: Path) -> None:
    """The last epoch is tested after the training alone; its accuracy may be the best one."""
    every = ["epochs=3", "trainer.check_val_every_n_epoch=2", "training.optimizer.lr=0.2", "seed=3"]
    done = run("train", *TRAIN, f"genotype={NB201}", *every, f"hydra.run.dir={tmp_path}")
    done.succeeded()
    summary = json.loads((tmp_path / "summary.json").read_text())
    measured = {
        int(row["epoch"]): float(row["test/accuracy"])
        for row in csv_rows(tmp_path / "metrics.csv")
        if row["test/accuracy"]
    }
    assert set(measured) == {1, 3} and summary["best_test_accuracy"] == max(measured.values())
    assert summary["best_images"] == 16
