"""Files of a resumed run: damaged lines, leftovers of a kill, and checkpoints within an epoch."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from nas.benchmarks.accuracy_range import FILE as RANGES_FILE
from nas.benchmarks.accuracy_range import AccuracyRange, format_ranges
from nas.cli.run_dir.truncate import complete_epochs, truncated
from nas.training.network_training import Training
from nas.utils.errors import NasError
from tests.support import error_tools
from tests.support.compose_tools import lines, succeeded, tiny
from tests.support.resume_tools import DARTS, assert_equal, checkpoint, metrics, resume, run
from tests.training.test_network_training import SGD, Small, data


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a search of two epochs."""
    directory = tmp_path_factory.mktemp("searched") / "run"
    error_tools.run("search", *error_tools.SEARCH, "epochs=2", f"hydra.run.dir={directory}").succeeded()
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in ("history.jsonl", "alphas.jsonl", "metrics.csv")}


def truncated_files(directory: Path) -> dict[str, str]:
    found = truncated(directory, checkpoint(directory))
    return {path.name: content for path, content in found.items()}


@pytest.mark.parametrize(("name", "number"), [("history.jsonl", 1), ("alphas.jsonl", 1), ("metrics.csv", 2)])
def test_resume_refuses_a_damaged_line(name: str, number: int, searched: Path, tmp_path: Path) -> None:
    directory = error_tools.unfinished(searched, tmp_path / "run")
    path = directory / name
    whole = path.read_bytes().splitlines(keepends=True)
    line = whole[number - 1]
    damaged = [line[: len(line) // 2] + b"\n", b"x" + line[1:], b"\xff" + line[1:]]
    cases = [[*whole[: number - 1], bad, *whole[number:]] for bad in damaged]
    for content, problem in [*((case, f"line {number} is damaged") for case in cases), (whole[:1], "is missing")]:
        path.write_bytes(b"".join(content))
        before = error_tools.snapshot(directory)
        error_tools.run("search", f"ckpt_path={directory}").refused(f"{path}: line", problem, "Restore the file, or")
        assert error_tools.snapshot(directory) == before, "nothing is dropped"


def test_resume_drops_what_a_kill_leaves_behind(searched: Path, tmp_path: Path) -> None:
    """A cut-off last line, lines of the repeated epoch, and temporary files of each folder."""
    directory = error_tools.unfinished(searched, tmp_path / "run", epochs=3)
    kept = contents(directory)
    leftovers = [folder / f".x.{'0' * 32}.tmp" for folder in (directory, directory / "checkpoints")]
    for path in (*leftovers, directory / ".mine.tmp", directory / "failure.txt"):
        path.touch()
    with (directory / "history.jsonl").open("a") as file:
        file.write(kept["history.jsonl"].decode().splitlines()[-1].replace('"epoch": 1', '"epoch": 2') + "\n{")
    with (directory / "metrics.csv").open("a") as file:
        file.write("1,2")
    assert {name: text.encode() for name, text in truncated_files(directory).items()} == kept
    outcome = error_tools.run("search", f"ckpt_path={directory}")
    outcome.succeeded()
    assert "ignored line 4 of" in outcome.said and "which a kill has cut off" in outcome.said
    assert (
        not any(path.exists() for path in (*leftovers, directory / "failure.txt"))
        and (directory / ".mine.tmp").exists()
    )
    assert all(content.startswith(kept[name]) for name, content in contents(directory).items())
    assert [line["epoch"] for line in lines(directory / "history.jsonl")] == [0, 1, 2]


def test_truncated_ranges_of_accuracies_have_their_header_and_complete_epochs(searched: Path, tmp_path: Path) -> None:
    directory = error_tools.unfinished(searched, tmp_path / "run")
    path, found = directory / RANGES_FILE, checkpoint(directory)
    rows = [AccuracyRange(epoch, "cifar10", 1.0, 2.0, 3.0, 2.0, 94.0, 9) for epoch in range(3)]
    path.write_text(format_ranges(rows) + "3,cif")
    # an earlier version did not count the lines, and a command may have written the file after the checkpoint
    for counted in ({RANGES_FILE: 3}, {}, {RANGES_FILE: 0}):
        found["run"]["lines"].pop(RANGES_FILE, None)
        found["run"]["lines"] |= counted
        assert truncated(directory, found)[path] == format_ranges(rows[:2])
    found["run"]["lines"][RANGES_FILE] = 3
    path.write_text(format_ranges(rows[:1]))
    with pytest.raises(NasError, match="line 3 of 3 is missing"):
        truncated(directory, found)


def test_resume_adds_the_row_that_follows_the_checkpoint(searched: Path, tmp_path: Path) -> None:
    """Lightning writes the row of an epoch after its checkpoint; a kill may come in between."""
    directory = error_tools.unfinished(searched, tmp_path / "run")
    whole = contents(directory)["metrics.csv"]
    rows = whole.splitlines(keepends=True)
    (directory / "metrics.csv").write_bytes(b"".join(rows[:-1]))
    assert truncated_files(directory)["metrics.csv"].encode() == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "steps"),
    [(("ema=0.7", "trainer.accumulate_grad_batches=2"), 1), ((), 3)],
)
def test_training_resumes_from_a_checkpoint_within_the_epoch(more: tuple[str, ...], steps: int, tmp_path: Path) -> None:
    """Cover drop path, and an average of the weights with accumulated gradients; four batches per epoch."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    size = ("network.channels=4", "network.layers=3", "training.drop_path=0.5")
    every = f"callbacks.checkpoint.every_n_train_steps={steps}"
    arguments = [*tiny()[-4:], f'genotype="{DARTS}"', *size, every, *more]
    succeeded(run("train", arguments, whole))
    options = ("_target_=tests.support.compose_tools.KillOnce", f"flag={tmp_path}/killed", "epoch=1", "batch=2")
    killed = run("train", arguments, broken, *(f"+callbacks.kill.{option}" for option in options))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoint(broken)["global_step"] == (3 if more else 6), "taken within the second epoch"
    resume("train", broken)
    one, other = checkpoint(whole), checkpoint(broken)
    for key in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers", "random"):
        assert_equal(one[key], other[key], key)
    assert metrics(whole) == metrics(broken)
    first, second = (torch.load(place / "model.pt", weights_only=True) for place in (whole, broken))
    assert_equal(first, second, "model.pt")


@pytest.mark.parametrize(("every", "within", "at_the_end"), [({"every_n_train_steps": 3}, 1, 2), ({}, 2, 3)])
def test_complete_epochs_of_checkpoints_within_and_at_the_end_of_epochs(
    every: dict[str, int], within: int, at_the_end: int, tmp_path: Path
) -> None:
    """Four batches per epoch: step 6 is within the second epoch, step 9 within the third; else at the end."""
    saved = ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, save_on_train_epoch_end=True, **every)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=[saved],
    )  # fmt: skip
    trainer.fit(Training(Small(), SGD, classes=5), datamodule=data())
    steps = (6, 9) if every else (8, 12)
    for step, epochs in zip(steps, (within, at_the_end), strict=True):
        found = torch.load(tmp_path / f"step={step}.ckpt", weights_only=True)
        assert complete_epochs(found) == epochs and found["epoch"] == int((step - 1) / 4)


def test_training_seeds_each_rank_by_epoch_and_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint holds the generator of one rank and serves all ranks."""
    training = Training(Small(), SGD, classes=5)
    batch = (torch.zeros(1, 3, 2, 2), torch.zeros(1, dtype=torch.int64))
    drawn = {}
    for place in [(epoch, number, rank) for epoch in (0, 1) for number in (0, 1) for rank in (0, 1)] * 2:
        epoch, number, rank = place
        trainer = SimpleNamespace(world_size=2, global_rank=rank, current_epoch=epoch)
        monkeypatch.setattr(Training, "trainer", trainer)
        monkeypatch.setattr(Training, "current_epoch", epoch)
        training.on_train_batch_start(batch, number)
        value = float(torch.rand(()))
        assert drawn.setdefault(place, value) == value
    assert len(set(drawn.values())) == 8
