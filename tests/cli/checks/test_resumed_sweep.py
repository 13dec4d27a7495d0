"""Sweeps that the same command resumes in their directory."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch

from nas.cli.main import prepare
from nas.utils.errors import NasError
from tests.support.compose_tools import ROOT, script, succeeded
from tests.support.error_tools import NB201, SEARCH, TRAIN, run, snapshot, unfinished

FROM_SCRATCH = ("genotype.json", "alphas.jsonl")
KILL = "+callbacks.kill={_target_:tests.support.compose_tools.KillOnce,flag:%s,epoch:${seed},batch:1}"
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}


def table(sweep: Path, name: str = "sweep.csv") -> list[dict[str, str]]:
    """Return the rows of a table of a sweep, without measured times and directories."""
    with (sweep / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if "seconds" not in k and k != "directory"} for row in rows]


def weights(job: Path) -> dict[str, torch.Tensor]:
    """Return the state of the module in the last checkpoint of a job."""
    state = torch.load(job / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}  # not states of generators


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_same_command_completes_a_killed_sweep(launcher: str, tmp_path: Path) -> None:
    """The job with seed 1 is killed in its second epoch; with joblib, the others may have ended or not."""
    flag, more = tmp_path / "flag", []
    if launcher == "joblib":
        more = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    small = ["method=gdas", *SEARCH[:-1], "epochs=2", "~callbacks.cell_plots", "seed=5,1,7", *more]
    command = ["-m", *small, KILL % flag, "hydra.sweep.dir=killed"]
    killed = script("search", *command, cwd=tmp_path, env=ENVIRONMENT)
    assert killed.returncode == (-signal.SIGKILL if launcher == "basic" else 1) and flag.exists(), killed.stderr
    sweep = tmp_path / "killed"
    assert not (sweep / "1" / "summary.json").exists() and (sweep / "1" / "checkpoints" / "last.ckpt").is_file()
    before = {job: snapshot(sweep / job) for job in "02" if (sweep / job / "summary.json").is_file()}
    said = succeeded(script("search", *command, cwd=tmp_path, env=ENVIRONMENT))
    assert len(re.findall("^finished .*/killed/[02] holds the results", said, re.M)) == len(before)
    assert {job: snapshot(sweep / job) for job in before} == before
    again = script("search", *command, cwd=tmp_path, env=ENVIRONMENT)
    assert again.returncode == 1 and "killed holds a finished sweep (sweep.csv)" in again.stderr
    whole = tmp_path / "whole"
    succeeded(script("search", *command[:-1], "hydra.sweep.dir=whole", cwd=tmp_path, env=ENVIRONMENT))
    for name in ("sweep.csv", "sweep_means.csv"):
        assert table(sweep, name) == table(whole, name)
    for job in "012":
        for name in FROM_SCRATCH:
            assert (sweep / job / name).read_bytes() == (whole / job / name).read_bytes(), (job, name)
        ours, theirs = weights(sweep / job), weights(whole / job)
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
        assert (sweep / job / ".hydra" / "overrides.yaml").read_text().count("\n- ") + 1 == len(small) + 1 - len(more)


def begun(short_search: Path, sweep: Path, *jobs: int) -> list[str]:
    """Copy a finished search as jobs of a sweep over seeds, and return the command of the sweep."""
    for job in jobs:
        shutil.copytree(short_search, sweep / str(job))
        (sweep / str(job) / ".hydra" / "overrides.yaml").write_text(
            "".join(f"- {line}\n" for line in ["method=gdas", *SEARCH, f"seed={job}"])
        )
        summary = json.loads((short_search / "summary.json").read_text())
        (sweep / str(job) / "summary.json").write_text(json.dumps({**summary, "seed": job}))
    return ["-m", "method=gdas", *SEARCH, "seed=0,1", f"hydra.sweep.dir={sweep}"]


def test_only_missing_jobs_run(short_search: Path, tmp_path: Path) -> None:
    """Job 0 has finished, and the sweep was killed before the first results of job 1."""
    sweep = tmp_path / "sweep"
    command = begun(short_search, sweep, 0)
    (sweep / "1" / ".hydra").mkdir(parents=True)
    before = snapshot(sweep / "0")
    done = run("search", *command)
    done.succeeded()
    assert f"{sweep}/0 holds the results of an earlier attempt" in done.said and snapshot(sweep / "0") == before
    assert [row["seed"] for row in table(sweep)] == ["0", "1"] and not any(row["failure"] for row in table(sweep))
    record = (sweep / "1" / ".hydra" / "overrides.yaml").read_text()
    assert record.splitlines() == ["- method=gdas", *(f"- {line}" for line in SEARCH), "- seed=1"]
    assert {path.name for path in (sweep / "1" / ".hydra").iterdir()} == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    run("search", *command).refused("hydra.sweep.dir", "holds a finished sweep (sweep.csv). Choose another")
    run("search", "ckpt_path=" + str(sweep)).refused("holds the jobs of a sweep. Run the command of the sweep again")


def test_sweep_is_extended_by_further_values(short_search: Path, tmp_path: Path) -> None:
    command = begun(short_search, tmp_path / "sweep", 0)
    run("search", *command).succeeded()
    done = run("search", *[line.replace("seed=0,1", "seed=0,1,2") for line in command])
    done.succeeded()
    assert done.said.count("holds the results of an earlier attempt") == 2 and len(table(tmp_path / "sweep")) == 3


def test_jobs_with_other_options_are_refused(short_search: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    command = begun(short_search, sweep, 0)
    before = snapshot(tmp_path)
    run("search", *command, "threads=1").refused(
        f"hydra.sweep.dir: {sweep} holds the jobs of another sweep (job 0 has no threads, and this command threads=1). "
        "Choose another directory."
    )
    without = [line for line in command if not line.startswith("dataset.size")]
    run("search", *without).refused("(job 0 has dataset.size=64, and this command no dataset.size)")
    swapped = [line.replace("seed=0,1", "seed=1,0") for line in command]
    run("search", *swapped).refused("(job 0 has seed=0, and this command seed=1)")
    begun(short_search, sweep, 5)
    run("search", *command).refused("holds the jobs of another sweep (5)")
    shutil.rmtree(sweep / "5")
    assert snapshot(tmp_path) == before
    prepare("search", [command[0], *reversed(command[1:])])
    prepare("search", [*command, "paths.data=/elsewhere"])


def test_job_differs_by_a_configuration_file(short_search: Path, tmp_path: Path) -> None:
    """The overrides are equal, and the options of the finished job are not."""
    own = tmp_path / "conf" / "dataset"
    own.mkdir(parents=True)
    text = (ROOT / "conf" / "dataset" / "synthetic.yaml").read_text()
    (own / "mine.yaml").write_text(text + "noise: 0.25\n" if "noise:" not in text else text)
    command = ["-m", "-cd", str(tmp_path / "conf"), "dataset=mine", *SEARCH[1:], "method=gdas", "seed=0,1"]
    command.append(f"hydra.sweep.dir={tmp_path}/sweep")
    run("search", *command).succeeded()
    shutil.rmtree(tmp_path / "sweep" / "1")
    (own / "mine.yaml").write_text(re.sub(r"noise: *[\d.]+", "noise: 0.75", (own / "mine.yaml").read_text()))
    before = snapshot(tmp_path / "sweep" / "0")
    done = run("search", *command)
    assert done.code == 1 and done.erred.startswith("error: dataset.noise=0.75: "), done.erred
    assert snapshot(tmp_path / "sweep" / "0") == before
    assert [bool(row["failure"]) for row in table(tmp_path / "sweep")] == [True, False]


def test_interrupted_sweep_names_the_command_that_resumes_it(tmp_path: Path) -> None:
    bomb = "+callbacks.bomb={_target_:tests.support.error_tools.Bomb,what:interrupt,epoch:${seed},step:1}"
    command = ["-m", "method=gdas", *SEARCH[:-1], "epochs=2", "seed=5,1,7", bomb, f"hydra.sweep.dir={tmp_path}/sweep"]
    stopped = run("search", *command)
    assert stopped.code == 130 and [bool(row["failure"]) for row in table(tmp_path / "sweep")] == [False, True, True]
    (line,) = [line for line in stopped.said.splitlines() if line.startswith("resume ")]
    assert line.endswith(f"hydra.sweep.dir={tmp_path}/sweep") and " -m method=gdas " in line
    again = run("search", *command)
    assert again.code == 130, "the bomb is in the second epoch, which is repeated"
    assert [bool(row["failure"]) for row in table(tmp_path / "sweep")] == [False, True, True]


def test_jobs_without_a_checkpoint_start_again(short_search: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    command = begun(short_search, sweep, 0, 1)
    (sweep / "1" / "summary.json").unlink()
    shutil.rmtree(sweep / "1" / "checkpoints")
    (sweep / "1" / "failure.txt").write_text("no space left\n")
    run("search", *command).succeeded()
    assert not (sweep / "1" / "failure.txt").exists()
    (sweep / "sweep.csv").unlink()
    (sweep / "1" / "summary.json").unlink()
    shutil.rmtree(sweep / "1" / "checkpoints")
    (sweep / "1" / "history.jsonl").write_text('{"epoch": 0}\n{"epoch": 1}\n')
    before = snapshot(tmp_path)
    run("search", *command).refused(
        f"hydra.sweep.subdir: job 1 was interrupted and has no checkpoint in {sweep}/1. Choose another hydra.sweep.dir"
    )
    assert snapshot(tmp_path) == before


def test_job_with_an_automatic_batch_size_keeps_it(tmp_path: Path) -> None:
    small = [line for line in SEARCH if not line.startswith("dataset.batch_size")]
    command = ["-m", "method=gdas", *small, "dataset.batch_size=auto", "seed=0,1", f"hydra.sweep.dir={tmp_path}"]
    run("search", *command).succeeded()
    job = tmp_path / "1"
    (job / "summary.json").unlink()
    (tmp_path / "sweep.csv").unlink()
    record = job / ".hydra" / "overrides.yaml"
    size = re.search(r"dataset.batch_size=(\d+)", record.read_text())
    assert size is not None
    run("search", *command).succeeded()
    assert f"dataset.batch_size={size[1]}" in record.read_text()
    assert not any(row["failure"] for row in table(tmp_path))


def test_sweep_of_trainings_is_resumed(tmp_path: Path) -> None:
    """The jobs inherit the data sets of different searches."""
    runs = {"a": "dataset.size=64", "b": "dataset.size=80"}
    for name, line in runs.items():
        small = [one for one in SEARCH if not one.startswith("dataset.size")]
        run("search", "method=gdas", *small, line, f"hydra.run.dir={tmp_path}/{name}").succeeded()
    options = [line for line in TRAIN if not line.startswith("dataset")]
    command = ["-m", *options, f"genotype={tmp_path}/a,{tmp_path}/b", f"hydra.sweep.dir={tmp_path}/sweep"]
    run("train", *command).succeeded()
    rows = table(tmp_path / "sweep")
    (tmp_path / "sweep" / "1" / "summary.json").unlink()
    (tmp_path / "sweep" / "sweep.csv").unlink()
    done = run("train", *command)
    done.succeeded()
    assert done.said.count("holds the results of an earlier attempt") == 1 and table(tmp_path / "sweep") == rows


@pytest.mark.parametrize(
    "options", [("mode=eval", "evaluation.runs=1,2"), ("mode=export", "export.normalize=true,false")]
)
def test_interrupted_jobs_of_other_modes_start_again(options: tuple[str, ...], tmp_path: Path) -> None:
    run("train", *TRAIN, f"genotype={NB201}", f"hydra.run.dir={tmp_path}/run").succeeded()
    command = ["-m", *options, f"weights={tmp_path}/run", f"hydra.sweep.dir={tmp_path}/sweep"]
    run("train", *command).succeeded()
    (tmp_path / "sweep" / "1" / "summary.json").unlink()
    (tmp_path / "sweep" / "sweep.csv").unlink()
    done = run("train", *command)
    done.succeeded()
    assert done.said.count("holds the results of an earlier attempt") == 1
    assert (tmp_path / "sweep" / "1" / "summary.json").is_file()


def test_links_out_of_a_job_are_refused(short_search: Path, tmp_path: Path) -> None:
    command = begun(short_search, tmp_path / "sweep", 0)
    job = unfinished(short_search, tmp_path / "sweep" / "1", epochs=1)
    overrides = (tmp_path / "sweep" / "0" / ".hydra" / "overrides.yaml").read_text().replace("seed=0", "seed=1")
    (job / ".hydra" / "overrides.yaml").write_text(overrides)
    (job / "history.jsonl").unlink()
    os.symlink(tmp_path / "outside", job / "history.jsonl")
    with pytest.raises(NasError, match="history.jsonl is a link out of the run directory"):
        prepare("search", command)
