"""Evaluation of the authors' checkpoints: their logits, with any wrapper around the weights."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.architecture.cell import Genotype
from nas.spaces.notation import native_string, parse_genotype
from tests.golden.test_final_nasnet import genotype_of
from tests.support.deploy_tools import stored
from tests.support.error_tools import run
from tests.support.golden_tools import Golden, assert_golden

pytestmark = pytest.mark.data
NAMES = (
    "final_darts_cifar_DARTS_V2",
    "final_darts_cifar_noisy_darts_a",
    "final_darts_imagenet_DARTS_V2",
    "final_drnas_cifar_DrNAS_cifar10",
    "final_gdas2019_cifar_GDAS_F1",
    "final_nasnet_autodl",
    "final_nb201_a",
    "final_nb201_b",
)
PUBLISHED = {"final_darts_cifar_DARTS_V2": "DARTS_V2", "final_drnas_cifar_DrNAS_cifar10": "DrNAS_cifar10"}
"""Cases given by their name in the zoo instead of a native string."""


def genotype(golden: Golden) -> Genotype:
    given = golden.entry["constructor"]
    return parse_genotype(given["arch"]) if "arch" in given else genotype_of(given["genotype"])


def bare(state: dict[str, torch.Tensor], file: Path) -> None:
    torch.save(state, file, _use_new_zipfile_serialization=False)  # as PyTorch before 1.6


def without_auxiliary(state: dict[str, torch.Tensor], file: Path) -> None:
    torch.save({"state_dict": {k: v for k, v in state.items() if "auxiliary" not in k}}, file)


def with_everything(state: dict[str, torch.Tensor], file: Path) -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    value = {
        "epoch": 600,
        "args": argparse.Namespace(lr=0.025, arch="DARTS", sizes=[1, 2]),
        "best_acc": np.float64(97.24),
        "history": np.arange(3),
        "optimizer": optimizer.state_dict(),
        "state_dict": {f"module.{name}": tensor for name, tensor in state.items()},
    }
    torch.save(value, file)


@pytest.mark.parametrize(
    ("name", "save"), [(name, (bare, without_auxiliary, with_everything)[k % 3]) for k, name in enumerate(NAMES)]
)
def test_evaluation_gives_the_published_logits(
    golden: Callable[[str], Golden], name: str, save: Any, tmp_path: Path
) -> None:
    reference = golden(name)
    x, y = reference.tensor("x"), reference.tensor("y")
    save(reference.state(), tmp_path / "weights.pth.tar")
    arguments = [
        *stored(tmp_path, x, y, reference.entry["constructor"]["num_classes"]),
        f"genotype={PUBLISHED.get(name) or native_string(genotype(reference))}",
        f"weights={tmp_path}/weights.pth.tar",
        "evaluation.logits=true",
        "evaluation.runs=1",
    ]
    directory = tmp_path / "run"
    found = run("train", "mode=eval", *arguments, f"hydra.run.dir={directory}")
    found.succeeded()
    saved = torch.load(directory / "logits.pt", weights_only=True)
    assert_golden(reference, "eval_logits", saved["logits"])
    assert torch.equal(saved["labels"], y)
    summary = json.loads((directory / "summary.json").read_text())
    logits = torch.from_numpy(reference.arrays["eval_logits"]).double()
    assert summary["images"] == len(y)
    assert summary["test_accuracy"] == pytest.approx(100 * float((logits.argmax(1) == y).double().mean()))
    best = logits.topk(5, 1).indices
    assert summary["test_top5_accuracy"] == pytest.approx(100 * float((best == y[:, None]).any(1).double().mean()))
    assert summary["test_loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, y)), rel=1e-4)
    counted = sum(
        v.size for k, v in reference.arrays.items()
        if k.startswith("state/") and "auxiliary" not in k and "running" not in k
    )  # fmt: skip
    assert summary["parameters"] == counted
