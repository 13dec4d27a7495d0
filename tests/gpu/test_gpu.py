"""Tests that need a CUDA device, run by ``make gpu``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.compose_tools import QUERYING, ROOT, SIZED, budget, choices, searches

METHODS = [method for method in searches() if method not in {*QUERYING, *SIZED, "gdas_frc", "te_nas"}]
DATA = ["dataset=synthetic", "dataset.size=256", "dataset.batch_size=32"]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def start(overrides: list[str], directory: Path, name: str = "search") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / f"{name}.py"), *overrides, f"hydra.run.dir={directory}"]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HYDRA_FULL_ERROR": "1"})


def run(name: str, directory: Path, *overrides: str) -> dict[str, object]:
    done = start([*overrides], directory, name)
    failure = directory / "failure.txt"
    assert done.returncode == 0, done.stdout + done.stderr + (failure.read_text() if failure.exists() else "")
    summary = directory / "summary.json"
    found: dict[str, object] = json.loads(summary.read_text()) if summary.exists() else {}
    return found


def search(directory: Path, *overrides: str) -> dict[str, object]:
    return run("search", directory, *DATA, "space.channels=4", *overrides)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_method_searches_on_cuda_with_float32_alphas(method: str, precision: str, tmp_path: Path) -> None:
    overrides = ["trainer=gpu", f"method={method}", f"trainer.precision={precision}", "epochs=1"]
    overrides += ["method.callbacks.0.steps=3", "method.callbacks.0.samples=4"] if method == "enas" else []
    overrides += ["method.arch_step.warmup_epochs=0"] if method == "lora_darts" else []
    summary = search(tmp_path / "run", *overrides, "space.cells_per_stage=1")
    assert summary["accelerator"] == "cuda"
    assert int(str(summary["peak_memory_bytes"])) > 0
    state = torch.load(tmp_path / "run/checkpoints/last.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    alphas = [value for name, value in state.items() if name.startswith("relaxation.alpha")]
    assert alphas
    assert all(alpha.dtype == torch.float32 and bool(alpha.isfinite().all()) for alpha in alphas)


@pytest.mark.parametrize("method", ["darts", "drnas", "oles", "rsps", "sdarts_adv", "tangle_nas"])
def test_step_does_not_synchronize(method: str, tmp_path: Path) -> None:
    few = ["method.callbacks.0.samples=4"] if method == "rsps" else []
    options = ["trainer=gpu", f"method={method}", "epochs=1", "space.cells_per_stage=1", "trainer.limit_val_batches=0"]
    search(tmp_path / "run", *options, *few, "+callbacks.probe._target_=tests.support.gpu_probe.NoSynchronization")


OPTIONS = {
    "one process of DDP": ["trainer=ddp", "method=drnas"],
    "memory": ["trainer=gpu", "method=darts", "dataset.batch_size=auto", "activation_checkpointing=true"],
    "common steps": ["trainer=gpu", "method=gdas", "seeds=[0,1]"],
    "fast": [
        "trainer=gpu",
        "method=pc_darts",
        "channels_last=true",
        "fold_weights=true",
        "trainer.precision=bf16-mixed",
    ],
    "compiled": ["trainer=gpu", "method=darts", "compile=true"],
    "fused": ["trainer=gpu", "method=drnas", "space.fused=true"],
}
"""Options whose code differs on a GPU."""


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_a_search_on_cuda(name: str, tmp_path: Path) -> None:
    if "trainer=ddp" in OPTIONS[name] and not torch.distributed.is_nccl_available():
        pytest.skip("no NCCL")
    search(tmp_path / "run", *OPTIONS[name], "epochs=1", "space.cells_per_stage=1")
    runs = [tmp_path / "run" / part for part in (("seed_0", "seed_1") if name == "common steps" else ("",))]
    assert all(json.loads((path / "summary.json").read_text())["accelerator"] == "cuda" for path in runs)


def test_resumed_search_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    """Compare alphas to four digits, since sums on a GPU differ in order."""
    options = ["trainer=gpu", "method=gdas", "space.cells_per_stage=1", "epochs=2"]
    search(tmp_path / "whole", *options)
    kill = f"{{_target_: tests.support.compose_tools.KillOnce, flag: {tmp_path}/killed, epoch: 1, batch: 1}}"
    options.append(f"+callbacks.kill={kill}")
    start([*DATA, "space.channels=4", *options], tmp_path / "resumed")
    assert (tmp_path / "killed").exists()
    search(tmp_path / "resumed", *options, f"ckpt_path={tmp_path}/resumed")
    states = [
        torch.load(tmp_path / run / "checkpoints/last.ckpt", "cpu", weights_only=True) for run in ("whole", "resumed")
    ]
    one, other = (state["state_dict"]["relaxation.alpha.cell"] for state in states)
    torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-4)


def test_language_model_is_searched_and_trained_on_cuda(tmp_path: Path) -> None:
    text = ["dataset=text_synthetic", "dataset.words=12", "dataset.size=400", "dataset.eval_size=200"]
    text += ["dataset.batch_size=16", "dataset.eval_batch_size=8", "dataset.bptt=8", "trainer=gpu", "epochs=1"]
    small = ["space=recurrent", "space.hidden_size=6", "space.nodes=3", "method=darts"]
    assert run("search", tmp_path / "run", *text, *small)["accelerator"] == "cuda"
    trained = run("train", tmp_path / "train", f"genotype={tmp_path}/run", *text)
    tested = run("train", tmp_path / "eval", "mode=eval", f"weights={tmp_path}/train", *text[:-1])
    assert trained["accelerator"] == tested["accelerator"] == "cuda"


def test_cuda_and_cpu_compute_the_same() -> None:
    from nas.architecture.cell import EdgeWeights
    from nas.spaces.nas_bench_201.space import NasBench201

    torch.manual_seed(0)
    network = NasBench201((3, 16, 16), 10, channels=4, cells_per_stage=1).supernet().double()
    x, op = torch.randn(4, 3, 16, 16).double(), torch.rand(6, 5).double().softmax(dim=-1)
    active = [[True] * 5 for _ in range(6)]
    expected = network(x, {"cell": EdgeWeights(op, active)})
    got = network.to("cuda")(x.to("cuda"), {"cell": EdgeWeights(op.to("cuda"), active)})
    torch.testing.assert_close(got.to("cpu"), expected)


@pytest.mark.parametrize("method", SIZED)
def test_width_methods_search_on_cuda(method: str, tmp_path: Path) -> None:
    options = ["trainer=gpu", f"method={method}", "space=nats_size", "space.widths=[4,8]", "epochs=1"]
    assert run("search", tmp_path / "run", *DATA, *options)["accelerator"] == "cuda"


@pytest.mark.parametrize("space", ["nas_bench_201", "darts"])
def test_te_nas_prunes_on_cuda(space: str, tmp_path: Path) -> None:
    small = ["method.repeats=1", "method.ntk_batch=4", "method.proxies.1.batch_size=20", "dataset.shape=[3,16,16]"]
    summary = search(tmp_path / "run", "trainer=gpu", "method=te_nas", f"space={space}", *small)
    assert summary["accelerator"] == "cuda"


@pytest.mark.parametrize("method", sorted(QUERYING))
def test_black_box_methods_measure_proxies_on_cuda(method: str, tmp_path: Path) -> None:
    search(tmp_path / "run", "trainer=gpu", f"method={method}", "space.cells_per_stage=1", *budget(method))


@pytest.mark.parametrize("name", choices("proxy"))
def test_proxies_on_cuda_equal_those_on_the_cpu(name: str, tmp_path: Path) -> None:
    """Compare sixteen architectures to three digits, since float32 sums differ in order."""
    options = ["mode=rank_proxies", f"proxy={name}", "ranking.count=16", "space.cells_per_stage=1"]
    found = []
    for trainer in ("cpu", "gpu"):
        search(tmp_path / trainer, f"trainer={trainer}", *options)
        lines = (tmp_path / trainer / "scores.jsonl").read_text().splitlines()[1:]
        found.append([json.loads(line)["score"] for line in lines])
    finite = [(one, other) for one, other in zip(*found, strict=True) if one is not None and abs(one) < float("inf")]
    assert len(finite) > 8
    loose = (
        0.2 if name in ("ntk", "jacob_cov", "zen") else 1e-3
    )  # a quotient of eigenvalues; logarithms near zero; noise
    for one, other in finite:
        assert other == pytest.approx(one, rel=loose, abs=1e-6)


def test_ntk_rows_batched_equal_those_by_loop() -> None:
    from nas.architecture.cell import EdgeWeights
    from nas.proxies.ntk import per_sample_gradients
    from nas.spaces.nas_bench_201.notation import EDGES, OPS
    from nas.spaces.nas_bench_201.space import NasBench201

    torch.manual_seed(0)
    network = NasBench201((3, 16, 16), 10).probe("ntk").double().to("cuda")
    op = torch.full((len(EDGES), len(OPS)), 1 / len(OPS), dtype=torch.float64, device="cuda")
    arch = {"cell": EdgeWeights(op, [[True] * len(OPS) for _ in EDGES])}
    x = torch.randn(6, 3, 16, 16, dtype=torch.float64, device="cuda")
    weights = [p for name, p in network.named_parameters() if "weight" in name]
    rows = [per_sample_gradients(network(x, arch).sum(dim=1), weights, how) for how in ("loop", "batched")]
    torch.testing.assert_close(rows[0], rows[1])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_network_is_trained_evaluated_and_exported_on_cuda(precision: str, tmp_path: Path) -> None:
    small = ["genotype=DARTS_V2", "network.channels=4", "network.layers=3", *DATA, "trainer=gpu"]
    options = ["epochs=2", f"trainer.precision={precision}", "channels_last=true", "ema=0.9"]
    trained = run("train", tmp_path / "run", *small, *options)
    assert trained["accelerator"] == "cuda"
    tested = run("train", tmp_path / "eval", "mode=eval", f"weights={tmp_path}/run", *DATA, "trainer=gpu")
    assert tested["test_accuracy"] == pytest.approx(trained["test_accuracy"], abs=2)
    assert float(str(tested["images_per_second"])) > 0
    file = f"export.file={tmp_path}/model.pt2"
    command = ["mode=export", "export.format=torch_export", f"weights={tmp_path}/run", *DATA, file]
    command.append(f"hydra.run.dir={tmp_path}/export")
    done = subprocess.run([sys.executable, str(ROOT / "train.py"), *command], capture_output=True, text=True)
    assert done.returncode == 0 and (tmp_path / "model.pt2").is_file(), done.stdout + done.stderr
