"""The models of docs/extending/choices.md, searched as on the page."""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import nas.choices
from nas.spaces.genotype_file import load_genotype
from tests.support.custom_packages import install, python_blocks, write_package
from tests.support.error_tools import TINY, run

PAGE, MODULE = "extending/choices.md", "my_models"
MODELS = ("ResNet", "Transformer")
LEARNED = {"ResNet": 80, "Transformer": 40}
"""Test accuracy in percent that 20 epochs on digits exceed; the transformer learns slowly at this learning rate."""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module with the two models of the page, which can be imported until the end of the test."""
    folder = write_package(tmp_path / "package", MODULE, "\n\n".join(python_blocks(PAGE)[:2]))
    install(monkeypatch, folder, MODULE)
    return importlib.import_module(MODULE)


def test_code_in_python_runs(models: Any, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(python_blocks(PAGE)[2], PAGE, "exec"), {})  # noqa: S102, code of this repository
    printed = capsys.readouterr().out
    assert "'depth1': ('1', '2', '3')" in printed and "choices:stem:" in printed and "ResNet(" in printed


@pytest.mark.parametrize("name", MODELS)
def test_networks_equal_the_supernet(models: Any, name: str) -> None:
    torch.manual_seed(0)
    space = nas.choices.space(getattr(models, name), (1, 8, 8), 10)
    supernet, x = space.supernet().double(), torch.randn(3, 1, 8, 8, dtype=torch.float64)
    for seed in range(5):
        genotype = space.sample(random.Random(seed))
        network = space.inherit(genotype, supernet)
        torch.testing.assert_close(network(x), supernet(x, space.encode(genotype, like=x)), rtol=1e-9, atol=1e-9)


def test_transformer_is_searched_trained_and_exported(models: Any, tmp_path: Path) -> None:
    given = (*TINY, "space=choices", f"space.model={MODULE}:Transformer")
    run("search", *given, "epochs=1", "method=gdas", f"hydra.run.dir={tmp_path}/found").succeeded()
    assert set(load_genotype(tmp_path / "found").cells) >= {"depth", "attention0", "mlp0"}
    run("train", *given, "epochs=1", f"genotype={tmp_path}/found", f"hydra.run.dir={tmp_path}/trained").succeeded()
    export = ("mode=export", f"weights={tmp_path}/trained", f"hydra.run.dir={tmp_path}/exported")
    run("train", *given, *export).succeeded()
    differences = json.loads((tmp_path / "exported" / "summary.json").read_text())["max_difference"]
    assert (tmp_path / "exported" / "model.onnx").is_file() and max(differences.values()) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_models_learn_digits(models: Any, name: str, tmp_path: Path) -> None:
    given = ("dataset=digits", "space=choices", f"space.model={MODULE}:{name}")
    run("search", *given, "method=gdas", "epochs=5", f"hydra.run.dir={tmp_path}/found").succeeded()
    train = (*given, "epochs=20", f"genotype={tmp_path}/found", f"hydra.run.dir={tmp_path}/trained")
    run("train", *train).succeeded()
    assert json.loads((tmp_path / "trained" / "summary.json").read_text())["test_accuracy"] > LEARNED[name]
