"""Resume of a run with ``seeds`` as a whole and of its single searches."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import nas.cli.jobs.seeds
from tests.cli.jobs.test_seeds import TINY, Interrupt, add_callback
from tests.support.error_tools import run, snapshot


def test_seeds_of_an_experiment_are_resumed_together_and_separately(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(nas.cli.jobs.seeds, "find_obstacle", lambda cfg: None)
    experiments, directory = tmp_path / "conf" / "experiment", tmp_path / "run"
    experiments.mkdir(parents=True)
    (experiments / "several.yaml").write_text("# @package _global_\nseeds: [0, 1]\n")
    own = ["--config-dir", str(tmp_path / "conf")]
    given = [*own, "experiment=several", "method=darts", *TINY, add_callback(Interrupt), f"hydra.run.dir={directory}"]
    assert run("search", *given).code == 130
    resume = [*own, f"ckpt_path={directory}", "~callbacks.bomb"]
    run("search", *resume, "seeds=[1]").refused("seeds=[1]", "is a run with seeds=[0,1]")
    run("search", *own, f"ckpt_path={directory / 'seed_1'}", "~callbacks.bomb").succeeded()
    assert {"seeds=null", "seed=1"} <= set((directory / "seed_1" / ".hydra" / "overrides.yaml").read_text().split())
    summary = directory / "seed_1" / "summary.json"
    whole = summary.read_text()
    summary.write_text(whole[:-9])
    before = snapshot(directory)
    run("search", *resume).refused(f"{summary} is damaged", "Restore the file, or remove it")
    assert snapshot(directory) == before
    summary.write_text(whole)
    run("search", *resume).succeeded()
    assert all((directory / f"seed_{seed}" / "summary.json").is_file() for seed in (0, 1))
