"""Tests of the evolution under a limit on multiply-adds."""

from __future__ import annotations

import random

import pytest

from nas.architecture.cell import Genotype
from nas.blackbox.strategies.constrained_evolution import ConstrainedEvolution
from nas.nn.macs import count_macs
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.single_path.chain import chain_ops
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.utils.errors import NasError

SPACE = MobileNetV2Space((3, 8, 8), 10, widths=(8,), depths=(6,), strides=(1,), stem_width=4, first_width=8, head=8)


def value_of(genotype: Genotype) -> float:
    """Return the number of large kernels."""
    return float(sum("7x7" in op for op in chain_ops(genotype)))


def next_of(strategy: ConstrainedEvolution, rng: random.Random) -> Genotype:
    genotype = strategy.ask(rng)
    assert genotype is not None
    return genotype


def run(strategy: ConstrainedEvolution, count: int, seed: int = 0) -> list[Genotype]:
    rng = random.Random(seed)
    asked: list[Genotype] = []
    for _ in range(count):
        asked.append(next_of(strategy, rng))
        strategy.tell(asked[-1], value_of(asked[-1]))
    return asked


def test_no_genotype_is_repeated_or_above_the_limit() -> None:
    limit = SPACE.macs(SPACE.parse("mobile:" + "-".join(["k5e3"] * 6)))
    strategy = ConstrainedEvolution(SPACE, 20, 5, 8, 8, max_macs=limit)
    asked = run(strategy, 100)
    assert len(set(asked)) == 100 and max(map(SPACE.macs, asked)) <= limit
    assert len(strategy.rounds) == 4 and len(strategy.members) == 20, "the last population is not ranked"
    assert any(SPACE.macs(genotype) > limit for genotype in run(ConstrainedEvolution(SPACE, 20, 5, 8, 8), 40))


def test_later_rounds_are_better() -> None:
    strategy = ConstrainedEvolution(SPACE, 20, 5, 8, 8)
    asked = run(strategy, 120)
    means = [sum(map(value_of, asked[i : i + 20])) / 20 for i in range(0, 120, 20)]
    assert means[-1] > means[0] + 1
    keys = [one.key for one in strategy.ranked]
    assert keys == sorted(keys) and len(keys) == 100


def test_ties_are_ordered_by_the_second_number() -> None:
    strategy = ConstrainedEvolution(SPACE, 10, 3, 0, 0)
    rng = random.Random(0)
    for number in range(11):
        strategy.tell_result(next_of(strategy, rng), 1.0, float(number % 4))
    assert [one.key for one in strategy.ranked[:3]] == [(-1.0, -3.0), (-1.0, -3.0), (-1.0, -2.0)]


def test_mutations_change_genes_with_the_given_probability() -> None:
    strategy = ConstrainedEvolution(SPACE, 30, 1, 25, 0, gene_probability=0.2)
    run(strategy, 120)
    changed = []
    for before, after in zip(strategy.rounds, strategy.rounds[1:], strict=False):
        (parent,) = before.parents
        changed += [sum(a != b for a, b in zip(parent, child, strict=True)) for child in after.population[:20]]
    assert min(changed) >= 1, "an unchanged candidate is known"
    assert sum(changed) / len(changed) < 2.5, "random candidates differ in about five genes"


def test_it_runs_on_every_kind_of_space() -> None:
    bench = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
    genotype = bench.from_index(1234)
    assert bench.macs(genotype) == count_macs(bench.network(genotype, channels=4, cells_per_stage=1), bench.shape)
    strategy, rng = ConstrainedEvolution(bench, 4, 2, 2, 2, max_macs=1.5e5), random.Random(0)
    for number in range(9):
        strategy.tell(next_of(strategy, rng), float(number))
    cells = ConstrainedEvolution(Darts((3, 8, 8), 10), 4, 2, 2, 2)
    for number in range(9):
        genotype = next_of(cells, rng)
        cells.space.check(genotype)
        cells.tell(genotype, float(number))


def test_a_round_waits_for_all_values_of_the_last_one() -> None:
    """Values may arrive in any order; the candidates are those of a sequential search."""
    strategy, rng = ConstrainedEvolution(SPACE, 6, 2, 2, 2), random.Random(0)
    first = [next_of(strategy, rng) for _ in range(6)]
    state = rng.getstate()
    for genotype in reversed(first[1:]):
        strategy.tell(genotype, value_of(genotype))
        assert strategy.ask(rng) is None and rng.getstate() == state
    strategy.tell(first[0], value_of(first[0]))
    assert [*first, next_of(strategy, rng)] == run(ConstrainedEvolution(SPACE, 6, 2, 2, 2), 7)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(NasError, match="mutations=30 and crossovers=25 exceed population=50"):
        ConstrainedEvolution(SPACE, mutations=30)
    with pytest.raises(NasError, match="method.strategy.max_macs=1.0: .* Increase it"):
        ConstrainedEvolution(SPACE, max_macs=1.0).ask(random.Random(0))
