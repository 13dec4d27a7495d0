"""Gradients of inputs that a loss may not depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nas.gradients.base import grad_or_zeros
from tests.support.error_tools import SEARCH, run


def test_grad_or_zeros_of_unused_inputs() -> None:
    used, unused = torch.tensor([2.0, 3.0], requires_grad=True), torch.ones(2, 2, requires_grad=True)
    found = grad_or_zeros(used.square().sum(), [unused, used])
    assert torch.equal(found[0], torch.zeros(2, 2)) and found[1].tolist() == [4.0, 6.0]
    (first,) = grad_or_zeros(used.pow(3).sum(), [used], create_graph=True)
    assert torch.autograd.grad(first.sum(), used)[0].tolist() == [12.0, 18.0]


class TrainingPart:
    """Gradient that never evaluates the loss on the validation part."""

    def __call__(self, step: Any) -> list[torch.Tensor]:
        return list(step.reduce(step.grad(step.loss(step.train), step.alphas)))


class Wrong:
    """Gradient of a wrong type, number or shape."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, step: Any) -> Any:
        return {"none": None, "too_few": [], "scalar": [alpha.mean() for alpha in step.alphas]}[self.kind]


def search(tmp_path: Path, gradient: str) -> Any:
    part = f"{{_target_: {__name__}.{gradient}}}"
    small = ("method=darts", "trainer.limit_train_batches=1", f"hydra.run.dir={tmp_path}/run")
    return run("search", *SEARCH, *small, f"++method.arch_step.gradient={part}")


def test_gradient_on_the_training_part_is_logged(tmp_path: Path) -> None:
    done = search(tmp_path, "TrainingPart")
    done.succeeded()
    assert "  arch " in done.said


@pytest.mark.parametrize(("kind", "returned"), [("none", "NoneType"), ("too_few", "[]"), ("scalar", "[()]")])
def test_wrong_gradient_is_refused_in_one_line(tmp_path: Path, kind: str, returned: str) -> None:
    refused = search(tmp_path, f"Wrong, kind: {kind}")
    refused.refused("method.arch_step.gradient=Wrong", f"returned {returned},", "step.alphas are [(6, 5)]")
