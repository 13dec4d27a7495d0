"""nas.architecture.repair: changes of a genotype until its cost is low enough."""

from __future__ import annotations

import torch

from nas.architecture.repair import cheapest, repair
from tests.support.cost_tools import LinkCost, total_score
from tests.support.query_tools import CHOOSING, SmallSpace, all_genotypes


def test_repaired_genotype_is_allowed_and_keeps_most_of_the_score() -> None:
    space, cost = SmallSpace(CHOOSING), LinkCost(CHOOSING)
    every = list(all_genotypes(space))
    limit = sorted(map(cost, every))[len(every) // 3]
    for seed in range(5):
        scores = torch.rand(len(CHOOSING.edges), len(CHOOSING.ops), generator=torch.Generator().manual_seed(seed))
        found = repair(space.cells, {"cell": scores}, space.notation, lambda genotype: cost(genotype) / limit - 1)
        assert found is not None and cost(found) <= limit
        totals = sorted(total_score(CHOOSING, scores, one) for one in every if cost(one) <= limit)
        assert total_score(CHOOSING, scores, found) >= totals[int(0.75 * len(totals))]


def test_genotype_within_the_limit_is_unchanged() -> None:
    space = SmallSpace(CHOOSING)
    scores = torch.rand(len(CHOOSING.edges), len(CHOOSING.ops), generator=torch.Generator().manual_seed(0))
    found = repair(space.cells, {"cell": scores}, space.notation, lambda genotype: 0.0)
    best = max(all_genotypes(space), key=lambda one: total_score(CHOOSING, scores, one))
    assert found is not None and set(found.cells["cell"].links) == set(best.cells["cell"].links)


def test_no_genotype_if_no_change_helps() -> None:
    space = SmallSpace(CHOOSING)
    scores = {"cell": torch.zeros(len(CHOOSING.edges), len(CHOOSING.ops))}
    assert repair(space.cells, scores, space.notation, lambda genotype: 1.0) is None


def test_cheapest_finds_the_least_sum() -> None:
    space, cost = SmallSpace(CHOOSING), LinkCost(CHOOSING)
    assert cost(cheapest(space.cells, space.notation, cost)) == min(map(cost, all_genotypes(space)))
