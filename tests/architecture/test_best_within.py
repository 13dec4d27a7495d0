"""nas.architecture.best_within: dynamic programming against brute force."""

from __future__ import annotations

import pytest
import torch

from nas.architecture import best_within as module
from nas.architecture.additive_cost import AdditiveCost, fit_additive_cost
from nas.architecture.best_within import best_within, least_cost
from nas.architecture.cell import Cell, Genotype
from tests.support.cost_tools import LinkCost, total_score
from tests.support.query_tools import CHAIN, CHOOSING, SmallSpace, all_genotypes


def parts(cell: Cell, count: int) -> tuple[SmallSpace, list[LinkCost], list[AdditiveCost]]:
    space = SmallSpace(cell)
    costs = [LinkCost(cell, seed) for seed in range(count)]
    fitted = [fit_additive_cost(cost, space.cells, space.notation) for cost in costs]
    return space, costs, [one for one in fitted if one is not None]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("cell", [CHAIN, CHOOSING], ids=["chain", "choosing"])
def test_best_genotype_equals_that_of_brute_force(cell: Cell, count: int) -> None:
    space, costs, fitted = parts(cell, count)
    every = list(all_genotypes(space))
    for seed in range(8):
        scores = torch.randn(len(cell.edges), len(cell.ops), generator=torch.Generator().manual_seed(seed)).double()
        share = (0.1, 0.3, 0.6, 1.0)[seed % 4]
        limits = [sorted(map(cost, every))[int(share * (len(every) - 1))] for cost in costs]
        allowed = [g for g in every if all(cost(g) <= limit for cost, limit in zip(costs, limits, strict=True))]
        found = best_within(space.cells, {"cell": scores}, fitted, limits)
        if not allowed:
            assert found is None
            continue
        assert found is not None
        genotype = Genotype(space.notation, found)
        assert genotype in allowed
        best = max(total_score(cell, scores, one) for one in allowed)
        assert total_score(cell, scores, genotype) == pytest.approx(best)


def test_no_genotype_below_the_least_cost() -> None:
    space, (cost,), fitted = parts(CHOOSING, 1)
    least = min(map(cost, all_genotypes(space)))
    scores = {"cell": torch.zeros(len(CHOOSING.edges), len(CHOOSING.ops))}
    assert least_cost(space.cells, fitted[0]) == pytest.approx(least)
    assert best_within(space.cells, scores, fitted, [least]) is not None
    assert best_within(space.cells, scores, fitted, [least - 1]) is None


def test_masked_entries_are_not_chosen() -> None:
    space, (cost,), fitted = parts(CHAIN, 1)
    mask = [[op != "b" for op in CHAIN.ops] for _ in CHAIN.edges]
    scores = torch.zeros(len(CHAIN.edges), len(CHAIN.ops))
    scores[:, CHAIN.ops.index("b")] = 1.0
    found = best_within({"cell": CHAIN.masked(mask)}, {"cell": scores}, fitted, [1e9])
    assert found is not None and all(link.op != "b" for link in found["cell"].links)


@pytest.mark.parametrize("count", [1, 2])
def test_thinned_states_stay_within_the_limits(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STATES", 4)
    space, costs, fitted = parts(CHOOSING, count)
    every = list(all_genotypes(space))
    limits = [sorted(map(cost, every))[len(every) // 2] for cost in costs]
    scores = torch.randn(len(CHOOSING.edges), len(CHOOSING.ops), generator=torch.Generator().manual_seed(0))
    found = best_within(space.cells, {"cell": scores}, fitted, limits)
    assert found is not None
    genotype = Genotype(space.notation, found)
    assert all(cost(genotype) <= limit for cost, limit in zip(costs, limits, strict=True))
