"""Files of offline runs of W&B: no connection, curves, axes, pictures, artifacts, resume and the run of a sweep."""

from __future__ import annotations

import csv
import glob
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.cli.commands.dashboard.definition import SECTIONS
from nas.cli.run_dir.layout import WANDB_RECORD
from tests.support.compose_tools import script, succeeded, tiny
from tests.support.wandb_tools import EACH, NETWORK, SMALL, OfflineRun, offline_run, offline_runs

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_wandb_settings")]


@pytest.fixture
def server() -> Iterator[tuple[str, list[bytes]]]:
    """Yield an address that records every connection."""
    seen: list[bytes] = []

    class Note(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            seen.append(self.request.recv(1000))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Note) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}", seen
        listening.shutdown()


def test_jobs_of_a_sweep_are_recorded_without_a_connection(tmp_path: Path, server: tuple[str, list[bytes]]) -> None:
    """Run two jobs of a sweep, of which the second fails, without any settings of W&B."""
    address, connections = server
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": str(home), "WANDB_BASE_URL": address, "HTTP_PROXY": address, "HTTPS_PROXY": address}
    arguments = [*SMALL, "trainer.max_epochs=2", "method.weight_step.optimizer.lr=0.025,1e30"]
    sweep = [f"hydra.sweep.dir={tmp_path}/sweep", "group=my_group"]
    done = script("search", "-m", *arguments, *sweep, cwd=tmp_path, env=places)
    assert done.returncode == 1 and "is nan" in done.stdout + done.stderr, done.stderr
    assert connections == []
    said = (done.stdout + done.stderr).lower()
    assert not any(words in said for words in ("wandb login", "api key", "enter your choice"))

    good, bad = (offline_run(tmp_path / "sweep" / str(job)) for job in (0, 1))
    assert good.begin.run_id != bad.begin.run_id and good.exits == [0] and bad.exits == [1]
    for run, rate in ((good, 0.025), (bad, 1e30)):
        assert (run.begin.project, run.begin.run_group, run.begin.job_type) == ("nas", "my_group", "search")
        assert run.begin.display_name == "darts-nas_bench_201-synthetic-s0"
        assert set(run.begin.tags) == {"darts", "nas_bench_201", "synthetic"}
        assert run.config["method"]["weight_step"]["optimizer"]["lr"] == rate and run.config["dataset"]["size"] == 64
        assert f"upload         wandb sync {run.path.parent}" in done.stdout
    summary = offline_run(tmp_path / "sweep")
    assert (summary.begin.job_type, summary.begin.run_group, summary.begin.project) == ("sweep", "my_group", "nas")
    assert (summary.summary["jobs_total"], summary.summary["jobs_failed"]) == (2, 1)
    history = (tmp_path / "sweep" / "0" / "history.jsonl").read_text().splitlines()
    assert good.logged["train/loss"] == pytest.approx([json.loads(line)["train/loss"] for line in history])
    for name, number in {"cell": 2, "scores": 2, "evolution": 1}.items():
        assert [path.stat().st_size > 1000 for path in good.pictures(name)] == [True] * number
    (artifact,) = good.artifacts
    assert artifact.type == "genotype" and not artifact.use_after_commit
    assert {entry.path for entry in artifact.manifest.contents} == {"genotype.json", "cell.png"}
    assert bad.artifacts == []


def check_axes(run: OfflineRun) -> None:
    """Check that each metric of a run has the axis of its name, and each row of metrics a value on both axes."""
    logged = {name.partition(".")[0] for row in run.rows for name in row if not name.startswith("_")}
    logged -= {"epoch", "trainer/global_step", "genotypes"}
    within = {"time/step_ms", "memory/used_gb", *(name for name in logged if name.startswith("step/"))}
    assert {name: run.axes[name] for name in logged} == {
        name: "trainer/global_step" if name in within else "epoch" for name in logged
    }
    assert all({"epoch", "trainer/global_step"} <= row.keys() for row in run.rows if "genotypes.path" not in row)
    steps = [row["trainer/global_step"] for row in run.rows if "step/train_loss" in row]
    assert steps == list(range(len(steps))) and len(steps) > 1


def test_search_and_training_have_axes_lineage_and_names(tmp_path: Path) -> None:
    searched, trained = tmp_path / "searched", tmp_path / "trained"
    search = [*SMALL, "callbacks=curvature", "callbacks.curvature.every=1", *EACH, f"hydra.run.dir={searched}"]
    succeeded(script("search", *search, cwd=tmp_path))
    train = [f"genotype={searched}", *NETWORK, *EACH, "logger=wandb", f"hydra.run.dir={trained}"]
    printed = succeeded(script("train", *train, cwd=tmp_path))
    first, second = offline_run(searched), offline_run(trained)
    for run in (first, second):
        check_axes(run)
    halves = {f"{half}_{value}" for half in ("train", "arch") for value in ("loss", "accuracy")}
    assert {f"step/{name}" for name in (*halves, "weights_lr", "arch_lr")} <= first.logged.keys()
    ops = {f"ops/{op}" for op in ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")}
    assert {*ops, "entropy", "weights_lr", "eigenvalue", "time/epoch_s", "memory/peak_gb"} <= first.logged.keys()
    assert sum(first.logged[name][-1] for name in ops) == 6
    summary = json.loads((trained / "summary.json").read_text())
    assert second.summary["test_accuracy"] == summary["test_accuracy"]
    assert second.summary["parameters"] == summary["parameters"]
    assert second.config["genotype"] == summary["genotype"] and second.config["genotype_from"] == str(searched)
    assert second.begin.display_name == "train-darts-nas_bench_201-synthetic-s0-synthetic-s0"
    assert second.begin.run_group == "train-darts-nas_bench_201-synthetic-s0-synthetic"
    (table,) = first.logged["genotypes.path"]
    timeline = json.loads((first.path.parent / "files" / table).read_text())
    found = json.loads((searched / "summary.json").read_text())
    assert timeline["data"] == [[0, found["genotype"], found["val_accuracy"], None, None]]
    panels = {name for section in SECTIONS for panel in section.panels for name in panel.metrics}
    shown = {name.partition(".")[0] for run in (first, second) for name in (*run.logged, *run.summary)}
    images = {name for name in panels - shown if "perplexity" not in name}
    assert images == {"benchmark/valid", "benchmark/test", "tau", "plots/val_accuracy", "plots/test_accuracy"}
    (output,), (used, model) = first.artifacts, second.artifacts
    assert used.name == output.name == f"genotype-{first.begin.run_id}" and used.digest == output.digest
    assert used.use_after_commit and not model.use_after_commit
    assert (model.name, model.type) == (f"model-{second.begin.run_id}", "model")
    assert {entry.path for entry in model.manifest.contents} == {"model.pt", "genotype.json"}
    assert printed.splitlines()[-1] == f"upload         wandb sync {second.path.parent}"

    evaluated = tmp_path / "evaluated"
    evaluation = ["mode=eval", f"weights={trained}", "logger=wandb", f"hydra.run.dir={evaluated}", "evaluation.runs=1"]
    succeeded(script("train", *evaluation, cwd=tmp_path))
    third = offline_run(evaluated)
    (used,) = third.artifacts
    assert used.name == model.name and used.digest == model.digest and used.use_after_commit
    assert third.begin.job_type == "eval" and third.summary["test_accuracy"] == summary["test_accuracy"]
    assert len(third.pictures("confusion")) == 1 and not (evaluated / "metrics.csv").exists()


def test_resumed_run_continues_its_id(tmp_path: Path) -> None:
    run, second = tmp_path / "run", [*SMALL, "epochs=2"]
    succeeded(script("search", *second, "trainer.max_steps=3", f"hydra.run.dir={run}", cwd=tmp_path))
    printed = succeeded(script("search", f"ckpt_path={run}", "trainer.max_steps=-1", cwd=tmp_path))
    first, resumed = offline_runs(run)
    assert first.begin.run_id == resumed.begin.run_id == json.loads((run / WANDB_RECORD).read_text())["id"]
    command = f"wandb sync {first.path.parent} {resumed.path.parent}"
    assert f"upload         {command}" in printed
    checked = subprocess.run(
        [sys.executable, "-m", *command.split(), "--dry-run"],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "Would sync 2 run(s)" in checked.stdout + checked.stderr
    assert [row["epoch"] for row in resumed.rows if "train/loss" in row] == [1]
    assert len(resumed.logged["evolution.path"]) == 1


def test_sweep_over_seeds_has_a_run_with_tables_and_plots(tmp_path: Path) -> None:
    jobs = [*tiny("darts"), "logger=wandb", "~callbacks.cell_plots", "epochs=1", "method=darts,gdas", "seed=0,1"]
    printed = succeeded(script("search", "-m", *jobs, f"hydra.sweep.dir={tmp_path}/a/b", cwd=tmp_path))
    run = offline_run(tmp_path / "a" / "b")
    assert run.begin.display_name == run.begin.run_group == "sweep-a-b"
    assert {offline_run(tmp_path / "a" / "b" / str(job)).begin.run_group for job in range(4)} == {"sweep-a-b"}
    sweep = tmp_path / "a" / "b"
    command = f"wandb sync {sweep}/*/wandb/offline-run-* {sweep}/wandb/offline-run-*"
    assert printed.splitlines()[-2:] == [
        f"upload all     {command}",
        f"next           python search.py report {sweep}",
    ]
    assert len(glob.glob(command.split()[2])) == 4 and glob.glob(command.split()[3]) == [str(run.path.parent)]
    (row,) = run.rows
    folder = run.path.parent / "files"
    tables = {name: json.loads((folder / row[f"{name}.path"]).read_text()) for name in ("jobs", "means")}
    assert [cells[:3] for cells in tables["jobs"]["data"]] == [
        [0, "darts", "0"], [1, "darts", "1"], [2, "gdas", "0"], [3, "gdas", "1"]
    ]  # fmt: skip
    means = [dict(zip(tables["means"]["columns"], cells, strict=True)) for cells in tables["means"]["data"]]
    with (tmp_path / "a" / "b" / "sweep_means.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [(mean["method"], mean["n"]) for mean in means] == [("darts", 2), ("gdas", 2)]
    for mean, line in zip(means, written, strict=True):
        assert mean["val_accuracy mean"] == float(line["val_accuracy mean"])
        assert mean["val_accuracy std"] == float(line["val_accuracy std"])
    for name in ("val_accuracy", "parameters", "search_seconds"):
        (picture,) = run.pictures(f"plots/{name}")
        assert picture.stat().st_size > 1000
