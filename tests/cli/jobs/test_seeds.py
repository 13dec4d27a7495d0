"""Searches with several seeds in one process: each equals a separate search with its seed."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import nas.cli.jobs.seeds
from nas.callbacks.guards.stop_signal import StopOnSignal
from nas.utils.errors import NasError
from tests.support.compose_tools import DATA, lines
from tests.support.error_tools import run
from tests.support.fake_slurm import install
from tests.support.resume_tools import assert_same_results

TINY = [*DATA, "space.channels=4", "space.cells_per_stage=1", "epochs=2", "~callbacks.cell_plots"]
DARTS = ["space=darts", "space.channels=4", "space.layers=3"]
CLOSE = {"rtol": 1e-8, "atol": 1e-10}


def checkpoint(directory: Path) -> dict[str, Any]:
    return torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)


def tensors(state: Any) -> list[Any]:
    """Return all tensors of nested containers in order."""
    if isinstance(state, dict):
        return [tensor for value in state.values() for tensor in tensors(value)]
    if isinstance(state, list | tuple):
        return [tensor for value in state for tensor in tensors(value)]
    return [state] if isinstance(state, torch.Tensor) else []


@pytest.mark.parametrize("method", ["darts", "drnas"])
def test_searches_with_several_seeds_equal_those_alone(method: str, tmp_path: Path) -> None:
    given = [f"method={method}", *TINY, "trainer.precision=64-true"]
    together = run("search", *given, "seeds=[3,1]", f"hydra.run.dir={tmp_path / 'both'}")
    together.succeeded()
    assert "2 searches execute their steps together" in together.said
    for seed in (3, 1):
        found, alone = tmp_path / "both" / f"seed_{seed}", tmp_path / f"alone_{seed}"
        run("search", *given, f"seed={seed}", f"hydra.run.dir={alone}").succeeded()
        one, other = checkpoint(found), checkpoint(alone)
        assert one["state_dict"].keys() == other["state_dict"].keys()
        torch.testing.assert_close(tensors(one["state_dict"]), tensors(other["state_dict"]), **CLOSE)
        torch.testing.assert_close(tensors(one["optimizer_states"]), tensors(other["optimizer_states"]), **CLOSE)
        assert torch.equal(one["search"]["random"]["torch"], other["search"]["random"]["torch"])
        assert (found / "checkpoints" / "last.ckpt").stat().st_size < 1.05 * (
            alone / "checkpoints" / "last.ckpt"
        ).stat().st_size
        for a, b in zip(lines(found / "history.jsonl"), lines(alone / "history.jsonl"), strict=True):
            assert a.pop("seconds") and b.pop("seconds") and a.keys() == b.keys()
            numbers = [name for name, value in a.items() if isinstance(value, float)]
            assert {"train/loss", "arch/loss", "val/loss"} <= set(numbers)
            assert [a.pop(name) for name in numbers] == pytest.approx([b.pop(name) for name in numbers], rel=1e-8)
            assert a == b
        assert (found / "genotype.json").read_bytes() == (alone / "genotype.json").read_bytes()
        summary = json.loads((found / "summary.json").read_text())
        assert summary["seed"] == seed and "cpu_seconds" not in summary
    with (tmp_path / "both" / "sweep.csv").open() as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["3", "1"]
    means = (tmp_path / "both" / "sweep_means.csv").read_text().splitlines()
    assert means[1].startswith("2,") and "mean ± standard deviation" in together.said


def test_a_search_of_several_is_a_run_of_its_own(tmp_path: Path) -> None:
    given = ["method=darts", *TINY]
    run("search", *given, "seeds=[0,1]", "epochs=1", f"hydra.run.dir={tmp_path}").succeeded()
    run(
        "train",
        f"genotype={tmp_path / 'seed_1'}",
        "mode=export",
        "export.format=onnx",
        f"hydra.run.dir={tmp_path / 'x'}",
    )
    again = run("search", *given, "seeds=[1,2]", f"hydra.run.dir={tmp_path}")
    again.refused("seed_1 holds a finished run")
    assert not (tmp_path / "seed_2").exists()
    run("search", f"ckpt_path={tmp_path}").refused("holds a finished run")
    assert "seed=1" in (tmp_path / "seed_1" / ".hydra" / "overrides.yaml").read_text()


class FailSecond(pl.Callback):
    """Raise an error in the second epoch of the search with seed 1."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == 1 and trainer.datamodule.seed == 1:
            raise NasError("seed 1 fails")


class Interrupt(pl.Callback):
    """Send the signal of Ctrl-C to this process in the second epoch."""

    number = signal.SIGINT

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == 1 and trainer.datamodule.seed == 1:
            os.kill(os.getpid(), self.number)


def add_callback(kind: type) -> str:
    return f"+callbacks.bomb._target_={__name__}.{kind.__name__}"


def test_a_failed_search_does_not_end_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.cli.jobs.seeds, "find_obstacle", lambda cfg: None)
    given = ["method=darts", *TINY, "trainer.precision=64-true"]
    found = run("search", *given, add_callback(FailSecond), "seeds=[0,1,2]", f"hydra.run.dir={tmp_path / 'all'}")
    assert found.code == 1 and "job 1 failed: seed 1 fails" in found.said
    assert not (tmp_path / "all" / "seed_1" / "summary.json").exists()
    run("search", *given, "seed=2", f"hydra.run.dir={tmp_path / 'two'}").succeeded()
    one, other = (checkpoint(tmp_path / name)["state_dict"] for name in ("all/seed_2", "two"))
    torch.testing.assert_close(tensors(one), tensors(other), **CLOSE)


def test_an_interrupt_keeps_the_complete_epochs_of_all_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nas.cli.jobs.seeds, "find_obstacle", lambda cfg: None)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given = ["method=darts", *TINY]
    found = run("search", *given, add_callback(Interrupt), "seeds=[0,1]", f"hydra.run.dir={tmp_path}")
    found.refused("the last complete epochs are kept", f"ckpt_path={tmp_path}", code=130)
    assert found.erred.strip().endswith(f"ckpt_path={tmp_path}")
    assert threading.active_count() < 10 and not any(t.name.startswith("seed=") for t in threading.enumerate())
    run("search", f"ckpt_path={tmp_path / 'seed_1'}", "~callbacks.bomb").succeeded()
    assert json.loads((tmp_path / "seed_1" / "summary.json").read_text())["seed"] == 1


class InterruptAtEnd(pl.Callback):
    """Send the signal of Ctrl-C before the first of the searches writes the checkpoint of the second epoch."""

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 1 and trainer.datamodule.seed == 0:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)  # the main thread handles the signal


SMALL_DARTS = ["space=darts", "space.channels=4", "space.layers=3", "epochs=3"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that runs an uninterrupted command once and returns its directory."""

    @cache
    def search(*command: str) -> Path:
        directory = tmp_path_factory.mktemp("whole") / "run"
        run("search", *command, f"hydra.run.dir={directory}").succeeded()
        return directory

    return search


@pytest.mark.parametrize(
    ("method", "more", "bomb", "complete"),
    [
        ("darts", [], InterruptAtEnd, {0: 2, 1: 2, 2: 2}),
        ("gdas", [], Interrupt, {0: 3, 1: 1, 2: 0}),
        pytest.param("darts", [], Interrupt, {0: 1, 1: 1, 2: 1}, marks=pytest.mark.slow),
        pytest.param("drnas", [], Interrupt, {0: 1, 1: 1, 2: 1}, marks=pytest.mark.slow),
        pytest.param("pc_darts", SMALL_DARTS, Interrupt, {0: 1, 1: 1, 2: 1}, marks=pytest.mark.slow),
    ],
    ids=["darts at the end of an epoch", "gdas", "darts", "drnas", "pc_darts"],
)
def test_interrupted_searches_resume_together_bit_equal(
    method: str,
    more: list[str],
    bomb: type,
    complete: dict[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: Callable[..., Path],
) -> None:
    """The finished searches are kept, and those that have not started are run from scratch."""
    obstacle = "a reason" if method == "gdas" else None
    monkeypatch.setattr(nas.cli.jobs.seeds, "find_obstacle", lambda cfg: obstacle)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sizes = [*DATA, "~callbacks.cell_plots", *more] if more else THREE
    command, broken = [f"method={method}", *sizes, "seeds=[0,1,2]"], tmp_path / "broken"
    whole = uninterrupted(*command)
    assert run("search", *command, add_callback(bomb), f"hydra.run.dir={broken}").code == 130
    files = [broken / f"seed_{seed}" / "history.jsonl" for seed in range(3)]
    assert {seed: len(lines(file)) if file.exists() else 0 for seed, file in enumerate(files)} == complete
    resume = [f"ckpt_path={broken}", "~callbacks.bomb"]
    run("search", *resume, "seeds=[0,1,3]").refused("seeds=[0,1,3]", "is a run with seeds=[0,1,2]")
    run("search", *resume, "dataset.batch_size=4").refused("dataset.batch_size=4: the run of ckpt_path has")
    run("search", *resume, "seeds=null").refused("seeds=null", "is a run with seeds=[0,1,2]")
    if 3 in complete.values():
        run("search", *resume, "epochs=5").refused("epochs=5", "seed_0 holds a finished search of 3 epochs")
    run("search", *resume).succeeded()
    for seed in range(3):
        assert_same_results(whole / f"seed_{seed}", broken / f"seed_{seed}")
        assert f"seed={seed}" in (broken / f"seed_{seed}" / ".hydra" / "overrides.yaml").read_text().split()
    with (broken / "sweep.csv").open() as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["0", "1", "2"]


class EndOfJob(pl.Callback):
    """Send the signal of SLURM before the end of a job, once, in the second epoch of the search with seed 1.

    Args:
        flag: file that is created then.
    """

    def __init__(self, flag: str) -> None:
        self.flag = Path(flag)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == 1 and trainer.datamodule.seed == 1 and not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGUSR1)


THREE = [*TINY, "dataset.batch_size=8", "epochs=3"]


@pytest.mark.parametrize(
    ("method", "grace", "complete"),
    [
        ("darts", 60.0, {0: 2, 1: 2, 2: 2}),
        pytest.param("darts", 0.0, {0: 1, 1: 1, 2: 1}, marks=pytest.mark.slow),
        pytest.param("gdas", 0.0, {0: 3, 1: 1}, marks=pytest.mark.slow),
    ],
    ids=["together", "together within an epoch", "one after another"],
)
def test_signal_of_slurm_stops_all_searches_and_the_restart_resumes_them(
    method: str,
    grace: float,
    complete: dict[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: Callable[..., Path],
) -> None:
    """The results are those of an uninterrupted run bit for bit, in the same directory."""
    monkeypatch.setattr(nas.cli.jobs.seeds, "find_obstacle", lambda cfg: None if method == "darts" else "a reason")
    monkeypatch.setattr(StopOnSignal, "grace", grace)
    command = [f"method={method}", *THREE, "seeds=[0,1,2]"]
    whole, bomb = uninterrupted(*command), f"+callbacks.bomb={{_target_:{__name__}.EndOfJob,flag:{tmp_path}/sent}}"
    monkeypatch.chdir(tmp_path)
    for name, value in {**install(tmp_path / "slurm"), "SLURM_JOB_ID": "77"}.items():
        monkeypatch.setenv(name, value)
    stopped = run("search", *command, bomb)
    stopped.succeeded()
    assert "SLURM starts job 77 again, which resumes it." in stopped.said
    assert json.loads((tmp_path / "slurm" / "requeue-77").read_text()) == ["requeue", "77"]
    (directory,) = (tmp_path / "outputs" / "search").iterdir()
    found = {seed: len(lines(directory / f"seed_{seed}" / "history.jsonl")) for seed in complete}
    assert found == complete and (directory / "seed_2" / "checkpoints").exists() == (2 in complete)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    resumed = run("search", *command, bomb)
    resumed.succeeded()
    for seed in range(3):
        assert_same_results(whole / f"seed_{seed}", directory / f"seed_{seed}")
    with (directory / "sweep.csv").open() as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["0", "1", "2"]


def test_other_searches_run_one_after_another(tmp_path: Path) -> None:
    found = run("search", "method=gdas", *TINY, "seeds=[0,1]", f"hydra.run.dir={tmp_path}")
    found.succeeded()
    assert "one after another: method=gdas samples ops" in found.said
    assert all((tmp_path / f"seed_{seed}" / "summary.json").is_file() for seed in (0, 1))


@pytest.mark.parametrize(
    ("given", "phrase"),
    [
        (["seeds=3"], "seeds=3: give a list of different whole numbers"),
        (["seeds=[]"], "give a list of different whole numbers"),
        (["seeds=[0,0]"], "give a list of different whole numbers"),
        (["seeds=[0,-1]"], "give a list of different whole numbers"),
        (["seeds=[0,true]"], "give a list of different whole numbers"),
        (["seeds=[0,1]", "seed=2"], "seed=2: seeds=[0,1] replaces it"),
        (["seeds=[0,1]", "trainer.devices=2"], "seeds=[0,1]: the searches share one device"),
        (["-m", "seeds=[0,1]"], "-m runs one job for each seed"),
        (["seeds=[0,1]", "logger.csv.save_dir=elsewhere"], "all seeds would write to this directory"),
    ],
)
def test_seeds_are_refused_in_one_line(given: list[str], phrase: str, tmp_path: Path) -> None:
    found = run("search", *TINY, *given, f"hydra.run.dir={tmp_path / 'run'}")
    found.refused(phrase)


def test_a_ranking_does_not_use_seeds(tmp_path: Path) -> None:
    found = run("search", "mode=rank_proxies", *DATA, "seeds=[0,1]", f"hydra.run.dir={tmp_path / 'run'}")
    found.refused("mode=rank_proxies does not use seeds")
