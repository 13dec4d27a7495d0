"""The parts of docs/extending.md: relaxation, derivation, op, data sets, proxy and strategy."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from nas.architecture.masks import Masks
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.compose_tools import ROOT
from tests.support.custom_packages import install, python_blocks, write_package
from tests.support.error_tools import SEARCH, run

PAGE, MODULE = "extending.md", "my_parts"


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module with the classes of the page."""
    classes = [block for block in python_blocks(PAGE) if "\nclass " in block or "\ndef " in block]
    folder = write_package(tmp_path / "package", MODULE, "\n\n".join(classes))
    install(monkeypatch, folder, MODULE)
    return importlib.import_module(MODULE)


def test_page_lists_the_options_of_the_steps() -> None:
    page = (ROOT / "docs" / PAGE).read_text()
    method = yaml.safe_load((ROOT / "conf" / "method" / "darts.yaml").read_text())
    for block in ("weight_step", "arch_step"):
        (row,) = re.findall(rf"^\| `{block}` \| (.*) \|$", page, re.MULTILINE)
        assert {*re.findall(r"`(\w+)`", row)} == {*method[block]} - {"_target_"}


def test_relaxation_has_weights_that_sum_to_one(parts: Any) -> None:
    space = NasBench201((1, 8, 8), 2, channels=2, cells_per_stage=1)
    relaxation = parts.Squared(space.cells, init_mean=1.0)
    mask = torch.ones(6, 5, dtype=torch.bool)
    mask[0, 0] = False
    weights = relaxation.relax(torch.randn(6, 5), mask).weights
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(6))
    assert weights[0, 0] == 0


def test_regularizer_is_the_mean_square_of_alpha(parts: Any) -> None:
    space = NasBench201((1, 8, 8), 2, channels=2, cells_per_stage=1)
    relaxation = parts.Squared(space.cells, init_mean=2.0, init_std=0.0)
    assert float(parts.SquaredAlpha(0.5)(relaxation.alpha, Masks(space.cells)).detach()) == pytest.approx(2.0)


def test_method_of_own_parts_searches(parts: Any, tmp_path: Path) -> None:
    method = tmp_path / "my_conf" / "method" / "mine.yaml"
    method.parent.mkdir(parents=True)
    lines = re.findall(r"^`((?:relaxation|arch_step): \{.*\})` ", (ROOT / "docs" / PAGE).read_text(), re.MULTILINE)
    step = {name: part for line in lines for name, part in (yaml.safe_load(line).get("arch_step") or {}).items()}
    parts_of = {"defaults": ["darts", "_self_"], "name": "mine", **yaml.safe_load(lines[0]), "arch_step": step}
    method.write_text(yaml.safe_dump(parts_of))
    small = (*SEARCH, "method=mine", "trainer.limit_train_batches=2", f"hydra.run.dir={tmp_path}/run")
    assert {*step} == {"regularizer", "gradient"}
    run("search", "-cd", str(method.parent.parent), *small).succeeded()


def test_op_is_a_candidate_of_the_darts_space(parts: Any) -> None:
    space = Darts((3, 8, 8), 2, channels=2, layers=3, ops=["none", "skip_connect", parts.MBConv])
    assert "MBConv" in space.cells["normal"].ops


def test_data_set_has_two_classes_and_their_shape(parts: Any) -> None:
    splits = parts.Stripes(mean=[0.5], std=[0.29], pad=1).load()
    images, labels = splits.train_images, splits.train_labels
    assert images.shape == (500, 1, 8, 8) and images.dtype == torch.uint8
    assert splits.test_images.shape[1:] == parts.Stripes.shape
    assert {*labels.tolist(), *splits.test_labels.tolist()} == {0, 1}
    assert torch.equal(parts.Stripes(mean=[0.5], std=[0.29], pad=1).load().train_images, images)


def test_data_set_reads_files_of_numpy(parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(256, size=(8, 32, 32, 3), dtype=np.uint8)
    for part in ("train", "test"):
        np.save(f"{part}_images.npy", images)
        np.save(f"{part}_labels.npy", np.arange(8) % 2)
    data = parts.Arrays(mean=[0.5] * 3, std=[0.3] * 3, batch_size=2)
    assert data.splits.train_images[3, 2, 5, 7] == images[3, 5, 7, 2] and data.splits.test_labels.tolist() == [0, 1] * 4
    batch = next(iter(data.train_dataloader()))[0]
    assert batch["train"][0].shape == (2, 3, 32, 32)


def test_derivation_reduces_skips(parts: Any) -> None:
    cell = NasBench201((1, 8, 8), 2, channels=2, cells_per_stage=1).cells["cell"]
    scores = torch.zeros(6, len(cell.ops))
    scores[:, cell.ops.index("skip_connect")] = 0.9
    scores[:, cell.ops.index("nor_conv_3x3")] = 0.5
    assert {link.op for link in parts.discretize_with_weaker_skips(cell, scores).links} == {"nor_conv_3x3"}
    derived = parts.discretize_with_weaker_skips(cell, scores, factor=1.0)
    assert {link.op for link in derived.links} == {"skip_connect"}


def test_strategy_and_its_yaml_run(parts: Any, tmp_path: Path) -> None:
    (content,) = re.findall(r"^```yaml\n([^`]*HillClimbing.*?)^```$", (ROOT / "docs" / PAGE).read_text(), re.M | re.S)
    file = tmp_path / "my_conf" / "method" / "hill_climbing.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    small = ("method=hill_climbing", "proxy=params", "method.budget.queries=12", "epochs=2", "trainer.accelerator=cpu")
    run("search", "-cd", str(tmp_path / "my_conf"), *small, f"hydra.run.dir={tmp_path}/run").succeeded()
    lines = (tmp_path / "run" / "queries.jsonl").read_text().splitlines()
    assert len(lines) == 12
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["method"] == "hill_climbing"


def test_proxy_leaves_the_network_unchanged(parts: Any) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    batch = (torch.randn(8, 1, 8, 8), torch.zeros(8, dtype=torch.long))
    score = parts.LogitSpread()(network, batch, torch.Generator())
    assert score == pytest.approx(float(network(batch[0]).detach().std()))
