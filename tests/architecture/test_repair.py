"""nas.architecture.repair: changes of a genotype until its cost is low enough."""

from __future__ import annotations

import pytest
import torch

from nas.architecture.cell import Genotype
from nas.architecture.repair import cheapest, repair
from tests.support.cost_tools import LinkCost, total_score
from tests.support.query_tools import CHAIN, CHOOSING, SmallSpace, all_genotypes


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


class Barrier:
    """A cost that is lowest where two edges change together, and infinite after one of these changes."""

    def __init__(self, least: Genotype) -> None:
        self.least = [link.op for link in least.cells["cell"].links]

    def __call__(self, genotype: Genotype) -> float:
        ops = [link.op for link in genotype.cells["cell"].links]
        wrong = sum(a != b for a, b in zip(ops, self.least, strict=True))
        return float("inf") if wrong == 1 else float(wrong)


def test_cheapest_changes_two_nodes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SmallSpace(CHAIN)
    every = sorted(all_genotypes(space), key=space.native)
    for least in every[::7]:
        assert cheapest(space.cells, space.notation, Barrier(least)) == least
    monkeypatch.setattr("nas.architecture.repair.MAX_PAIRS", 3)
    barrier = Barrier(every[0])
    assert barrier(every[-1]) == 3, "the descent begins with none on all edges"
    assert barrier(cheapest(space.cells, space.notation, barrier)) == 2


def test_cheapest_begins_at_all_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.architecture.repair.MAX_PAIRS", 0)
    space = SmallSpace(CHAIN)
    every = sorted(all_genotypes(space), key=space.native)
    cost = Barrier(every[-1])
    far = [one for one in every if 2 <= cost(one) < float("inf")]
    assert cost(cheapest(space.cells, space.notation, cost, far[:2])) == 2
    assert cheapest(space.cells, space.notation, cost, [every[0], every[-1]]) == every[-1]
