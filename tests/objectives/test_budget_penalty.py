"""nas.objectives.budget_penalty: expected costs, costs of the derived genotype, multipliers."""

from __future__ import annotations

import copy
import random
from functools import partial

import pytest
import torch

import nas.choices
from nas.architecture.cell import EdgeWeights, Genotype
from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.objectives.budget_penalty import BudgetPenalty
from nas.relaxations.base import Relaxation
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.sigmoid import Sigmoid
from nas.relaxations.single_path import SinglePath
from nas.relaxations.softmax import Softmax
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.limits import Limit, Limits
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.network_cost import network_costs
from tests.support.choice_models import Net

SHAPE = (3, 16, 16)
NB201 = NasBench201(SHAPE, 10)
DARTS = Darts(SHAPE, 10)
SIZES = {"darts": {"channels": 4, "layers": 3, "auxiliary": False}}


def penalty_limits(space: Space, share: float = 0.5) -> list[Limit]:
    costs = network_costs(space, **SIZES.get(space.name, {}))
    sampled = [space.sample(random.Random(seed)) for seed in range(20)]
    return [Limit(cost, sorted(map(cost, sampled))[int(share * 19)]) for cost in costs]


def penalty_of(space: Space, share: float = 0.5) -> BudgetPenalty:
    return BudgetPenalty(Limits(space, penalty_limits(space, share)))


@pytest.mark.parametrize("space", [NB201, DARTS], ids=["nas_bench_201", "darts"])
def test_expected_cost_of_uniform_weights_is_the_mean_over_the_space(space: Space) -> None:
    penalty = penalty_of(space)
    arch = {
        name: EdgeWeights((one := cell.allowed().double()) / one.sum(-1, keepdim=True), one.bool().tolist())
        for name, cell in space.cells.items()
    }
    limits = Limits(space, penalty_limits(space))
    assert limits.additive is not None
    sampled = [space.sample(random.Random(seed)) for seed in range(1000)]
    means = [
        sum(map(cost, sampled)) / len(sampled) / limit.value
        for cost, limit in zip(limits.additive, limits.limits, strict=True)
    ]
    assert penalty.expected(arch).tolist() == pytest.approx(means, rel=0.03)


@pytest.mark.parametrize("space", [NB201, DARTS], ids=["nas_bench_201", "darts"])
def test_one_hot_and_derived_costs_are_those_of_the_network(space: Space) -> None:
    penalty, limits = penalty_of(space), penalty_limits(space)
    for seed in range(5):
        genotype = space.sample(random.Random(seed))
        exact = [limit.cost(genotype) / limit.value for limit in limits]
        assert penalty.expected(space.encode(genotype)).tolist() == pytest.approx(exact, rel=1e-4)
        relaxation = Softmax(space.cells, init_std=1.0)
        masks = Masks(space.cells)
        cells = relaxation.mode(masks, dict.fromkeys(space.cells, discretize))
        exact = [limit.cost(Genotype(space.notation, cells)) / limit.value for limit in limits]
        assert penalty.derived(relaxation, masks).tolist() == pytest.approx(exact, rel=1e-4)


def test_edge_weights_divide_the_links_of_a_node() -> None:
    penalty, masks = penalty_of(DARTS), Masks(DARTS.cells)
    relaxation = EdgeNormalized(DARTS.cells, Softmax, init_std=0.0)
    plain = penalty.expected(Softmax.sample(relaxation.ops, masks))  # type: ignore[arg-type]
    assert penalty.expected(relaxation.sample(masks)).tolist() == pytest.approx(plain.tolist(), rel=1e-5)
    with torch.no_grad():
        relaxation.alpha["normal"][-1, -1] = 3.0
    before = penalty.expected(relaxation.sample(masks))
    with torch.no_grad():
        relaxation.beta["normal"][-1] = 2.0
    assert bool((penalty.expected(relaxation.sample(masks)) > before * 1.002).all())
    relaxed = penalty.expected(relaxation.sample(masks)).sum()
    assert torch.autograd.grad(relaxed, relaxation.beta["normal"])[0].abs().sum() > 0


@pytest.mark.parametrize(
    "build", [Softmax, Sigmoid, Dirichlet, SinglePath, partial(Gumbel, hard=True), partial(Gumbel, hard=False)]
)
def test_descent_lowers_the_derived_cost_until_it_is_within_the_limit(build: type[Relaxation]) -> None:
    torch.manual_seed(0)
    relaxation, masks = build(NB201.cells), Masks(NB201.cells)
    with torch.no_grad():
        relaxation.alpha["cell"][:, NB201.cells["cell"].ops.index("nor_conv_3x3")] += 1.0
    penalty = penalty_of(NB201, share=0.1)
    start = penalty.derived(relaxation, masks)
    optimizer = torch.optim.Adam(relaxation.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        penalty(relaxation.sample(masks), relaxation, masks).backward()
        optimizer.step()
        penalty.finish_step(relaxation, masks)
    end = penalty.derived(relaxation, masks)
    assert bool((start > 1).all()) and bool((end <= 1).all())


def test_multipliers_follow_the_violation_and_stay_positive() -> None:
    penalty = penalty_of(NB201)
    penalty.ascend(torch.tensor([0.5, -0.5]))
    assert penalty.multipliers.tolist() == pytest.approx([0.005, 0.0])
    penalty.ascend(torch.tensor([-0.2, 1.0]))
    assert penalty.multipliers.tolist() == pytest.approx([0.003, 0.01])
    assert penalty.diagnostics() == {
        "multiplier_parameters": pytest.approx(0.003),
        "multiplier_macs": pytest.approx(0.01),
    }
    other = penalty_of(NB201)
    other.load_state_dict(copy.deepcopy(penalty.state_dict()))
    assert torch.equal(other.multipliers, penalty.multipliers)
    assert set(penalty.state_dict()) == {"multipliers"}


def test_costs_that_are_no_sums_are_approximated() -> None:
    space = nas.choices.space(Net, (3, 8, 8), 10)
    _, macs = network_costs(space)
    sampled = [space.sample(random.Random(seed)) for seed in range(40)]
    limit = sorted(map(macs, sampled))[20]
    penalty = BudgetPenalty(Limits(space, [Limit(macs, limit)]))
    expected = [float(penalty.expected(space.encode(genotype))[0]) for genotype in sampled]
    exact = [macs(genotype) / limit for genotype in sampled]
    assert float(torch.corrcoef(torch.tensor([expected, exact]))[0, 1]) > 0.9
