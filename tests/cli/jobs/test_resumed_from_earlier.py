"""Runs that keep all checkpoints, and their resume from an earlier one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from tests.support.error_tools import SEARCH, run, snapshot

ALL = (
    *("callbacks.checkpoint.save_top_k=-1", "callbacks.checkpoint.filename='{epoch}'"),
    *("+callbacks.checkpoint.save_last=true", "~callbacks.cell_plots"),
)


def weights(run_directory: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of the module in the last checkpoint of a run."""
    state = torch.load(run_directory / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def assert_equal_results(one: Path, other: Path) -> None:
    for name in ("genotype.json", "alphas.jsonl"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_run_is_resumed_from_an_earlier_checkpoint(tmp_path: Path) -> None:
    """The epochs after the checkpoint are repeated, and removed from the logs before."""
    whole, again = tmp_path / "whole", tmp_path / "again"
    run("search", "method=gdas", *SEARCH[:-1], "epochs=3", *ALL, f"hydra.run.dir={whole}").succeeded()
    kept = {"epoch=0.ckpt", "epoch=1.ckpt", "epoch=2.ckpt", "last.ckpt"}
    assert {path.name for path in (whole / "checkpoints").iterdir()} == kept
    shutil.copytree(whole, again)
    first = again / "checkpoints" / "epoch=0.ckpt"
    before = snapshot(again)
    run("search", f"ckpt_path={first}").refused("holds a finished run (summary.json)")
    assert snapshot(again) == before
    (again / "summary.json").unlink()
    run("search", f"ckpt_path={first}").succeeded()
    assert [json.loads(line)["epoch"] for line in (again / "history.jsonl").read_text().splitlines()] == [0, 1, 2]
    assert_equal_results(again, whole)
