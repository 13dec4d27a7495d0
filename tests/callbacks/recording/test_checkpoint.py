"""Checkpoints within an epoch: a run that resumes from one equals an uninterrupted run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from nas.callbacks.recording.checkpoint import Checkpoint
from tests.support.error_tools import NB201, SEARCH, TRAIN, bomb, run
from tests.support.query_tools import FORMULA
from tests.support.resume_tools import assert_same_results, checkpoint

TRAINING = [*TRAIN, "dataset.size=80", "epochs=3", f"genotype={NB201}"]
BLACK_BOX = [
    *("method=regularized_evolution", "dataset=cifar10", *FORMULA, "~callbacks.cell_plots"),
    *("method.budget.queries=15", "epochs=3"),
]


def steps_before(batch: int, arguments: list[str], directory: Path, script: str) -> int:
    """Interrupt a run in its second epoch of five steps, and return the steps of its checkpoint."""
    shutil.rmtree(directory, ignore_errors=True)
    stopped = run(script, *arguments, f"hydra.run.dir={directory}", bomb("interrupt", epoch=1, step=batch))
    stopped.refused("interrupted", f"ckpt_path={directory}", code=130)
    return int(checkpoint(directory)["global_step"])


@pytest.mark.parametrize(
    ("more", "every", "expected"),
    [
        ([], 2, {0: 5, 2: 6, 4: 8}),  # steps of the checkpoint by the interrupted batch
        pytest.param(["ema=0.7"], 5, {0: 5, 3: 5}, marks=pytest.mark.slow),  # due at the last step of an epoch
        pytest.param(["trainer.accumulate_grad_batches=2"], 2, {0: 3, 3: 4}, marks=pytest.mark.slow),
        pytest.param(["trainer.val_check_interval=2"], 2, {2: 6, 3: 8, 4: 8}, marks=pytest.mark.slow),
    ],
    ids=["plain", "average", "accumulated", "validation"],
)
def test_training_resumes_within_an_epoch(
    more: list[str], every: int, expected: dict[int, int], tmp_path: Path
) -> None:
    arguments = [*TRAINING, *more, f"callbacks.checkpoint.every_n_train_steps={every}"]
    run("train", *arguments, f"hydra.run.dir={tmp_path}/whole").succeeded()
    for batch, steps in expected.items():
        assert steps_before(batch, arguments, tmp_path / "broken", "train") == steps
        run("train", f"ckpt_path={tmp_path}/broken", "~callbacks.bomb").succeeded()
        assert_same_results(tmp_path / "whole", tmp_path / "broken")


def test_requested_checkpoint_waits_for_a_complete_step() -> None:
    """A checkpoint that is due already does not change the answer."""
    trainer: Any = Mock(val_check_batch=0, accumulate_grad_batches=2, global_step=2, is_last_batch=False)
    saver = Checkpoint(every_n_train_steps=2)
    saver.on_train_batch_end(trainer, Mock(), None, None, 2)  # due, but within a step
    assert not saver.request(trainer, 2) and saver.request(trainer, 3)


def test_black_box_search_resumes_within_an_epoch(tmp_path: Path) -> None:
    """A row of metrics.csv per query: that of the last query before the checkpoint is written after it."""
    arguments = [*BLACK_BOX, "+callbacks.checkpoint.every_n_train_steps=2"]
    run("search", *arguments, f"hydra.run.dir={tmp_path}/whole").succeeded()
    assert steps_before(2, arguments, tmp_path / "broken", "search") == 6
    run("search", f"ckpt_path={tmp_path}/broken", *FORMULA, "~callbacks.bomb").succeeded()
    assert_same_results(tmp_path / "whole", tmp_path / "broken")


def test_supernet_search_refuses_checkpoints_within_an_epoch(tmp_path: Path) -> None:
    every = "callbacks.checkpoint.every_n_train_steps=2"
    refused = run("search", *SEARCH, f"+{every}", f"hydra.run.dir={tmp_path}/run")
    refused.refused("callbacks.checkpoint.every_n_train_steps: this search resumes from complete epochs only")
    second = "_target_:pytorch_lightning.callbacks.ModelCheckpoint,every_n_train_steps:1,filename:step,save_top_k:-1"
    directory = tmp_path / "other"
    run(
        "search",
        *SEARCH,
        f"+callbacks.second={{{second},dirpath:{directory}/checkpoints}}",
        f"hydra.run.dir={directory}",
    )
    new = run(
        "search",
        *SEARCH,
        f"ckpt_path={directory}/checkpoints/step.ckpt",
        "~callbacks.second",
        f"hydra.run.dir={tmp_path}/new",
    )
    new.refused("the checkpoint was written within epoch 1", "Give the last.ckpt of the run")
