"""SIGUSR1 ends a run with a checkpoint, from which it is resumed bit for bit."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.callbacks.guards.stop_signal import StopOnSignal, installed_request, shared_request
from tests.support.compose_tools import lines
from tests.support.error_tools import SEARCH, TRAIN, run
from tests.support.fake_slurm import install
from tests.support.node_tools import send
from tests.support.resume_tools import DARTS, assert_same_results, checkpoint

FOUR_STEPS = [*SEARCH[:-1], "dataset.batch_size=8", "method=gdas", "epochs=3", "~callbacks.cell_plots"]
SLOW = pytest.mark.slow
WITHIN = send("SIGUSR1", epoch=1, step=1)


@pytest.fixture(autouse=True)
def default_signal() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR1)
    yield
    assert signal.getsignal(signal.SIGUSR1) == before, "the handler of the run is removed"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole") / "run"
    run("search", *FOUR_STEPS, f"hydra.run.dir={directory}").succeeded()
    return directory


def test_shared_request_has_one_state_per_step() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with shared_request() as request:
        assert installed_request() is request and request.state((0, 1), 60.0) == (False, False)
        signal.raise_signal(signal.SIGUSR1)
        assert request.state((0, 1), 60.0) == (False, False), "another search is at the same step"
        assert request.state((0, 2), 60.0) == (True, False) and request.state((0, 2), 0.0) == (True, False)
        assert request.state((0, 3), 0.0) == (True, True)
    assert installed_request() is None and signal.getsignal(signal.SIGUSR1) == before


@pytest.mark.parametrize(
    ("grace", "step", "complete"),
    [pytest.param(60.0, 1, 2, marks=SLOW), (0.0, 1, 1), pytest.param(0.0, 3, 2, marks=SLOW)],
    ids=["completes the epoch", "repeats the epoch", "last step"],
)
def test_stopped_search_is_resumed_bit_for_bit(
    grace: float, step: int, complete: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StopOnSignal, "grace", grace)
    stopped = run("search", *FOUR_STEPS, send("SIGUSR1", epoch=1, step=step), f"hydra.run.dir={tmp_path}/run")
    stopped.succeeded()
    line = f"SIGUSR1 stopped the run after {complete} of 3 epochs. To resume, run python search.py ckpt_path={tmp_path}"
    assert f"{line}/run" in stopped.said and not (tmp_path / "run" / "summary.json").exists()
    run("search", f"ckpt_path={tmp_path}/run", "~callbacks.send").succeeded()
    assert_same_results(whole, tmp_path / "run")


def test_job_of_slurm_is_requeued_and_resumes(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second start of the same command is that of the requeued job."""
    command = [*FOUR_STEPS, WITHIN, f"hydra.run.dir={tmp_path}/run"]
    for name, value in {**install(tmp_path / "slurm"), "SLURM_JOB_ID": "77"}.items():
        monkeypatch.setenv(name, value)
    stopped = run("search", *command)
    stopped.succeeded()
    assert "SLURM starts job 77 again, which resumes it." in stopped.said
    assert json.loads((tmp_path / "slurm" / "requeue-77").read_text()) == ["requeue", "77"]
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    run("search", *command).succeeded()
    assert_same_results(whole, tmp_path / "run")


def test_directory_of_a_job_follows_from_its_id(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restarted job script starts all of its commands again: the finished one ends at once, the other resumes."""
    monkeypatch.chdir(tmp_path)
    for name, value in {**install(tmp_path / "slurm"), "SLURM_JOB_ID": "77", "SLURM_NTASKS": "1"}.items():
        monkeypatch.setenv(name, value)
    short = [*FOUR_STEPS, "epochs=1"]
    run("search", *short).succeeded()
    stopped = run("search", *FOUR_STEPS, WITHIN)
    stopped.succeeded()
    assert "SLURM starts job 77 again, which resumes it." in stopped.said and (tmp_path / "slurm/requeue-77").exists()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    again = run("search", *short)
    assert again.code == 0 and "holds the results of an earlier attempt" in again.said
    run("search", *FOUR_STEPS, WITHIN).succeeded()
    finished, resumed = sorted((tmp_path / "outputs" / "search").iterdir(), key=lambda path: path.stat().st_mtime)
    assert finished.name.startswith("slurm-77-") and resumed.name.startswith("slurm-77-")
    assert_same_results(whole, resumed)


@pytest.mark.slow
def test_second_run_of_the_same_command_in_a_job_is_requeued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The restarted script finds the first run finished, and resumes the second one."""
    monkeypatch.chdir(tmp_path)
    for name, value in {**install(tmp_path / "slurm"), "SLURM_JOB_ID": "77"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(StopOnSignal, "grace", 0.0)
    command = [*FOUR_STEPS, send("SIGUSR1", epoch=1, step=0, flag=f"{tmp_path}/sent")]
    (tmp_path / "sent").touch()
    run("search", *command).succeeded()
    (tmp_path / "sent").unlink()
    stopped = run("search", *command)
    stopped.succeeded()
    assert "SLURM starts job 77 again, which resumes it." in stopped.said and (tmp_path / "slurm/requeue-77").exists()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert "holds the results of an earlier attempt" in run("search", *command).said
    run("search", *command).succeeded()
    first, second = sorted((tmp_path / "outputs" / "search").iterdir())
    assert second.name == f"{first.name}.2" and (second / "summary.json").is_file()


@pytest.mark.slow
def test_failed_requeue_names_the_resume_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("PATH", str(tmp_path))
    options = ["epochs=2", send("SIGUSR1", epoch=0, step=0), f"hydra.run.dir={tmp_path}/r"]
    stopped = run("search", *FOUR_STEPS[:-2], *options)
    stopped.refused("scontrol requeue 77", f"to resume, run python search.py ckpt_path={tmp_path}/r")


@pytest.mark.slow
def test_stopped_black_box_search_is_resumed(tmp_path: Path) -> None:
    options = [*SEARCH[:-1], "method=random_search", "proxy=params", "method.budget={queries:4}"]
    run("search", *options, f"hydra.run.dir={tmp_path}/whole").succeeded()
    stopped = run("search", *options, send("SIGUSR1", epoch=1, step=0), f"hydra.run.dir={tmp_path}/run")
    stopped.succeeded()
    assert "SIGUSR1 stopped the run after 2 of" in stopped.said
    run("search", f"ckpt_path={tmp_path}/run", "~callbacks.send").succeeded()
    whole, resumed = (lines(tmp_path / name / "history.jsonl") for name in ("whole", "run"))
    for first, second in zip(whole, resumed, strict=True):
        for key in ("epoch", "queries", "query/value", "query/best", "genotype"):  # others are measured times
            assert first[key] == second[key], key


@pytest.mark.slow
def test_stopped_training_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    small = [*TRAIN[:-2], "network.channels=4", "network.layers=3", "epochs=2", f'genotype="{DARTS}"']
    command = [*small, "training.drop_path=0.3", "trainer.accumulate_grad_batches=2", "dataset.batch_size=8"]
    run("train", *command, f"hydra.run.dir={tmp_path}/whole").succeeded()
    stopped = run("train", *command, WITHIN, f"hydra.run.dir={tmp_path}/run")
    stopped.succeeded()
    progress = checkpoint(tmp_path / "run")["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    assert progress["ready"] == 2, "the step is complete after two passes"
    run("train", f"ckpt_path={tmp_path}/run", "~callbacks.send").succeeded()
    assert_same_results(tmp_path / "whole", tmp_path / "run")
