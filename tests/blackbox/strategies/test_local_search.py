"""Local search against brute force."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from nas.blackbox.mutations import neighbors
from nas.blackbox.strategies.local_search import LocalSearch
from tests.support.query_tools import CHAIN, CHOOSING, SmallSpace, value_of


@pytest.mark.parametrize("cell", [CHAIN, CHOOSING], ids=["all_edges", "selected_edges"])
def test_local_search_reaches_optimum_of_hill_climbing(cell: object) -> None:
    space = SmallSpace(cell)  # type: ignore[arg-type]
    rng, strategy = random.Random(3), LocalSearch(space)
    starts, asked = [], []
    while len(strategy.optima) < 8:
        before = len(strategy.optima)
        genotype = strategy.ask(rng)
        if len(strategy.optima) > before or not asked:
            starts.append(genotype)
        asked.append(genotype)
        strategy.tell(genotype, value_of(genotype))
    for start, optimum in zip(starts, strategy.optima, strict=False):
        current = start
        while (best := max(neighbors(space, current), key=value_of)) and value_of(best) > value_of(current):
            current = best
        assert current == optimum
    again = [g for g, count in Counter(asked).items() if count > 1]
    assert set(again) <= set(starts), "only random starts may repeat"
