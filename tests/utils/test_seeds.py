"""Seeds of positions in a run."""

from __future__ import annotations

import itertools

from nas.utils.seeds import derive_seed


def test_seeds_differ_for_all_positions() -> None:
    """Neither order, sums, nor the types of the parts collide."""
    positions: list[tuple[int | str, ...]] = list(itertools.product(range(6), repeat=3))
    positions += [*itertools.product(range(6), repeat=2), ("1", 2, 3), ("a", 1), (1, "a"), (12, 3), (1, 23)]
    seeds = [derive_seed(*position) for position in positions]
    assert len(set(seeds)) == len(positions) and all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_are_the_same_in_every_process() -> None:
    """A checkpoint of an earlier version continues with the same random numbers."""
    assert derive_seed("training", 0, 1, 2, 3) == 8998669852863731166
