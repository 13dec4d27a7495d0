"""Steps of every method on a simulated GPU: no operator mixes devices, and a step waits only for sampled paths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.compose_tools import DATA, QUERYING, REFUSED, ROOT, SIZED, searches, small
from tests.support.simulated_cuda.install import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=f"no simulated GPU: {missing()}")

PATHS = {
    **dict.fromkeys(("gdas", "gdas_frc", "mask_rl", "tas"), 2),  # a path in each of the two passes
    **dict.fromkeys(("dsnas", "enas", "nasp", "proxyless"), 1),
}
"""Transfers of sampled paths per step: the host runs the ops of the path."""
NO_STEPS = {"te_nas"}
"""Searches whose rounds measure networks and wait for the results."""


def space_of(method: str) -> str:
    if method in SIZED:
        return "nats_size"
    return "darts" if (method, "nas_bench_201") in REFUSED else "nas_bench_201"


METHODS = [method for method in searches() if method not in QUERYING]
OTHER_SPACES = ["drnas@mobile", "gdas@recurrent", "darts@recurrent", "sdarts_rs@trans_nas_bench_101_micro"]
PAIRS = [*(f"{method}@{space_of(method)}" for method in METHODS), *OTHER_SPACES]


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, object]]:
    """Take the steps of all pairs in one process, since the device cannot be removed from a process."""
    command = [sys.executable, "-m", "tests.support.simulated_cuda.steps", *PAIRS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == len(PAIRS), done.stderr
    return {line["pair"]: line for line in lines}


@pytest.mark.parametrize("pair", PAIRS)
def test_step_uses_one_device_and_waits_for_paths_alone(pair: str, results: dict[str, dict[str, object]]) -> None:
    result, method = results[pair], pair.split("@")[0]
    assert "error" not in result, result["error"]
    waits = result["waits"]
    assert isinstance(waits, list)
    if method not in NO_STEPS:
        assert len(waits) == PATHS.get(method, 0), waits


START = "from tests.support.simulated_cuda.install import install; install(); from nas.cli.{0} import main; main()"


def run(name: str, directory: Path, *overrides: str) -> dict[str, object]:
    command = [sys.executable, "-c", START.format(name), *overrides, *DATA, "trainer=gpu", "epochs=1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command.append(f"hydra.run.dir={directory}")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, object] = json.loads((directory / "summary.json").read_text())
    return summary


def test_summary_names_the_gpu_and_its_memory(tmp_path: Path) -> None:
    found = run("search", tmp_path / "search", "method=darts", *small("nas_bench_201"))
    trained = run("train", tmp_path / "train", f"genotype={tmp_path}/search", "network.channels=4")
    for summary in (found, trained):
        assert (summary["accelerator"], summary["device"]) == ("cuda", "simulated")
        assert 10_000 < int(str(summary["peak_memory_bytes"])) < 50_000_000, "less than the process"
