"""Tests of sigmoid gates and the zero-one loss (FairDARTS)."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.relaxations.sigmoid import Sigmoid

SMALL: dict[str, Cell] = {
    "normal": Cell(((0, 2), (1, 2), (0, 3)), ("a", "b", "c"), (2, 3)),
    "reduce": Cell(((0, 2), (1, 2)), ("a", "b", "c"), (2,), excluded=frozenset({(0, "b"), (1, "a"), (1, "c")})),
}


def build_gates(norm: Any = "l2") -> Sigmoid:
    torch.manual_seed(0)
    relaxation = Sigmoid(SMALL, norm, zero_one_weight=10.0).double()
    for alpha in relaxation.alpha.values():
        alpha.data.normal_(0, 2)
    return relaxation


def test_sigmoid_gates_start_at_one_half_and_are_independent() -> None:
    masks = Masks(SMALL)
    start = Sigmoid(SMALL)
    for name, weights in start.sample(masks).items():
        assert torch.equal(weights.op, 0.5 * SMALL[name].allowed())
    torch.testing.assert_close(start.entropy(masks), torch.tensor(math.log(2)))
    relaxation = build_gates()
    alpha = relaxation.alpha["normal"]
    jacobian = torch.autograd.functional.jacobian(lambda a: relaxation.relax(a, masks.table("normal"))[0], alpha)
    diagonal = torch.diag(jacobian.reshape(9, 9))
    torch.testing.assert_close(jacobian.reshape(9, 9), torch.diag(diagonal))
    torch.testing.assert_close(diagonal, (1 / (2 + alpha.exp() + (-alpha).exp())).flatten().detach())


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_sigmoid_zero_one_loss_and_gradient(norm: str) -> None:
    """Compare the mean over the allowed gates of both cells, and its gradient, with explicit sums."""
    relaxation = build_gates(norm)
    values, entries = [], []
    for name, cell in SMALL.items():
        for e, op in itertools.product(range(len(cell.edges)), cell.ops):
            if (e, op) not in cell.excluded:
                entries.append((name, e, cell.ops.index(op)))
                values.append(1 / (1 + math.exp(-relaxation.alpha[name][e, cell.ops.index(op)].item())))
    assert len(values) == 12
    loss = [(s - 0.5) ** 2 if norm == "l2" else abs(s - 0.5) for s in values]
    penalty = relaxation.penalty()
    assert math.isclose(float(penalty), -10 * sum(loss) / 12, rel_tol=1e-12)
    found = torch.autograd.grad(penalty, list(relaxation.alpha.values()))
    gradient = dict(zip(relaxation.alpha, found, strict=True))
    for (name, e, o), s in zip(entries, values, strict=True):
        slope = 2 * (s - 0.5) if norm == "l2" else math.copysign(1, s - 0.5)
        assert math.isclose(float(gradient[name][e, o]), -10 / 12 * slope * s * (1 - s), rel_tol=1e-9)
    assert float(gradient["reduce"][0, 1]) == float(gradient["reduce"][1, 0]) == 0
