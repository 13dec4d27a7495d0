"""Curves of steps and epochs, and the op scores of each epoch."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch

from nas.callbacks.recording.alphas import AlphaHistory, read_alphas
from nas.callbacks.recording.curves import Curves, op_metrics
from nas.cli.jobs.search import run as run_search
from nas.cli.jobs.train import run as run_train
from nas.spaces.darts.space import Darts
from nas.training.network_training import Training
from nas.utils.errors import NasError
from tests.support.compose_tools import composed, tiny
from tests.support.error_tools import NB201

QUICK = ["~callbacks.cell_plots", "epochs=2"]


def rows(directory: Path) -> list[dict[str, float]]:
    with (directory / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


@pytest.mark.parametrize(("every", "transfer"), [(1, 50), (1, 3), (2, 3), (5, 2)])
def test_curves_of_a_search_are_the_steps_behind_the_means_of_the_epoch(
    every: int, transfer: int, tmp_path: Path
) -> None:
    options = [f"callbacks.curves.every={every}", f"callbacks.curves.transfer={transfer}", "dataset.size=128"]
    with composed("search", *tiny("darts"), *QUICK, *options, f"paths.output={tmp_path}") as cfg:
        run_search(cfg)
    found = rows(tmp_path)
    for half in ("train", "arch"):
        for value in ("loss", "accuracy"):
            curve = [row for row in found if f"step/{half}_{value}" in row]
            ends = [step for epoch in (0, 4) for step in [*range(epoch + every - 1, epoch + 3, every), epoch + 3]]
            assert [row["step"] for row in curve] == sorted(set(ends))
            sizes = {1: [1] * 4, 2: [2, 2], 5: [4]}[every]
            for epoch in (0, 1):
                points = [row[f"step/{half}_{value}"] for row in curve if row["epoch"] == epoch]
                mean = sum(size * point for size, point in zip(sizes, points, strict=True)) / 4
                (logged,) = [
                    row[f"{half}/{value}"] for row in found if row["epoch"] == epoch and f"{half}/{value}" in row
                ]
                assert mean == pytest.approx(logged, rel=1e-5)
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    ends = [row for row in found if "entropy" in row]
    for line, row in zip(history, ends, strict=True):
        assert row["step"] == 4 * line["epoch"] + 3
        assert [row[name] for name in ("entropy", "weights_lr", "arch_lr")] == [
            line[name] for name in ("entropy", "weights_lr", "arch_lr")
        ]
        assert {op: row[f"ops/{op}"] for op in line["ops"]} == line["ops"]
        assert sum(value for name, value in row.items() if name.startswith("ops/")) == 6
        assert 0 < row["time/epoch_s"] < 60 and 0.05 < row["memory/peak_gb"] < 50
    assert {row["step/weights_lr"] for row in found if "step/weights_lr" in row and row["epoch"] == 1} == {
        history[1]["weights_lr"]
    }


def test_curves_of_a_training_have_the_learning_rate_of_each_step(tmp_path: Path) -> None:
    options = ["dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.size=64", "dataset.batch_size=16", "epochs=2"]
    options += [
        "network.channels=4",
        "network.cells_per_stage=1",
        "training.scheduler.interval=step",
        "callbacks.curves.every=1",
    ]
    with composed("train", f"genotype='{NB201}'", *options, f"paths.output={tmp_path}") as cfg:
        run_train(cfg)
    rates = [row["step/learning_rate"] for row in rows(tmp_path) if "step/learning_rate" in row]
    assert len(rates) == 8 and rates[0] == 0.025 and rates == sorted(rates, reverse=True) and len(set(rates)) == 8
    assert "ops/none" not in rows(tmp_path)[-1]


def test_no_curves_of_steps_with_0(tmp_path: Path) -> None:
    with composed("search", *tiny("darts"), *QUICK, "callbacks.curves.every=0", f"paths.output={tmp_path}") as cfg:
        run_search(cfg)
    found = rows(tmp_path)
    names = {name for row in found for name in row}
    assert not any(name.startswith("step/") for name in names) and {"entropy", "train/loss"} <= names


def test_step_values_are_moved_together() -> None:
    """Count the transfers to the host; the values of a step stay on the device until then."""
    logged: list[tuple[float, float]] = []
    loop = SimpleNamespace(_batches_that_stepped=0)
    logger = SimpleNamespace(
        log_metrics=lambda metrics, step: logged.append((step, metrics.get("step/train_loss"))), save=lambda: None
    )
    trainer: Any = SimpleNamespace(
        fit_loop=SimpleNamespace(epoch_loop=loop), loggers=[logger], optimizers=[], is_last_batch=False,
        is_global_zero=True, current_epoch=0,
    )  # fmt: skip
    module = Training(torch.nn.Linear(1, 1), torch.optim.SGD)  # type: ignore[arg-type]
    curves = Curves(every=2, transfer=4)
    curves.on_train_epoch_start(trainer, module)
    with mock.patch("torch.stack", side_effect=torch.stack) as stack:
        for step in range(7):
            curves.on_train_batch_start(trainer, module, None, step)
            module.step_values["train/loss"] = torch.tensor(float(step))
            curves.on_train_batch_end(trainer, module, None, None, step)
            loop._batches_that_stepped += 1
        assert stack.call_count == 1 and logged == [(1, 0.5), (3, 2.5)]
        state = curves.state_dict()
        assert state == {"pending": [(step, {"step/train_loss": float(step)}) for step in (4, 5, 6)]}
        resumed = Curves(every=2, transfer=4)
        resumed.load_state_dict(state)
        trainer.is_last_batch = True
        module.step_values["train/loss"] = torch.tensor(7.0)
        resumed.on_train_batch_end(trainer, module, None, None, 7)
    assert logged[2:] == [(5, 4.5), (7, 6.5)] and resumed.state_dict() == {}


def test_op_metrics_count_each_cell_type() -> None:
    space = Darts((3, 32, 32), 10)
    genotype = space.parse(
        "Genotype(normal=[('skip_connect', 0), ('skip_connect', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), "
        "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1)], normal_concat=range(2, 6)"
        ", reduce=[('max_pool_3x3', 0), ('skip_connect', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1), "
        "('max_pool_3x3', 0), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('max_pool_3x3', 1)], "
        "reduce_concat=range(2, 6))"
    )
    found = op_metrics(SimpleNamespace(space=space), genotype)  # type: ignore[arg-type]
    assert (found["ops/skip_connect"], found["ops_normal/skip_connect"], found["ops_reduce/skip_connect"]) == (4, 3, 1)
    assert found["ops/dil_conv_5x5"] == 0 and sum(v for k, v in found.items() if k.startswith("ops/")) == 16


def test_alphas_hold_the_scores_of_each_epoch(tmp_path: Path) -> None:
    with composed("search", *tiny("gdas"), *QUICK, f"paths.output={tmp_path}") as cfg:
        run_search(cfg)
    lines = read_alphas(tmp_path / "alphas.jsonl")
    assert [line["epoch"] for line in lines] == [0, 1]
    for line in lines:
        table = torch.tensor(line["scores"]["cell"])
        assert table.shape == (6, 5) and torch.allclose(table.sum(1), torch.ones(6), atol=1e-5)
    assert lines[0] != lines[1]


def test_alphas_forget_the_epochs_that_are_repeated(tmp_path: Path) -> None:
    path = tmp_path / "alphas.jsonl"
    text = [f'{{"epoch": {epoch}, "scores": {{"cell": [[0.5]]}}}}\n' for epoch in range(3)]
    path.write_text("".join(text) + '{"epoch": 3, "sc')
    trainer: Any = SimpleNamespace(is_global_zero=True, current_epoch=2)
    AlphaHistory(tmp_path).on_train_start(trainer, mock.Mock())
    assert path.read_text() == "".join(text[:2])
    before = path.stat().st_mtime_ns
    AlphaHistory(tmp_path).on_train_epoch_start(trainer, mock.Mock())
    assert path.stat().st_mtime_ns == before, "an intact file is not written again"
    path.write_text(text[0].replace("0.5", "x") + text[1])
    with pytest.raises(NasError, match="line 1 is damaged"):
        AlphaHistory(tmp_path).on_train_start(trainer, mock.Mock())
