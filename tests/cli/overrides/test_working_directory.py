"""Relative paths with hydra.job.chdir=true."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from omegaconf import OmegaConf

from nas.cli.overrides.working_directory import make_paths_absolute
from tests.support.error_tools import NB201, TINY, TRAIN, run


def test_training_in_its_run_directory_finds_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("train", *TRAIN, f"genotype={NB201}", "hydra.run.dir=first").succeeded()
    options = ["hydra.job.chdir=true", "init_weights=first", "hydra.run.dir=runs/second", "paths.output=results"]
    run("train", *TRAIN, "genotype=first", *options).succeeded()
    assert (tmp_path / "results" / "model.pt").is_file() and (tmp_path / "runs" / "second" / ".hydra").is_dir()
    found = json.loads((tmp_path / "results" / "summary.json").read_text())
    assert found["genotype"] == json.loads((tmp_path / "first" / "summary.json").read_text())["genotype"]
    sweep = ["-m", "mode=eval", "weights=first,results", *TINY, "evaluation.runs=1", "hydra.sweep.dir=s"]
    run("train", *sweep, "hydra.job.chdir=true").succeeded()
    assert {path.parent.name for path in (tmp_path / "s").rglob("summary.json")} == {"0", "1"}
    assert {path.name for path in tmp_path.iterdir()} == {"first", "runs", "results", "s"}


def test_make_paths_absolute_changes_paths_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "gdas").mkdir()
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "mine.txt").touch()
    monkeypatch.chdir(tmp_path / "run")
    before: dict[str, Any] = {
        "method": {"name": "gdas"},
        "genotype": "run",
        "weights": "darts_v2",
        "ckpt_path": None,
        "paths": {"data": "data", "benchmark": "${.data}", "output": "~/out"},
        "dataset": {"root": "${paths.data}", "split": 0.5, "subset": "lists/mine.txt", "label": "lists/none.txt"},
        "evaluator": {"supernet_dir": "gdas"},
        "budget": {"latency_table": "table.json", "macs": None},
        "parts": [{"save_dir": "new"}, "lists/mine.txt", "/lists/mine.txt"],
    }
    cfg = OmegaConf.create(before)
    hydra = OmegaConf.create({"runtime": {"cwd": str(tmp_path)}})
    with mock.patch("nas.cli.overrides.working_directory.HydraConfig.get", return_value=hydra):
        make_paths_absolute(cfg)
    expected = {
        **before,
        "genotype": f"{tmp_path}/run",
        "paths": {"data": f"{tmp_path}/data", "benchmark": "${.data}", "output": os.path.expanduser("~/out")},
        "dataset": {**before["dataset"], "subset": f"{tmp_path}/lists/mine.txt"},
        "evaluator": {"supernet_dir": f"{tmp_path}/gdas"},
        "budget": {"latency_table": f"{tmp_path}/table.json", "macs": None},
        "parts": [{"save_dir": f"{tmp_path}/new"}, f"{tmp_path}/lists/mine.txt", "/lists/mine.txt"],
    }
    assert OmegaConf.to_container(cfg) == expected
