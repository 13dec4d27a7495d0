"""Sweeps on Ray: options, order of results, failures, interrupts, remaining processes and files."""

from __future__ import annotations

import csv
import importlib.util
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import pytest
import pytorch_lightning as pl
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from nas.cli.launchers import ray_jobs
from nas.cli.launchers.options import RAY_LAUNCHER, RayOptions, read_options
from nas.cli.launchers.ray_jobs import RayJobs, Sweep, run_ray_job
from nas.cli.main import prepare
from nas.utils.errors import NasError
from tests.support.compose_tools import ROOT
from tests.support.error_tools import SEARCH

RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
LAUNCHER = "hydra/launcher=ray"


class FakeRay:
    """Ray whose tasks run when they are waited for, the last submitted one first."""

    class exceptions:  # noqa: N801
        class RayError(Exception):
            """An error of Ray."""

    def __init__(self, results: Sequence[Any]) -> None:
        self.results = results
        self.cancelled: list[int] = []
        self.most = 0
        self.options: dict[str, Any] = {}

    def put(self, value: Any) -> Any:
        return value

    def remote(self, *arguments: Any, **options: Any) -> Any:
        if options:  # otherwise this is the call of the remote function
            self.options = options
            return lambda function: self
        return arguments[1]

    def wait(
        self, references: list[int], num_returns: int, timeout: float | None = None
    ) -> tuple[list[int], list[int]]:
        self.most = max(self.most, len(references))
        if isinstance(self.results[references[-1]], KeyboardInterrupt) and not self.cancelled:
            raise KeyboardInterrupt
        return references[-1:], references[:-1]

    def get(self, reference: int) -> Any:
        result = self.results[reference]
        if isinstance(result, Exception):
            raise result
        return JobReturn(_return_value=result, status=JobStatus.COMPLETED)

    def cancel(self, reference: int, force: bool) -> None:
        self.cancelled.append(reference)


def jobs_of(results: Sequence[Any], most: int | None = None) -> tuple[RayJobs, FakeRay]:
    ray = FakeRay(results)
    return RayJobs(ray, cast(Sweep, None), RayOptions(None, most, 2.0, 0.5)), ray


@pytest.mark.parametrize(("most", "expected"), [(None, 5), (2, 2)])
def test_results_are_in_the_order_of_the_jobs(most: int | None, expected: int) -> None:
    jobs, ray = jobs_of([0.0, 1.0, 2.0, 3.0, 4.0], most)
    found = jobs.run([["seed=0"]] * 5, 0)
    assert [result.return_value for result in found] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert ray.most == expected and ray.options == {"num_cpus": 2.0, "num_gpus": 0.5, "max_retries": 0}


def test_lost_job_does_not_lose_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    jobs, _ = jobs_of([0.0, FakeRay.exceptions.RayError("the worker\ndied"), 2.0])
    found = jobs.run([["a=1"]] * 3, 0)
    assert [result.return_value for result in (found[0], found[2])] == [0.0, 2.0]
    assert math.isnan(found[1].return_value)
    assert capsys.readouterr().err == "error: job 1: the worker died\n"


def test_interrupted_job_ends_without_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a process that has inherited ignored interrupts, as in the background of a shell."""

    def interrupted(**options: Any) -> None:
        raise SystemExit(130)

    config = OmegaConf.create({"hydra": {"job": {"name": "search"}}})
    loader = SimpleNamespace(load_sweep_config=lambda *_: config)
    for name in ("setup_globals", "Singleton", "HydraConfig"):
        monkeypatch.setattr(ray_jobs, name, mock.MagicMock())
    monkeypatch.setattr(ray_jobs, "run_job", interrupted)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_ray_job(
                cast(
                    Sweep,
                    SimpleNamespace(
                        context=SimpleNamespace(config_loader=loader),
                        config=None,
                        task=None,
                        state=None,
                        directory="absent",
                        environment={},
                    ),
                ),
                3,
                ["seed=0"],
            )
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert config.hydra.job.num == 3


def test_interrupt_cancels_the_running_jobs() -> None:
    jobs, ray = jobs_of([0.0, 1.0, KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        jobs.run([["a=1"]] * 3, 0)
    assert ray.cancelled == [0, 1, 2]


@pytest.mark.parametrize(
    ("argument", "phrase"),
    [
        ("hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs=0: use a whole number from 1"),
        ("hydra.launcher.num_cpus=-1", "hydra.launcher.num_cpus=-1: use a number"),
        ("hydra.launcher.num_gpus=1.5", "Ray takes whole numbers"),
    ],
)
def test_mistake_is_one_line(argument: str, phrase: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(NasError, match=phrase):
        prepare("search", ["-m", LAUNCHER, argument, "seed=0,1", f"hydra.sweep.dir={tmp_path}/s"])


def test_ray_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else found(name, *rest))
    with pytest.raises(NasError, match=r"Ray is not installed. Run pip install 'nas-compose\[ray\]'"):
        prepare("search", ["-m", LAUNCHER, "seed=0,1", f"hydra.sweep.dir={tmp_path}/s"])


@dataclass
class OtherLauncher:
    """Options of another launcher of the same name, as hydra-ray-launcher registers them."""

    _target_: str = "other.Launcher"
    ray: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(("more", "gpus"), [([], 0.0), (["trainer=gpu"], 1.0), (["hydra.launcher.num_gpus=0.5"], 0.5)])
def test_launcher_takes_precedence_over_another_package(more: list[str], gpus: float, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    ConfigStore.instance().store(group="hydra/launcher", name="ray", node=OtherLauncher, provider="other")
    plan = prepare("search", ["-m", LAUNCHER, *more, "seed=0,1", f"hydra.sweep.dir={tmp_path}/s"]).plan
    assert plan is not None and plan.cfg.hydra.launcher._target_ == RAY_LAUNCHER
    assert read_options(plan.cfg) == RayOptions(None, None, 1.0, gpus)


def ray_files() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("nas-ray-*"))


def processes(text: str) -> list[int]:
    """Return the processes whose command line contains a text."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in file.read_bytes():
                found.append(int(file.parent.name))
        except OSError:
            continue
    return found


def start(tmp_path: Path, *more: str) -> subprocess.Popen[str]:
    small = [a for a in SEARCH if not a.startswith(("epochs", "dataset.batch_size"))]
    given = ["-m", LAUNCHER, *small, "method=gdas", "threads=1", "~callbacks.cell_plots", "~callbacks.benchmark", *more]
    command = [sys.executable, str(ROOT / "search.py"), *given, f"hydra.sweep.dir={tmp_path}/sweep"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def rows(tmp_path: Path) -> list[dict[str, str]]:
    with (tmp_path / "sweep" / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@RAY
@pytest.mark.slow
def test_sweep_on_ray_survives_failed_and_killed_jobs(tmp_path: Path) -> None:
    before = ray_files()
    kill = "+callbacks.kill._target_=tests.cli.launchers.test_ray_jobs.Kill"
    process = start(tmp_path, "dataset.batch_size=16,100000,8,32", "epochs=1", "hydra.launcher.n_jobs=2", kill)
    said, erred = process.communicate(timeout=400)
    assert process.returncode == 1, erred
    found = rows(tmp_path)
    assert [row["dataset.batch_size"] for row in found] == ["16", "100000", "8", "32"]
    assert [bool(row["failure"]) for row in found] == [False, True, True, False]
    assert "did not end" in found[2]["failure"] and "larger than" in found[1]["failure"]
    assert "Traceback" not in said + erred
    assert ray_files() == before and not processes(str(tmp_path))


@RAY
@pytest.mark.slow
def test_interrupted_sweep_leaves_records_and_no_processes(tmp_path: Path) -> None:
    before = ray_files()
    process = start(tmp_path, "dataset.batch_size=8", "seed=0,1", "epochs=5000", "hydra.launcher.n_jobs=2")
    deadline = time.monotonic() + 300
    while not (tmp_path / "sweep" / "0" / "checkpoints" / "last.ckpt").is_file() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    started = ray_files() - before
    assert started
    process.send_signal(signal.SIGINT)
    said, erred = process.communicate(timeout=200)
    assert process.returncode == 130 and "Traceback" not in said + erred, said + erred
    assert "interrupted" in rows(tmp_path)[0]["failure"]
    assert not started & ray_files() and not [pid for folder in started for pid in processes(str(folder))]


class Kill(pl.Callback):
    """Kill the process of job 2."""

    def on_train_start(self, *_: Any) -> None:
        if HydraConfig.get().job.num == 2:
            os.kill(os.getpid(), signal.SIGKILL)
