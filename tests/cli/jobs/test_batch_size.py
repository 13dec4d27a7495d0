"""dataset.batch_size=auto and activation_checkpointing through the jobs."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import nas.callbacks.recording.memory
import nas.cli.jobs.batch_size
import nas.cli.jobs.search
import nas.cli.jobs.train
from nas.cli.checks.options import check_options
from nas.cli.checks.values import check_config
from nas.cli.jobs.batch_size import _tried, choose_batch_size
from nas.utils.errors import NasError
from tests.support.compose_tools import composed, script, small, succeeded
from tests.support.error_tools import NB201
from tests.support.resume_tools import assert_equal, checkpoint

DATA = ["dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.size=100", "~callbacks.cell_plots"]
SEARCH = ["method=gdas", *small("nas_bench_201"), *DATA, "trainer.max_epochs=1"]
TRAIN = [f"genotype='{NB201}'", "network.channels=4", "network.cells_per_stage=1", *DATA[:3], "trainer.max_epochs=1"]


def limit(monkeypatch: pytest.MonkeyPatch, available: int) -> None:
    for module in (nas.cli.jobs.batch_size, nas.callbacks.recording.memory):
        monkeypatch.setattr(module, "available_memory", lambda device: available)


def run(name: str, output: Path, *overrides: str) -> int:
    """Run a job in this process, and return its batch size."""
    job: Any = getattr(nas.cli.jobs, name)
    with composed(name, *overrides, f"paths.output={output}") as cfg:
        check_config(cfg)
        check_options(cfg)
        job.run(cfg)
        return int(cfg.dataset.batch_size)


@pytest.mark.parametrize(("name", "overrides"), [("search", SEARCH), ("train", TRAIN)])
def test_automatic_size_is_recorded_and_equals_the_same_number(
    name: str, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    limit(monkeypatch, 2**40)
    part = 50 if name == "search" else 100
    size = 32 if name == "search" else 64
    first, second = tmp_path / "auto", tmp_path / "number"
    assert run(name, first, *overrides, "dataset.batch_size=auto") == size
    assert f"batch size     {size}: the largest power of two that fits into the {part} images" in caplog.text
    assert f"activations of {size} images" in caplog.text
    assert run(name, second, *overrides, f"dataset.batch_size={size}", "activation_checkpointing=true") == size
    one, other = checkpoint(first), checkpoint(second)
    for key in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(one[key], other[key], key)
    assert f'"dataset.batch_size": {size}' in one["run"]["options"]
    summary = json.loads((first / "summary.json").read_text())
    assert 0 < summary["estimated_memory_bytes"] < 2 * summary["peak_memory_bytes"]


def test_automatic_size_follows_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    with composed("search", *SEARCH, "dataset.size=4096", f"paths.output={tmp_path}") as cfg:
        for available in (2_500_000, 5_000_000):
            for checkpointing in (False, True):
                limit(monkeypatch, available)
                cfg.dataset.batch_size, cfg.activation_checkpointing = "auto", checkpointing
                choose_batch_size(cfg, nas.cli.jobs.search.build)
                sizes.append(cfg.dataset.batch_size)
        assert 2 <= sizes[0] < sizes[1] < sizes[3] < 2048 and sizes[0] < sizes[2] <= sizes[3]
        limit(monkeypatch, 1000)
        cfg.dataset.batch_size = "auto"
        with pytest.raises(NasError, match="dataset.batch_size=auto: not even a step on 2 images fits into 1 kB"):
            choose_batch_size(cfg, nas.cli.jobs.search.build)


def test_size_is_halved_until_steps_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def train(cfg: Any, build: Any, size: int) -> None:
        tried.append(size)
        if size > 16:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(nas.cli.jobs.batch_size, "_train", train)
    for function in ("set_per_process_memory_fraction", "empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, function, lambda *args: None)
    assert _tried(None, None, [64, 32, 16, 8]) == 16  # type: ignore[arg-type]
    assert tried == [64, 32, 16]


def test_trial_takes_steps_of_weights_and_architecture(tmp_path: Path) -> None:
    seen = []

    def build(cfg: Any) -> Any:
        data, search = nas.cli.jobs.search.build(cfg)
        search.observers.append(lambda loss: seen.append((loss.phase, len(loss.batch[0]))))
        return data, search

    with composed("search", *SEARCH, "method.arch_step.warmup_epochs=3", f"paths.output={tmp_path}") as cfg:
        nas.cli.jobs.batch_size._train(cfg, build, 8)
    assert sorted(seen) == [("arch", 8)] * 2 + [("train", 8)] * 2
    assert not list(tmp_path.iterdir()), "a trial writes nothing"


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("search", ["method=random_search", "evaluator=zero_cost"], "method=random_search trains no supernet"),
        ("search", ["method=te_nas"], "method=te_nas trains no supernet"),
        ("search", ["mode=rank_proxies", "proxy=naswot"], "mode=rank_proxies takes no training steps"),
        ("train", ["mode=eval", "weights=X", f"genotype='{NB201}'"], "mode=eval takes no training steps"),
        ("search", ["trainer=ddp_cpu"], "the size is found on a single device"),
    ],
)
def test_automatic_size_is_refused_without_steps(name: str, overrides: list[str], message: str) -> None:
    with composed(name, *overrides, "dataset.batch_size=auto") as cfg, pytest.raises(NasError, match=message):
        check_config(cfg)


def test_checkpointing_is_refused_without_steps() -> None:
    message = "activation_checkpointing=true: method=te_nas trains no supernet"
    with (
        composed("search", "method=te_nas", "activation_checkpointing=true") as cfg,
        pytest.raises(NasError, match=message),
    ):
        check_config(cfg)


def test_step_that_does_not_fit_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limit(monkeypatch, 300_000)
    run("search", tmp_path, *SEARCH, "dataset.batch_size=32")
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "and 300 kB are available. Use " in line
    assert line.endswith("or activation_checkpointing=true.")


@pytest.mark.slow
def test_resumed_run_has_the_recorded_size(tmp_path: Path) -> None:
    options = [*SEARCH[:-1], "epochs=2", "trainer.max_steps=2", "dataset.batch_size=auto", "hydra.run.dir=run"]
    stopped = script("search", *options, cwd=tmp_path)
    assert "batch size     32" in stopped.stdout
    record = yaml.safe_load((tmp_path / "run" / ".hydra" / "overrides.yaml").read_text())
    assert [line for line in record if "batch_size" in line] == ["dataset.batch_size=32"]
    resumed = succeeded(script("search", "ckpt_path=run", "trainer.max_steps=-1", cwd=tmp_path))
    assert "activations of 32 images" in resumed and "batch size" not in resumed
