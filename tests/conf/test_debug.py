"""Configurations for debugging, and grids of hyperparameters."""

from __future__ import annotations

import json
import math
from pathlib import Path
from unittest import mock

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from nas.cli.build import build_data
from nas.cli.main import prepare
from nas.utils.errors import NasError
from tests.support.compose_tools import CONF, choices, composed
from tests.support.error_tools import NB201, SEARCH, TRAIN, Outcome, run

pytestmark = pytest.mark.slow

EPOCHS = {"default": 1, "fdr": 1, "limit": 3, "overfit": 20, "profiler": 1}


def start(script: str, directory: Path, *more: str) -> Outcome:
    """Run a tiny search or training, the number of epochs left to ``more``."""
    tiny = SEARCH if script == "search" else (*TRAIN, f"genotype={NB201}")
    given = (argument for argument in tiny if not argument.startswith("epochs="))
    return run(script, *given, *more, f"hydra.run.dir={directory}")


def test_debug_configurations_are_all_tested() -> None:
    assert set(choices("debug")) == set(EPOCHS)


@pytest.mark.parametrize("script", ["search", "train"])
@pytest.mark.parametrize("name", EPOCHS)
def test_debug_configuration_runs(script: str, name: str, tmp_path: Path) -> None:
    found = start(script, tmp_path, f"debug={name}")
    assert found.code == 0, found.erred
    assert json.loads((tmp_path / "summary.json").read_text())["epochs"] == EPOCHS[name]
    assert (tmp_path / "checkpoints").exists() == (name != "fdr")
    assert (tmp_path / "fit-profile.txt").exists() == (name == "profiler")


@pytest.mark.parametrize("overfit", [True, False])
def test_overfit_batches_are_the_same_in_each_epoch(overfit: bool) -> None:
    with composed("train", "genotype=x", "dataset=synthetic", "dataset.size=64", "dataset.pad=4") as cfg:
        data = build_data(cfg, bilevel=False)
    data.trainer = mock.Mock(overfit_batches=2 if overfit else 0.0, global_rank=0, world_size=1)
    data.trainer.strategy.root_device = torch.device("cpu")
    loader = data.train_dataloader()
    epochs = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        epochs.append(torch.cat([images for images, _ in loader]))
    assert torch.equal(*epochs) == overfit


def test_debug_shows_tracebacks_of_user_errors(tmp_path: Path) -> None:
    small = [argument for argument in SEARCH if not argument.startswith("dataset.batch_size")]
    with pytest.raises(NasError, match="batch_size"):
        run("search", *small, "debug=default", "dataset.batch_size=9999", f"hydra.run.dir={tmp_path}")


def test_debug_keeps_the_epochs_of_the_command_line() -> None:
    with composed("search", "debug=limit", "epochs=2", "dataset=cifar10") as cfg:
        assert cfg.trainer.max_epochs == 2 and cfg.trainer.limit_train_batches == 3


def grid_of(name: str) -> dict[str, list[str]]:
    text = (CONF / "hparams_search" / f"{name}.yaml").read_text()
    return {key: values.split(",") for key, values in yaml.safe_load(text)["hydra"]["sweeper"]["params"].items()}


STUDIES = [name for name in choices("hparams_search") if "optuna" in (CONF / f"hparams_search/{name}.yaml").read_text()]
GRIDS = [name for name in choices("hparams_search") if name not in STUDIES]


@pytest.mark.parametrize("name", STUDIES)
def test_hparams_search_by_optuna_composes(name: str, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    plan = prepare("search", ["-m", f"hparams_search={name}", f"hydra.sweep.dir={tmp_path}/sweep"]).plan
    assert plan is not None and not plan.jobs


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_hparams_search_by_optuna_runs(name: str, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    small = [*SEARCH, "trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "~callbacks.cell_plots"]
    given = [*small, "hydra.sweeper.n_trials=2", f"hydra.sweep.dir={tmp_path}"]
    method = "snas" if name.startswith("snas") else "darts"
    found = run("search", "-m", f"hparams_search={name}", f"method={method}", *given)
    assert found.code == 0, found.erred
    assert "2 complete" in found.said and len(list(tmp_path.glob("*/summary.json"))) == 2


@pytest.mark.parametrize("name", GRIDS)
def test_hparams_search_names_existing_keys(name: str) -> None:
    grid = grid_of(name)
    for position in range(max(map(len, grid.values()))):
        point = {key: values[min(position, len(values) - 1)] for key, values in grid.items()}
        with composed("search", f"hparams_search={name}", *(f"{key}={value}" for key, value in point.items())) as cfg:
            values = {key: value for key, value in point.items() if key not in ("experiment", "executor")}  # no groups
            assert all(OmegaConf.select(cfg, key) == float(value) for key, value in values.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in GRIDS if name not in ("laptop", "nas_bench_201_study")])  # hours
def test_hparams_search_runs_the_product_of_its_lists(name: str, tmp_path: Path) -> None:
    small = [*SEARCH, "trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "~callbacks.cell_plots"]
    found = run("search", "-m", f"hparams_search={name}", "method=darts", *small, f"hydra.sweep.dir={tmp_path}")
    assert found.code == 0, found.erred
    assert len(list(tmp_path.glob("*/summary.json"))) == math.prod(map(len, grid_of(name).values()))


def test_local_configuration_is_optional_and_ignored_by_git() -> None:
    assert "/conf/local/" in (CONF.parent / ".gitignore").read_text().splitlines()
    for entry in ("search", "train"):
        assert "optional local: default" in (CONF / f"{entry}.yaml").read_text()
