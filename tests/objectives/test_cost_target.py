"""nas.objectives.cost_target: the three forms against their formulas, and refused options."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.architecture.masks import Masks
from nas.objectives.cost_target import CostTarget
from nas.relaxations.binary_gates import GateRelaxation
from nas.spaces.network_cost import network_costs
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.utils.errors import NasError

SPACE = MobileNetV2Space(
    (3, 8, 8), 10, widths=[8, 12], depths=[1, 2], strides=[2, 1], stem_width=4, first_width=4, head=8,
    ops=["mbconv3_3x3", "mbconv6_5x5", "skip_connect"],
)  # fmt: skip


class TwoLevels:
    """1 ms per link, and 3 ms for each other expansion."""

    name, unit = "latency_ms", "ms"

    def __call__(self, genotype: Any) -> float:
        (cell,) = genotype.cells.values()
        return 1.0 + sum(4.0 if link.op == "mbconv6_5x5" else 1.0 for link in cell.links)


def built(**options: Any) -> tuple[CostTarget, GateRelaxation, Masks]:
    torch.manual_seed(0)
    target = CostTarget(cost="latency_ms", target=5.0, **options)
    target.use(SPACE, TwoLevels())
    return target, GateRelaxation(SPACE.cells, init_std=1.0), Masks(SPACE.cells)


def expected(alpha: Mapping[str, Tensor]) -> Tensor:
    """Return the mean of ``TwoLevels`` over all genotypes of the chain, weighted by their probabilities."""
    ((name, cell),) = SPACE.cells.items()
    rows = [[column for column, on in enumerate(row) if on] for row in cell.allowed().tolist()]
    p = [alpha[name][e].double()[columns].softmax(-1) for e, columns in enumerate(rows)]
    total = torch.zeros((), dtype=torch.float64)
    for choice in itertools.product(*(range(len(columns)) for columns in rows)):
        ops = [cell.ops[rows[e][k]] for e, k in enumerate(choice)]
        probability = torch.stack([p[e][k] for e, k in enumerate(choice)]).prod()
        total = total + probability * (1.0 + sum(4.0 if op == "mbconv6_5x5" else 1.0 for op in ops))
    return total


@pytest.mark.parametrize("form", ["multiply", "add"])
@pytest.mark.parametrize("given", [False, True])
def test_loss_matches_the_formula_with_its_gradient(form: Any, given: bool) -> None:
    options = {"multiply": {"weight": 0.7, "exponent": 1.3}, "add": {"weight": 0.7}}[form] if given else {}
    target, relaxation, masks = built(form=form, **options)
    weight = options.get("weight", {"multiply": 0.2, "add": 0.1}[form])
    exponent = options.get("exponent", 0.3)
    loss = torch.tensor(2.0, requires_grad=True)
    cost = expected(relaxation.alpha)
    if form == "multiply":
        wanted = weight * loss.double() * (cost.log() / math.log(5.0)) ** exponent
    else:
        wanted = loss.double() + weight * (cost - 5.0) / 5.0
    found = target.loss(loss, relaxation, masks)
    inputs = [loss, *relaxation.parameters()]
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)
    for one, other in zip(torch.autograd.grad(found, inputs), torch.autograd.grad(wanted, inputs), strict=True):
        assert float(other.abs().max()) > 1e-3
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_masked_ops_do_not_count() -> None:
    target, relaxation, masks = built(form="add")
    ((name, cell),) = SPACE.cells.items()
    masks.restrict(name, torch.tensor([[op == "mbconv6_5x5" for op in cell.ops]] * len(cell.edges)))
    found = target.loss(torch.zeros(()), relaxation, masks)
    assert float(found.detach()) == pytest.approx(0.1 * (1.0 + 4.0 * len(cell.edges) - 5.0) / 5.0, rel=1e-5)


def test_reward_uses_the_cost_of_the_sample_and_has_no_gradient() -> None:
    target, relaxation, masks = built(form="reward")
    seen = set()
    for _ in range(20):
        arch = relaxation.sample(masks)
        (cell,), (weights,) = SPACE.cells.values(), arch.values()
        ops = [cell.ops[int(column)] for column in weights.op.argmax(-1)]
        cost = 1.0 + sum(4.0 if op == "mbconv6_5x5" else 1.0 for op in ops)
        found = target.reward(torch.tensor(50.0), arch)
        assert float(found) == pytest.approx(50 * (5.0 / cost) ** 0.1, rel=1e-5) and not found.requires_grad
        seen.add(round(float(found), 4))
    assert len(seen) > 1
    loss = torch.tensor(1.0)
    assert target.loss(loss, relaxation, masks) is loss


def test_costs_are_those_of_the_network() -> None:
    target = CostTarget("macs", 1e6, "add")
    macs = next(cost for cost in network_costs(SPACE) if cost.name == "macs")
    target.use(SPACE, macs)
    for seed in range(5):
        genotype = SPACE.sample(random.Random(seed))
        arch = SPACE.encode(genotype, like=torch.zeros(()))
        assert float(target.expected(arch)[0]) == pytest.approx(macs(genotype), rel=1e-5)
    assert not target.state_dict() and isinstance(target, nn.Module)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "divide"}, "CostTarget: form=divide: unknown"),
        ({"form": "add", "exponent": 0.3}, "exponent=0.3: form=add has no such option"),
        ({"form": "reward", "weight": 0.3}, "weight=0.3: form=reward has no such option"),
        ({"target": 0.0}, "target"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message):
        CostTarget(**options)


def test_logarithm_needs_costs_above_one() -> None:
    with pytest.raises(NasError, match=r"above 1 ms, but the lowest cost is 4 and the target 0.5. Use .*form=add"):
        CostTarget("latency_ms", 0.5).use(SPACE, TwoLevels())


def test_cost_must_be_set() -> None:
    relaxation = GateRelaxation(SPACE.cells)
    with pytest.raises(NasError, match="the cost is not set"):
        CostTarget("macs", 3e8).loss(torch.ones(()), relaxation, Masks(SPACE.cells))
