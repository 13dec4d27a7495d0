"""What only an accelerator shows. Run by ``make gpu``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
METHODS = sorted(path.stem for path in (ROOT / "conf/method").glob("*.yaml"))
SMALL = ["dataset=synthetic", "dataset.size=256", "dataset.batch_size=32", "space.channels=4"]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def search(directory: Path, *overrides: str) -> dict[str, object]:
    command = [sys.executable, str(ROOT / "search.py"), *SMALL, *overrides, f"hydra.run.dir={directory}"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HYDRA_FULL_ERROR": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, object] = json.loads((directory / "summary.json").read_text())
    return found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_method_searches_on_the_device_and_keeps_alphas_in_float32(
    method: str, precision: str, tmp_path: Path
) -> None:
    overrides = ["trainer=gpu", f"method={method}", f"trainer.precision={precision}", "epochs=1"]
    summary = search(tmp_path / "run", *overrides, "space.cells_per_stage=1")
    assert summary["accelerator"] == "cuda"
    assert int(str(summary["peak_memory_bytes"])) > 0
    state = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    alphas = [value for name, value in state.items() if name.startswith("relaxation.alpha")]
    assert alphas
    assert all(alpha.dtype == torch.float32 and bool(alpha.isfinite().all()) for alpha in alphas)


@pytest.mark.parametrize("method", ["darts", "drnas"])
def test_a_dense_step_never_waits_for_the_device(method: str, tmp_path: Path) -> None:
    search(
        tmp_path / "run",
        *["trainer=gpu", f"method={method}", "epochs=1", "space.cells_per_stage=1", "trainer.limit_val_batches=0"],
        "+callbacks.probe._target_=tests.gpu_probe.NoSynchronisation",
    )


def test_the_device_computes_what_the_cpu_computes() -> None:
    from nas.cells import EdgeWeights
    from nas.spaces.nas_bench_201 import NasBench201

    torch.manual_seed(0)
    network = NasBench201((3, 16, 16), 10, channels=4, cells_per_stage=1).supernet().double()
    x, op = torch.randn(4, 3, 16, 16).double(), torch.rand(6, 5).double().softmax(dim=-1)
    active = [[True] * 5 for _ in range(6)]
    expected = network(x, {"cell": EdgeWeights(op, active)})
    got = network.to("cuda")(x.to("cuda"), {"cell": EdgeWeights(op.to("cuda"), active)})
    torch.testing.assert_close(got.to("cpu"), expected)
