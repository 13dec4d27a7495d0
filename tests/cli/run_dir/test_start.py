"""Lines at the start of a run."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from nas.cli.build import build_trainer
from nas.cli.run_dir.begin import begin_output
from nas.cli.run_dir.start import log_start_without_trainer
from tests.support.compose_tools import composed, tiny
from tests.support.error_tools import NB201, SEARCH, TRAIN, run


def test_start_names_directory_choices_and_device(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with composed("search", *tiny("darts"), "epochs=3", "seed=5", f"paths.output={tmp_path}", "callbacks={}") as cfg:
        build_trainer(cfg)
    run, config, device = (
        next(m for m in caplog.messages if m.startswith(name)) for name in ("run", "config", "device")
    )
    assert run.split() == ["run", str(tmp_path)]
    assert "method=darts space=nas_bench_201 dataset=synthetic trainer=cpu logger=csv seed=5 epochs=3" in config
    assert "network=" not in config and "experiment=" not in config and ".hydra/config.yaml" in config
    assert device.split()[1] == "cpu" and "thread" in device and device.endswith("32-true")


def logged(cfg: DictConfig, caplog: pytest.LogCaptureFixture) -> str:
    """Return the text behind "config" in the lines at the start of a job without a trainer."""
    caplog.set_level(logging.INFO)
    caplog.clear()
    log_start_without_trainer(cfg, torch.device("cpu"))
    found = {message.split()[0]: message for message in caplog.messages}
    assert list(found) == ["run", "config", "device"] and "thread" in found["device"]
    return found["config"].removeprefix("config").partition("   (all options")[0].strip()


def test_start_of_an_evaluation_has_no_epochs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = (
        "mode=eval",
        "weights=x",
        "protocol=darts_cifar10",
        "logger=none",
        "trainer=cpu",
        f"paths.output={tmp_path}",
    )
    with composed("train", *given) as cfg:
        cfg.callbacks = {}
        caplog.set_level(logging.INFO)
        build_trainer(cfg)
    config = next(message for message in caplog.messages if message.startswith("config"))
    assert config.split()[1:4] == ["protocol=darts_cifar10", "dataset=cifar10", "trainer=cpu"]
    assert "epochs=" not in config and "seed=" not in config and "logger=" not in config


def test_start_of_a_ranking_names_proxy_and_executor(caplog: pytest.LogCaptureFixture) -> None:
    with composed("search", "mode=rank_proxies", "proxy=synflow", "dataset=synthetic", "seed=3") as cfg:
        text = logged(cfg, caplog)
    assert text == "proxy=synflow space=nas_bench_201 dataset=synthetic trainer=cpu executor=serial seed=3"


def test_start_of_repeated_searches_has_no_epochs(caplog: pytest.LogCaptureFixture) -> None:
    with composed("search", "method=random_search", "dataset=synthetic") as cfg:
        text = logged(cfg, caplog)
    assert text == "method=random_search space=nas_bench_201 dataset=synthetic trainer=cpu seed=0"


@pytest.mark.parametrize("shown", [True, False])
def test_print_config_shows_the_resolved_configuration(shown: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with composed("search", *tiny("darts"), "seed=7", f"extras.print_config={str(shown).lower()}") as cfg:
        begin_output(cfg)
    text = capsys.readouterr().out
    assert ("├── seed: 7" in text and "lr: 0.025" in text and "${" not in text) if shown else text == ""


def test_start_states_the_steps_per_epoch(tmp_path: Path) -> None:
    """The last batch of an epoch may be smaller, and so may the last step of several passes."""
    smaller = [line.replace("dataset.size=64", "dataset.size=72") for line in (*SEARCH, "logger=none")]
    said = run("search", *smaller, f"hydra.run.dir={tmp_path}/search").said  # 36 of 72 images for the weights
    assert "batch          16 images per step, 3 steps per epoch\n" in said
    passes = ["trainer.accumulate_grad_batches=3", "logger=none", f"hydra.run.dir={tmp_path}/training"]
    said = run("train", *TRAIN, f"genotype={NB201}", *passes).said  # 4 batches
    assert "batch          48 images per step (3 passes x 16 images), 2 steps per epoch\n" in said
