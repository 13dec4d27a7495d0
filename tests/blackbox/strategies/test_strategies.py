"""Strategies against brute force, closed forms and counts."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Literal

import pytest
import torch
from scipy import stats

from nas.architecture.cell import Genotype
from nas.blackbox.encoding import Decisions
from nas.blackbox.mutations import mutate, neighbors
from nas.blackbox.strategies.bohb import Bohb
from nas.blackbox.strategies.local_search import LocalSearch
from nas.blackbox.strategies.regularized_evolution import RegularizedEvolution
from nas.blackbox.strategies.reinforce import Reinforce
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.query_tools import CHAIN, CHOOSING, Small, darts, every, sampled, value_of

NB201 = NasBench201((3, 32, 32), 10)
SPACES = ["darts", "darts_s1", "darts_s2", "darts_s3", "darts_s4"]


def uniform(counts: Counter[Genotype], choices: int) -> bool:
    """Whether counts may well be draws from a uniform distribution over ``choices``."""
    found = list(counts.values()) + [0] * (choices - len(counts))
    return bool(stats.chisquare(found).pvalue > 1e-4)


def edges(genotype: Genotype) -> frozenset[tuple[int, int]]:
    """The edges that a genotype of one cell takes."""
    return frozenset((link.source, link.target) for link in genotype.cells["cell"].links)


def distance(first: Genotype, second: Genotype) -> int:
    """How many links differ: op or edge."""
    return sum(len(set(c.links) - set(second.cells[name].links)) for name, c in first.cells.items())


@pytest.mark.parametrize("cell", [CHAIN, CHOOSING], ids=["all edges", "chosen edges"])
def test_neighbors_are_the_genotypes_with_one_other_link(cell: object) -> None:
    space = Small(cell)  # type: ignore[arg-type]
    everything = every(space)
    for genotype in sampled(space, 20):
        found = list(neighbors(space, genotype))
        assert len(found) == len(set(found)) and set(found) <= everything
        near = {other for other in everything if distance(genotype, other) == 1}
        # An edge that moves takes its op along where it can: then other ops on the new edge are two changes.
        assert set(found) <= near
        assert {other for other in near if edges(other) == edges(genotype)} <= set(found)
        assert {edges(other) for other in near} <= {edges(other) for other in found} | {edges(genotype)}


def test_mutation_is_uniform_over_edges_and_other_ops() -> None:
    rng = random.Random(0)
    genotype = next(sampled(NB201, 1))
    counts = Counter(mutate(NB201, genotype, rng) for _ in range(6000))
    assert set(counts) == set(neighbors(NB201, genotype)) and len(counts) == 6 * 4
    assert uniform(counts, 24)


def test_mutation_by_node_draws_the_node_first() -> None:
    rng = random.Random(0)
    genotype = next(sampled(NB201, 1))
    changed: Counter[tuple[int, int]] = Counter()
    for _ in range(9000):
        child = mutate(NB201, genotype, rng, by_node=True)
        (link,) = set(child.cells["cell"].links) - set(genotype.cells["cell"].links)
        changed[link.source, link.target] += 1
    expected = [9000 / 3 / target for _, target in sorted(changed)]
    assert stats.chisquare([changed[edge] for edge in sorted(changed)], expected).pvalue > 1e-4


@pytest.mark.parametrize("name", SPACES)
def test_changes_stay_in_the_space_and_reach_edges_and_ops(name: str) -> None:
    space, rng = darts(name), random.Random(0)
    kinds: Counter[str] = Counter()
    genotype = space.sample(rng)
    for step in range(300):
        child = mutate(space, genotype, rng)
        space.check(child)
        assert distance(genotype, child) == 1
        assert step % 30 or child in set(neighbors(space, genotype))
        for cell, chosen in child.cells.items():
            table = space.cells[cell]
            assert all(sum(link.target == node for link in chosen.links) == table.inputs for node in table.nodes)
            taken = [{link[1:] for link in one.cells[cell].links} for one in (genotype, child)]
            kinds["edge" if taken[0] != taken[1] else "op" if chosen != genotype.cells[cell] else "none"] += 1
        genotype = child
    assert kinds["edge"] > 60 and kinds["op"] > 60


def test_a_space_of_one_genotype_is_refused() -> None:
    space = Small(CHAIN.masked([[False, True, False, False]] * 3))
    with pytest.raises(NasError, match="has one genotype"):
        mutate(space, next(sampled(space, 1)), random.Random(0))


@pytest.mark.parametrize("cell", [CHAIN, CHOOSING], ids=["all edges", "chosen edges"])
def test_uniform_decisions_sample_the_space(cell: object) -> None:
    space = Small(cell)  # type: ignore[arg-type]
    decisions, rng = Decisions(space), random.Random(0)
    counts = Counter(decisions.genotype(lambda i: rng.randrange(decisions.all[i].size)) for _ in range(5000))
    assert set(counts) == every(space)
    samples = Counter(space.sample(rng) for _ in range(5000))
    genotypes = sorted(counts, key=repr)
    assert stats.chi2_contingency([[c[g] for g in genotypes] for c in (counts, samples)]).pvalue > 1e-4


def test_evolution_lets_the_oldest_die_and_changes_one_of_the_living() -> None:
    rng = random.Random(0)
    strategy = RegularizedEvolution(NB201, population=10, sample=3)
    told: list[Genotype] = []
    for _ in range(300):
        child = strategy.ask(rng)
        assert len(told) < 10 or min(distance(living, child) for living in told[-10:]) <= 1
        told.append(child)
        strategy.tell(child, value_of(child))
        assert [g for g, _ in strategy.population] == told[-10:]


def test_the_parent_has_the_rank_that_a_tournament_gives() -> None:
    rng = random.Random(1)
    strategy = RegularizedEvolution(NB201, population=10, sample=3)
    ops = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    members = [NB201.parse(f"|{a}~0|+|{a}~0|{a}~1|+|{b}~0|{b}~1|{b}~2|") for a in ops for b in ops if a != b]
    members = [m for i, m in enumerate(members) if all(distance(m, o) > 2 for o in members[:i])][:10]
    assert len(members) == 10
    for rank, member in enumerate(members):
        strategy.ask(rng)
        strategy.tell(member, -rank)
    counts = Counter(
        next(i for i, member in enumerate(members) if distance(member, child) == 1)
        for child in (strategy.ask(rng) for _ in range(5000))
    )
    expected = [5 * ((10 - r) ** 3 - (9 - r) ** 3) for r in range(10)]
    assert stats.chisquare([counts[r] for r in range(10)], expected).pvalue > 1e-4


@pytest.mark.parametrize("cell", [CHAIN, CHOOSING], ids=["all edges", "chosen edges"])
def test_local_search_ends_in_the_optimum_that_brute_force_finds(cell: object) -> None:
    space = Small(cell)  # type: ignore[arg-type]
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
        place = start
        while (best := max(neighbors(space, place), key=value_of)) and value_of(best) > value_of(place):
            place = best
        assert place == optimum
    again = [g for g, count in Counter(asked).items() if count > 1]
    assert set(again) <= set(starts), "only a random start may be asked for twice"


def test_reinforce_takes_the_steps_of_autograd() -> None:
    rng = random.Random(0)
    strategy = Reinforce(NB201, lr=0.05, momentum=0.9)
    strategy.ask(rng)
    logits = torch.nn.Parameter(strategy.logits.detach().clone())
    adam = torch.optim.Adam([logits], lr=0.05)
    rewards: list[float] = []
    ops = NB201.cells["cell"].ops
    for step in range(30):
        genotype = strategy.ask(rng) if step else strategy.ask(random.Random(5))
        rewards.append(value_of(genotype))
        weights = [0.1 * 0.9**k for k in range(len(rewards))]
        baseline = sum(w * r for w, r in zip(weights, reversed(rewards), strict=True)) / (1 - 0.9 ** len(rewards))
        actions = torch.tensor([ops.index(link.op) for link in genotype.cells["cell"].links])
        loss = (-torch.distributions.Categorical(logits=logits).log_prob(actions) * (rewards[-1] - baseline)).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        strategy.tell(genotype, rewards[-1])
        torch.testing.assert_close(strategy.logits, logits, rtol=1e-4, atol=1e-6)
    assert float(strategy.logits.detach().abs().max()) > 0.1


def test_reinforce_gradient_is_that_of_the_expected_value() -> None:
    """Over all genotypes: sum p(g) gradient(g, value) = - d E[value] / d logits, by autograd in float64."""
    space = Small(CHOOSING)
    strategy = Reinforce(space, init_std=1.0)
    rng = random.Random(0)
    strategy.ask(rng)
    strategy.logits = torch.nn.Parameter(strategy.logits.detach().double())
    decisions = strategy.decisions
    logits = strategy.logits.detach().clone().requires_grad_()
    table = logits.masked_fill(strategy.absent, -torch.inf).log_softmax(dim=1)
    estimate, expected = torch.zeros_like(logits), torch.zeros((), dtype=torch.float64)
    total, genotypes = 0.0, every(space)
    for genotype in genotypes:
        picked = _picks(decisions, genotype)
        log_p = torch.stack([table[i, choice] for i, choice in picked.items()]).sum()
        strategy._picked = picked
        estimate += float(log_p.detach().exp()) * strategy.gradient(value_of(genotype))
        expected = expected + log_p.exp() * value_of(genotype)
        total += float(log_p.detach().exp())
    assert math.isclose(total, 1.0, rel_tol=1e-12)
    (exact,) = torch.autograd.grad(-expected, logits)
    torch.testing.assert_close(estimate, exact, rtol=1e-9, atol=1e-9)


def _picks(decisions: Decisions, wanted: Genotype) -> dict[int, int]:
    """The choices that make a genotype, by trying all."""
    rng = random.Random(repr(wanted))
    while True:
        picked: dict[int, int] = {}
        if decisions.genotype(lambda i: picked.setdefault(i, rng.randrange(decisions.all[i].size))) == wanted:  # noqa: B023
            return picked


def test_reinforce_learns_and_ignores_what_is_no_number() -> None:
    strategy, rng = Reinforce(NB201, lr=0.1), random.Random(0)
    for _ in range(400):
        genotype = strategy.ask(rng)
        strategy.tell(genotype, float(sum(link.op == "nor_conv_3x3" for link in genotype.cells["cell"].links)))
    column = NB201.cells["cell"].ops.index("nor_conv_3x3")
    assert float(strategy.probabilities()[:, column].min()) > 0.9
    before = strategy.logits.detach().clone()
    strategy.tell(strategy.ask(rng), -math.inf)
    assert torch.equal(before, strategy.logits)


@pytest.mark.parametrize("model", ["kernels", "optuna"])
def test_bohb_goes_through_the_brackets_of_hyperband(model: Literal["kernels", "optuna"]) -> None:
    if model == "optuna":
        pytest.importorskip("optuna")
    strategy, rng = Bohb(NB201, rungs=3, eta=3, model=model), random.Random(0)
    asked: list[Genotype] = []
    for _ in range(9 + 3 + 1 + 3 + 1 + 3 + 9 + 3 + 1):
        asked.append(strategy.ask(rng))
        strategy.tell(asked[-1], value_of(asked[-1]))
    first = sorted(asked[:9], key=lambda g: -value_of(g))
    assert asked[9:12] == first[:3] and asked[12] == first[0]
    assert asked[16] == max(asked[13:16], key=value_of)
    third = sorted(asked[20:29], key=lambda g: -value_of(g))
    assert asked[29:32] == third[:3] and asked[32] == third[0]
    assert [model.ready for model in strategy.models] == [True, model == "optuna", False]


@pytest.mark.parametrize(("model", "ops"), [("optuna", 5), ("kernels", 2)])
def test_bohb_learns(model: Literal["kernels", "optuna"], ops: int) -> None:
    """Of five choices a decision ``kernels`` learn next to nothing so early: their bandwidths are about 1."""
    if model == "optuna":
        pytest.importorskip("optuna")
    cell = NB201.cells["cell"]
    kept = ["nor_conv_3x3", *(op for op in cell.ops if op != "nor_conv_3x3")][:ops]
    space = Small(cell.masked([[op in kept for op in cell.ops]] * 6))
    strategy, rng = Bohb(space, rungs=1, model=model), random.Random(0)
    assert all(decision.size == ops for decision in strategy.decisions.all)

    def convolutions(genotype: Genotype) -> float:
        return float(sum(link.op == "nor_conv_3x3" for link in genotype.cells["cell"].links))

    values = []
    for _ in range(60):
        genotype = strategy.ask(rng)
        values.append(convolutions(genotype))
        strategy.tell(genotype, values[-1])
    assert sum(values[-20:]) / 20 > 6 / ops + 1.2


def test_options_out_of_range_are_refused() -> None:
    for make in (
        lambda: RegularizedEvolution(NB201, population=0),
        lambda: RegularizedEvolution(NB201, sample=0),
        lambda: Reinforce(NB201, lr=0),
        lambda: Reinforce(NB201, momentum=1.0),
    ):
        with pytest.raises(NasError, match="must be"):
            make()
