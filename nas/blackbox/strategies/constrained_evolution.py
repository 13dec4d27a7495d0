"""Evolution under a limit on multiply-adds (Single Path One-Shot, Guo et al., ECCV 2020)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple, Protocol

from nas.architecture.cell import Genotype
from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.strategies.base import Strategy
from nas.spaces.base import Space
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, POSITIVE, PROBABILITY, check_ranges

BLOCK = 10
"""Candidates generated per block. Unused ones are discarded, which affects the random stream only."""
TRIES = 10
"""Attempts per mutation or crossover."""
MAX_RANDOM = 20_000
"""Consecutive random candidates that are refused before the search ends with an error."""

Candidate = tuple[int, ...]
"""Option of each decision of a genotype."""


class Draws(Protocol):
    """Source of random numbers."""

    def integer(self, size: int) -> int:
        """Return a whole number from 0 to ``size`` - 1."""
        ...

    def uniform(self) -> float:
        """Return a number from 0 to below 1."""
        ...


class PythonDraws:
    """Random numbers of a ``random.Random``."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def integer(self, size: int) -> int:
        """Return a whole number from 0 to ``size`` - 1."""
        return self.rng.randrange(size)

    def uniform(self) -> float:
        """Return a number from 0 to below 1."""
        return self.rng.random()


class Ranked(NamedTuple):
    """Evaluated candidate; ``key`` is its negative value and negative tie, so that lower is better."""

    candidate: Candidate
    key: tuple[float, float]


class Round(NamedTuple):
    """Population of a round, and the parents selected after it, best first."""

    population: list[Candidate]
    parents: list[Candidate]


@check_ranges(
    population=COUNT,
    parents=COUNT,
    mutations=COUNT_OR_ZERO,
    crossovers=COUNT_OR_ZERO,
    gene_probability=PROBABILITY,
    max_macs=POSITIVE,
)
class ConstrainedEvolution(Strategy):
    """Rounds of mutations and crossovers of the best candidates so far; no genotype is evaluated twice.

    Each round makes ``mutations`` and ``crossovers``, with ten tries per candidate, and fills the population with
    random candidates. Candidates above the limit or known ones are refused. The parents are the best of all ranked
    candidates. The population of the last round is evaluated, but not ranked.

    Args:
        space: search space.
        population: candidates per round.
        parents: number of candidates that mutations and crossovers read.
        mutations: mutations per round: a parent with each gene sampled again with ``gene_probability``.
        crossovers: crossovers per round: each gene from one of two parents, which may be equal.
        gene_probability: probability that a mutation samples a gene again.
        max_macs: limit of the multiply-adds of the network of a genotype (``Space.macs``); None: no limit.

    Attributes:
        rounds: completed rounds.
        ranked: all ranked candidates, best first; the first of equals was ranked earlier.

    Raises:
        NasError: if an option is out of range, or the limit admits too few genotypes.
    """

    def __init__(
        self,
        space: Space,
        population: int = 50,
        parents: int = 10,
        mutations: int = 25,
        crossovers: int = 25,
        gene_probability: float = 0.1,
        max_macs: float | None = None,
    ) -> None:
        super().__init__(space)
        if mutations + crossovers > population:
            raise NasError(
                f"method.strategy: mutations={mutations} and crossovers={crossovers} exceed population={population}. "
                "Increase method.strategy.population."
            )
        self.encoding = CategoricalEncoding(space)
        self.sizes = [decision.size for decision in self.encoding.decisions]
        self.population, self.parents = population, parents
        self.mutations, self.crossovers = mutations, crossovers
        self.gene_probability = gene_probability
        self.max_macs = max_macs
        self.rounds: list[Round] = []
        self.ranked: list[Ranked] = []
        self.members: list[Candidate] = []
        """Candidates proposed in the current round."""
        self._keys: dict[Genotype, tuple[float, float]] = {}
        self._known: set[Genotype] = set()
        self._macs: dict[Genotype, int] = {}
        self._asked: Iterator[Genotype] | None = None

    def ask(self, rng: random.Random) -> Genotype | None:
        if self._asked is None:
            self._asked = self.candidates(PythonDraws(rng))
        complete = len(self.members) == self.population
        if complete and any(self.decode(member) not in self._keys for member in self.members):
            return None  # the next round needs all values of this one
        return next(self._asked)

    def tell(self, genotype: Genotype, value: float) -> None:
        self.tell_result(genotype, value, 0.0)

    def tell_result(self, genotype: Genotype, value: float, tie: float) -> None:
        self._keys[genotype] = (-value, -tie)

    def candidates(self, draws: Draws) -> Iterator[Genotype]:
        """Yield genotypes to evaluate, without end. The next round needs the values of the current one."""
        yield from self._fill(draws)
        while True:
            ranked = [Ranked(member, self._keys[self.decode(member)]) for member in self.members]
            self.ranked = sorted([*self.ranked, *ranked], key=lambda one: one.key)
            best = [one.candidate for one in self.ranked[: self.parents]]
            self.rounds.append(Round(self.members, best))
            self.members = []
            for make, count in ((self._mutate, self.mutations), (self._cross, self.crossovers)):
                target_size = len(self.members) + count
                for candidate in islice(self._blocks(make, best, draws), TRIES * count):
                    yield from self._admit(candidate)
                    if len(self.members) == target_size:
                        break
            yield from self._fill(draws)

    def decode(self, candidate: Candidate) -> Genotype:
        """Return the genotype of a candidate."""
        return self.encoding.decode(lambda number: candidate[number])

    def _fill(self, draws: Draws) -> Iterator[Genotype]:
        """Yield random candidates until the population is complete."""
        refused = 0
        random_candidates = self._blocks(self._random, [], draws)
        while len(self.members) < self.population:
            before = len(self.members)
            yield from self._admit(next(random_candidates))
            refused = refused + 1 if len(self.members) == before else 0
            if refused == MAX_RANDOM and self.limits is not None:
                raise self.limits.too_few()
            if refused == MAX_RANDOM:
                raise NasError(
                    f"method.strategy.max_macs={self.max_macs}: {MAX_RANDOM} random genotypes in a row exceed it or "
                    "are known. Increase it, or reduce method.budget.queries."
                )

    def _admit(self, candidate: Candidate) -> Iterator[Genotype]:
        """Yield the genotype of a candidate unless it is refused, and add it to the population."""
        genotype = self.decode(candidate)
        if genotype in self._known or not self.space.admits(genotype):
            return
        if self._exceeds(genotype) or not self.allows(genotype):
            return
        self._known.add(genotype)
        self.members.append(candidate)
        yield genotype

    def _exceeds(self, genotype: Genotype) -> bool:
        if self.max_macs is None:
            return False
        if genotype not in self._macs:
            self._macs[genotype] = self.space.macs(genotype)
        return self._macs[genotype] > self.max_macs

    def _blocks(
        self, make: Callable[[list[Candidate], Draws], Candidate], parents: list[Candidate], draws: Draws
    ) -> Iterator[Candidate]:
        while True:
            yield from [make(parents, draws) for _ in range(BLOCK)]

    def _random(self, parents: list[Candidate], draws: Draws) -> Candidate:
        return tuple(draws.integer(size) for size in self.sizes)

    def _mutate(self, parents: list[Candidate], draws: Draws) -> Candidate:
        genes = list(parents[draws.integer(len(parents))])
        for position, size in enumerate(self.sizes):
            if draws.uniform() < self.gene_probability:
                genes[position] = draws.integer(size)
        return tuple(genes)

    def _cross(self, parents: list[Candidate], draws: Draws) -> Candidate:
        first, second = (parents[draws.integer(len(parents))] for _ in range(2))
        return tuple((a, b)[draws.integer(2)] for a, b in zip(first, second, strict=True))
