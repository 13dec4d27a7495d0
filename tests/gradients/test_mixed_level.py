"""Mixed-level gradient against steps written in plain torch from the equations of the paper."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from nas.gradients.base import Batch, BilevelStep, nested_gradients
from nas.gradients.clipped import Clipped
from nas.gradients.mixed_level import MixedLevel
from nas.gradients.unrolled import Unrolled
from nas.nn.edges.binary_gates import BinaryGates
from nas.relaxations.binary_gates import GateRelaxation
from nas.searches.arch_step import ArchStep
from nas.searches.compatibility import check_parts, check_passes
from nas.searches.gradient import StepOrder
from nas.searches.weight_step import WeightStep
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.searches.test_steps import CLIP, ByHand, batches, build, train

DOUBLE = torch.float64


class MixedByHand(ByHand):
    """Steps whose gradient of alpha is that of both losses."""

    def mixed_step(self, batch: dict[str, Batch], train_weight: float, val_weight: float) -> None:
        of_train, of_val = (self.gradients(batch[part])[1] for part in ("train", "val"))
        self.gradients = lambda _: ({}, train_weight * of_train + val_weight * of_val)  # type: ignore[method-assign]
        self.arch_step(batch["val"])
        del self.gradients


@pytest.mark.parametrize(("train_weight", "val_weight"), [(1.0, 1.0), (0.25, 3.0), (1.0, 0.0)])
@pytest.mark.parametrize("order", ["arch_first", "weights_first"])
def test_steps_match_plain_torch(order: StepOrder, train_weight: float, val_weight: float) -> None:
    search = build(step_order=order, weight={"clip_norm": CLIP}, gradient=MixedLevel(train_weight, val_weight))
    hand = MixedByHand(search, CLIP, "weights")
    for batch in batches(3):
        if order == "arch_first":
            hand.mixed_step(batch, train_weight, val_weight)
        hand.weight_step(batch["train"])
        if order == "weights_first":
            hand.mixed_step(batch, train_weight, val_weight)
    hand.compare(train(search, batches(3)))


@pytest.mark.parametrize("val_weight", [1.0, 0.5])
def test_second_order_gradient_is_that_of_both_losses_after_a_step(val_weight: float) -> None:
    alpha = torch.tensor([0.3, -0.2], dtype=DOUBLE).requires_grad_()
    weight = nn.Parameter(torch.tensor([0.5, 1.5], dtype=DOUBLE))
    data = [(torch.tensor(x, dtype=DOUBLE), torch.zeros(1)) for x in ([1.0, 2.0], [-1.0, 0.5])]

    def loss(batch: Batch, weights: Any = None) -> Tensor:
        w = weight if weights is None else weights["w"]
        return (torch.sin(w * batch[0]) * alpha.exp()).sum().square()

    ahead = weight - 0.1 * torch.autograd.grad(loss(data[0]), weight, create_graph=True)[0]
    total = loss(data[0], {"w": ahead}) + val_weight * loss(data[1], {"w": ahead})
    (expected,) = torch.autograd.grad(total, alpha)
    step = BilevelStep(loss, [alpha], {"w": weight}, data[0], data[1], SGD([weight], 0.1), lambda tensors: tensors)
    exact, difference = (
        MixedLevel(1.0, val_weight, Unrolled(exact=exact, radius=1e-5))(step)[0] for exact in (True, False)
    )
    torch.testing.assert_close(exact, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(difference, expected, rtol=1e-7, atol=1e-9)


def test_nested_gradients_are_checked() -> None:
    nested = Clipped(1.0, MixedLevel(gradient=Unrolled()))
    assert [type(gradient) for gradient in nested_gradients(nested)] == [Clipped, MixedLevel, Unrolled]
    assert nested.full_precision
    with pytest.raises(NasError, match="gradient=Unrolled: a step takes all images"):
        check_passes(WeightStep(SGD), ArchStep(SGD, gradient=nested))
    check_passes(WeightStep(SGD), ArchStep(SGD, gradient=Clipped(1.0, MixedLevel())))


def test_pairs_of_binary_gates_are_refused() -> None:
    cells = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1).cells
    check = partial(check_parts, weight_step=WeightStep(SGD), edge=BinaryGates, step_order="arch_first")
    check(GateRelaxation(cells), ArchStep(SGD, gradient=MixedLevel()))
    with pytest.raises(NasError, match=r"paths=two: .* Use method.relaxation.paths=all") as error:
        check(GateRelaxation(cells, paths="two"), ArchStep(SGD, gradient=Clipped(1.0, MixedLevel())))
    assert "\n" not in str(error.value)
