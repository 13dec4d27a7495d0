"""Steps of every method on a simulated GPU: no operator mixes devices, and a step waits only for sampled paths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.compose_tools import DATA, QUERYING, REFUSED, ROOT, SIZED, searches, small
from tests.support.simulated_cuda.install import library, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=f"no simulated GPU: {missing()}")


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Skip the tests if the compiler of this machine does not compile the device."""
    try:
        library()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no simulated GPU: {error}")


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


def faults(pair: str, result: dict[str, object]) -> str:
    """Return the error of a pair, or its transfers if they are not those of its sampled paths."""
    if "error" in result:
        return f"{pair}: {result['error']}"
    waits, method = result["waits"], pair.split("@")[0]
    assert isinstance(waits, list)
    return f"{pair}: {waits}" if method not in NO_STEPS and len(waits) != PATHS.get(method, 0) else ""


def test_steps_use_one_device_and_wait_for_paths_alone() -> None:
    """All pairs are one test in one process, since the device cannot be removed from a process."""
    command = [sys.executable, "-m", "tests.support.simulated_cuda.steps", *PAIRS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [result["pair"] for result in results] == PAIRS, done.stderr
    assert not [fault for result in results if (fault := faults(result["pair"], result))]


REPLAYED = [
    *("darts@nas_bench_201+trainer.precision=bf16-mixed", "darts_2nd@nas_bench_201", "p_darts@nas_bench_201"),
    *("noisy_darts@nas_bench_201", "lambda_darts@nas_bench_201", "mask_gumbel@nats_size", "darts@recurrent"),
    *("gdas@nas_bench_201", "proxyless@nas_bench_201", "one_shot@shufflenet"),
]
"""Searches with graphs: kinds of edges, stages, random numbers, hidden states, paths, and a smaller last batch."""
ROUNDED = ("gdas", "setn", "tas")
"""Methods whose gradients of the mixing weights are added in another order."""
EVERY = [pair for pair in PAIRS if pair.split("@")[0] not in NO_STEPS]


def replay(searches: list[str]) -> dict[str, dict[str, object]]:
    """Return the differences between eager steps and replayed ones by search."""
    command = [sys.executable, "-m", "tests.support.simulated_cuda.replays", *searches]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    results = {
        line["search"]: line for text in done.stdout.splitlines() if text.startswith("{") for line in [json.loads(text)]
    }
    assert list(results) == searches, done.stderr
    assert not [result["error"] for result in results.values() if "error" in result]
    return results


def is_rounded(name: str, result: dict[str, object]) -> bool:
    return name.split("@")[0] in ROUNDED and float(str(result["largest"])) < 1e-5


def test_replayed_steps_equal_eager_steps() -> None:
    for name, result in replay(REPLAYED).items():
        assert result["different"] == [] or is_rounded(name, result), name
        assert result["enabled"], name
        assert int(str(result["graphs"])) >= 4, name
        assert int(str(result["replays"])) >= 16, name
        assert result["waits"] == 0, name


@pytest.mark.slow
def test_graphs_change_no_search() -> None:
    wrong = {name: result for name, result in replay(EVERY).items() if result["different"]}
    assert not [name for name, result in wrong.items() if not is_rounded(name, result)]


def test_graph_cases() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command.append("tests/support/simulated_cuda/graph_cases.py")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


START = "from tests.support.simulated_cuda.install import install; install(); from nas.cli.{0} import main; main()"


def start(name: str, directory: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", START.format(name), *DATA, "trainer=gpu", "epochs=1", *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command.append(f"hydra.run.dir={directory}")
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


def run(name: str, directory: Path, *overrides: str) -> dict[str, object]:
    done = start(name, directory, *overrides)
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, object] = json.loads((directory / "summary.json").read_text())
    return summary


def test_summary_names_the_gpu_and_its_memory(tmp_path: Path) -> None:
    found = run("search", tmp_path / "search", "method=darts", *small("nas_bench_201"))
    trained = run("train", tmp_path / "train", f"genotype={tmp_path}/search", "network.channels=4")
    for summary in (found, trained):
        assert (summary["accelerator"], summary["device"]) == ("cuda", "simulated")
        assert 10_000 < int(str(summary["peak_memory_bytes"])) < 50_000_000, "less than the process"


def test_search_resumes_without_graphs(tmp_path: Path) -> None:
    options = ["method=darts", *small("nas_bench_201"), "epochs=2"]
    run("search", tmp_path / "eager", *options, "cuda_graphs=false")
    kill = f"{{_target_: tests.support.compose_tools.KillOnce, flag: {tmp_path}/killed, epoch: 1, batch: 1}}"
    options.append(f"+callbacks.kill={kill}")
    start("search", tmp_path / "both", *options, "cuda_graphs=true")  # a failed capture would be an error
    assert (tmp_path / "killed").exists()
    run("search", tmp_path / "both", *options, "cuda_graphs=false", f"ckpt_path={tmp_path}/both")
    whole, resumed = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", "cpu", weights_only=True)["state_dict"]
        for name in ("eager", "both")
    )
    assert whole.keys() == resumed.keys()
    tensors = {key: value for key, value in whole.items() if isinstance(value, torch.Tensor)}
    assert all(torch.equal(value, resumed[key]) for key, value in tensors.items())
