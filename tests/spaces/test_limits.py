"""nas.spaces.limits: limits in all spaces, and the best genotypes within them."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from torch import Tensor

import nas.choices
from nas.architecture.cell import Genotype
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.limits import Limit, Limits
from nas.spaces.nas_bench_101.space import NasBench101
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.network_cost import network_costs
from nas.spaces.trans_nas_bench_101.macro import TransNasBench101Macro
from nas.utils.errors import NasError
from tests.spaces.test_network_cost import CASES, SHAPE
from tests.support.choice_models import Net
from tests.support.cost_tools import total_score
from tests.support.query_tools import CHAIN, SmallSpace

NB201 = NasBench201(SHAPE, 10)


def scores_of(space: Space, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(len(cell.edges), len(cell.ops), generator=generator) for name, cell in space.cells.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_best_genotype_is_within_all_limits(name: str) -> None:
    space, options = CASES[name]
    costs = network_costs(space, **options)
    sampled = [space.sample(random.Random(seed)) for seed in range(9)]
    limits = Limits(space, [Limit(cost, sorted(map(cost, sampled))[4]) for cost in costs])
    for seed in range(3):
        found = limits.best(scores_of(space, seed))
        assert found is not None
        space.check(found)
        assert limits.allows(found)
        assert all(cost(found) <= limit.value for cost, limit in zip(costs, limits.limits, strict=True))
    assert limits.allows(limits.sample(random.Random(0)))
    report = limits.report(sampled[0])
    assert report["macs"] == {"value": costs[1](sampled[0]), "limit": limits.limits[1].value}


def test_best_of_nas_bench_201_equals_enumeration() -> None:
    parameters, macs = network_costs(NB201)
    limits = Limits(NB201, [Limit(macs, 15e6), Limit(parameters, 3e5)])
    scores = scores_of(NB201)
    allowed = [one for one in map(NB201.from_index, range(15_625)) if macs(one) <= 15e6 and parameters(one) <= 3e5]
    best = max(total_score(NB201.cells["cell"], scores["cell"], one) for one in allowed)
    found = limits.best(scores)
    assert found in allowed
    assert total_score(NB201.cells["cell"], scores["cell"], found) == pytest.approx(best)


def test_best_of_sizes_equals_enumeration() -> None:
    space = NatsSize(SHAPE, 10, widths=(8, 16, 24))
    _, macs = network_costs(space)
    every = list(map(space.from_index, range(3**5)))
    limit = sorted(map(macs, every))[60]
    limits = Limits(space, [Limit(macs, limit)])
    assert limits.additive is None
    scores = scores_of(space)
    best = max(total_score(space.cells["cell"], scores["cell"], one) for one in every if macs(one) <= limit)
    found = limits.best(scores)
    assert found is not None and macs(found) <= limit
    assert total_score(space.cells["cell"], scores["cell"], found) == pytest.approx(best)


def test_a_limit_below_all_genotypes_names_the_least_cost() -> None:
    parameters, macs = network_costs(NB201)
    least = min(macs(NB201.from_index(index)) for index in range(0, 15_625, 1))
    with pytest.raises(NasError, match=f"^budget.macs=1000: every genotype of space=nas_bench_201 .* {least:,.0f} mul"):
        Limits(NB201, [Limit(macs, 1000.0)])
    Limits(NB201, [Limit(macs, least)])
    model = nas.choices.space(Net, SHAPE, 10)
    with pytest.raises(NasError, match="^budget.parameters=10: .* parameters"):
        Limits(model, [Limit(network_costs(model)[0], 10.0)])


class Rare:
    """A cost that is the number of convolutions, except for genotypes with two given links."""

    name, unit = "rare", "units"

    def __call__(self, genotype: Genotype) -> float:
        ops = [link.op for link in genotype.cells["cell"].links]
        return 1.0 + sum(op == "nor_conv_3x3" for op in ops) + 10 * (ops[0] == ops[1] == "avg_pool_3x3")


def test_a_cost_that_is_rarely_no_sum_stays_within_its_limit(caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(NB201, [Limit(Rare(), 4.0)])
    assert limits.additive is not None  # random genotypes have not shown the difference
    cell = NB201.cells["cell"]
    scores = {"cell": torch.zeros(6, 5)}
    scores["cell"][:2, cell.ops.index("avg_pool_3x3")] = 1.0
    with caplog.at_level("INFO", "nas.spaces.limits"):
        found = limits.best(scores)
    assert found is not None and Rare()(found) <= 4.0 and total_score(cell, scores["cell"], found) == 1.0
    assert limits.additive is None and caplog.text.count("rare is not a sum over links") == 1


class Opposite:
    """A cost that falls with the multiply-adds."""

    name, unit = "opposite", "units"

    def __call__(self, genotype: object) -> float:
        return 1e9 - network_costs(NB201)[1](genotype)  # type: ignore[arg-type]


def test_limits_that_exclude_each_other_are_refused() -> None:
    _, macs = network_costs(NB201)
    least = min(macs(NB201.from_index(index)) for index in range(0, 15_625, 5))
    with pytest.raises(NasError, match="budget.opposite=.*: no genotype of space=nas_bench_201 meets all"):
        Limits(NB201, [Limit(macs, least * 1.01), Limit(Opposite(), 1e9 - least * 2)])


class Trap:
    """A cost that is lowest without ops, and that no change of a single link of other ops lowers to it."""

    name, unit = "trap", "units"

    def __call__(self, genotype: Genotype) -> float:
        ops = [link.op for link in genotype.cells["cell"].links]
        return 1.0 if set(ops) == {"none"} else 5.0 + 2 * ops.count("a") ** 2


def test_the_cheapest_genotype_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.spaces.limits.MAX_RANKED", 1)
    space = SmallSpace(CHAIN)
    space.size = None
    limits = Limits(space, [Limit(Trap(), 2.0)])
    scores = {"cell": torch.tensor([[0.0, 1.0, 2.0, 3.0]] * 3)}
    found = limits.best(scores)
    assert found is not None and limits.allows(found)
    assert limits.best(scores, {"cell": CHAIN.masked([[False, True, True, False]] * 3)}) is None


def test_limits_of_a_space_that_admits_few_of_its_cells() -> None:
    space = NasBench101(SHAPE, 10)
    parameters, macs = network_costs(space, channels=4, cells_per_stage=1)
    sampled = [space.sample(random.Random(seed)) for seed in range(9)]
    limits = Limits(space, [Limit(cost, sorted(map(cost, sampled))[4]) for cost in (parameters, macs)])
    found = [limits.sample(random.Random(seed)) for seed in range(3)]
    assert all(map(space.admits, found)) and all(map(limits.allows, found))
    assert not all(map(limits.allows, sampled))
    best = limits.best(scores_of(space))
    assert best is not None and limits.allows(best)
    pattern = r"^budget.parameters=10: no genotype of space=nas_bench_101 was found with fewer than (\d+) parameters"
    with pytest.raises(NasError, match=pattern) as error:
        Limits(space, [Limit(parameters, 10.0)])
    least = float(str(error.value).split("fewer than ")[1].split()[0])
    path = space.parse("ModelSpec(matrix=[[0, 1], [0, 0]], ops=['input', 'output'])")
    assert least < min(*map(parameters, sampled), parameters(path))
    tight = Limits(space, [Limit(parameters, least)])
    assert tight.feasible is not None and tight.allows(tight.feasible) and parameters(tight.feasible) == least


@pytest.mark.slow
def test_the_smallest_skeleton_is_feasible() -> None:
    space = TransNasBench101Macro(SHAPE, 10)
    parameters, _ = network_costs(space, channels=4, cells_per_stage=1)
    smallest = space.parse("64-1114-basic")
    least = parameters(smallest)
    assert Limits(space, [Limit(parameters, least)]).feasible == smallest
    with pytest.raises(NasError, match=f"^budget.parameters=.* was found with fewer than {least:,.0f} parameters"):
        Limits(space, [Limit(parameters, least - 1)])


@pytest.mark.slow
def test_the_cheapest_skeleton_equals_enumeration() -> None:
    space = TransNasBench101Macro(SHAPE, 10)
    digits = [text for size in (4, 5, 6) for text in itertools.product("1234", repeat=size)]
    every = [space.parse(f"64-{''.join(text)}-basic") for text in digits]
    admitted = list(filter(space.admits, every))
    assert len(admitted) == 3256
    for cost in network_costs(space, channels=4, cells_per_stage=1):
        least = min(map(cost, admitted))
        feasible = Limits(space, [Limit(cost, least)]).feasible
        assert feasible is not None and cost(feasible) == least


def test_sampling_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _, macs = network_costs(NB201)
    limits = Limits(NB201, [Limit(macs, 1e7)])
    monkeypatch.setattr(limits, "allows", lambda genotype: False)
    with pytest.raises(NasError, match="^budget.macs=1e.07: 10000 sampled genotypes .* in a row"):
        limits.sample(random.Random(0))


def test_genotypes_with_other_outputs_are_counted() -> None:
    space = Darts(SHAPE, 10)
    _, macs = network_costs(space, channels=4, layers=3, auxiliary=False)
    genotype = space.sample(random.Random(0))
    limits = Limits(space, [Limit(macs, macs(genotype))])
    normal = genotype.cells["normal"]
    kept = tuple(link for link in normal.links if link.target != 5 and link.source != 5)
    fewer = type(genotype)(space.notation, {**genotype.cells, "normal": type(normal)(kept, (2, 3, 4))})
    assert limits.allows(fewer) == (macs(fewer) <= macs(genotype))
