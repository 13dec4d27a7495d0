"""NSGA-II (Deb et al., IEEE Transactions on Evolutionary Computation 6, 2002) in the implementation of Optuna."""

from __future__ import annotations

import random
from typing import Any

from nas.architecture.cell import Genotype
from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.pareto.objectives import Objectives
from nas.blackbox.strategies.base import Strategy
from nas.spaces.base import Space
from nas.utils.errors import NasError
from nas.utils.ranges import PROBABILITY, Range, check_ranges

MAX_TRIES = 10_000
"""Proposals in a row that may exceed the limits."""


@check_ranges(population=Range(2, 10**6, whole=True))
@check_ranges(crossover_probability=PROBABILITY, swap_probability=PROBABILITY, mutation_probability=PROBABILITY)
class Nsga2(Strategy):
    """Generations by non-dominated sorting and crowding distance, on the decisions of a space.

    The first generation is a uniform sample. A child has each decision from one of two parents, and new decisions by
    mutation. Decisions that take no part in a genotype are inherited too. A generation ends when ``population`` values
    are known, so several genotypes may be evaluated at the same time. A failed evaluation is no member.

    Args:
        space: search space.
        population: genotypes per generation.
        crossover_probability: probability that a child has two parents.
        swap_probability: probability that a decision comes from the second parent.
        mutation_probability: probability that a decision is sampled again; None: 1 / number of decisions.

    Attributes:
        objectives: the objectives; a search sets them before the first call.

    Raises:
        NasError: if Optuna is not installed, or an option is out of range.
    """

    objectives: Objectives

    def __init__(
        self,
        space: Space,
        population: int = 50,
        crossover_probability: float = 0.9,
        swap_probability: float = 0.5,
        mutation_probability: float | None = None,
    ) -> None:
        super().__init__(space)
        import_optuna()  # a mistake is reported before the search; workers receive strategies without modules
        self.encoding = CategoricalEncoding(space)
        self.population = population
        self.crossover_probability = crossover_probability
        self.swap_probability = swap_probability
        self.mutation_probability = mutation_probability
        self._study: Any = None

    def ask(self, rng: random.Random) -> Genotype:
        if self._study is None:
            self._study = self._create_study(rng.randrange(2**31))
        for _ in range(MAX_TRIES):
            trial = self._study.ask()
            choices = [trial.suggest_categorical(name, range(size)) for name, size in self.encoding.decisions]
            genotype = self.encoding.decode(choices.__getitem__)
            if self.allows(genotype):
                self.details = trial.number
                return genotype
            self._study.tell(trial, state=import_optuna().trial.TrialState.FAIL)
        assert self.limits is not None
        raise self.limits.too_few()

    def tell(self, genotype: Genotype, value: float) -> None:
        losses = self.objectives.losses(genotype, value)
        if losses is None:
            self._study.tell(self.details, state=import_optuna().trial.TrialState.FAIL)
        else:
            self._study.tell(self.details, list(losses))

    def _create_study(self, seed: int) -> Any:
        optuna = import_optuna()
        sampler = optuna.samplers.NSGAIISampler(
            population_size=self.population,
            crossover_prob=self.crossover_probability,
            swapping_prob=self.swap_probability,
            mutation_prob=self.mutation_probability,
            seed=seed,
        )
        return optuna.create_study(directions=["minimize"] * len(self.objectives.items), sampler=sampler)


def import_optuna() -> Any:
    """Import Optuna without its log lines. Raises NasError if it is not installed."""
    try:
        import optuna
    except ImportError:
        raise NasError(
            "method=nsga2: Optuna is not installed. Run pip install 'nas-compose[pareto]', or use a method with one "
            "objective."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
