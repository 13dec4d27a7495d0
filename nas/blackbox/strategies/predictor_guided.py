"""Search guided by a predictor: BANANAS (White et al., AAAI 2021) and NPENAS (Wei et al., 2020)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from heapq import nlargest

import numpy as np

from nas.architecture.cell import Genotype
from nas.blackbox.acquisition import ACQUISITIONS, Acquisition
from nas.blackbox.features import MAX_PATHS, Encoding, features_of
from nas.blackbox.mutations import mutate
from nas.blackbox.predictors.base import Predictor
from nas.blackbox.strategies.base import Strategy
from nas.spaces.base import Space
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, POSITIVE, Range, check_ranges
from nas.utils.single_thread import single_thread

SAMPLE_TRIES = 100
"""Random genotypes that are sampled to find a new one."""


@check_ranges(
    initial=Range(2, 10**6, whole=True),
    batch=COUNT,
    candidates=Range(1, 10**5, whole=True),
    parents=COUNT,
    mutations=POSITIVE,
    max_paths=Range(1, 10**6, whole=True),
)
class PredictorGuided(Strategy):
    """Evaluation of the most promising mutants of the best genotypes, by a predictor of all results so far.

    The first genotypes are random. Then the predictor is fitted, the best genotypes are mutated, and the mutants with
    the highest acquisition are evaluated. After each batch the predictor is fitted again. No genotype is proposed
    twice while new ones are found. Results without a finite value are not used.

    If several candidates are evaluated at the same time, the predictor is fitted to the results that are known when
    the last candidate of a batch has been proposed. Candidates without a result are not proposed again.

    Args:
        space: search space.
        predictor: builds the predictor.
        encoding: features of genotypes: ``paths``, ``one_hot``, or ``auto``, which selects paths if the space has
            branches (``nas.blackbox.features``).
        max_paths: maximum number of path features per cell.
        acquisition: ``thompson`` (independent Thompson sampling), ``mean``, ``ucb`` or ``ei``.
        initial: number of results from which on the predictor is used.
        batch: number of candidates that are selected by one fit.
        candidates: number of mutants of each parent; further parents are mutated until there are as many new ones.
        parents: maximum number of best genotypes that are mutated.
        mutations: mean number of mutated links of a mutant, each with equal probability; None mutates one link.

    Raises:
        NasError: if an option is out of range, or the encoding has no meaning on the space.
    """

    def __init__(
        self,
        space: Space,
        predictor: Callable[[], Predictor],
        encoding: Encoding = "auto",
        max_paths: int = MAX_PATHS,
        acquisition: Acquisition = "thompson",
        initial: int = 10,
        batch: int = 10,
        candidates: int = 100,
        parents: int = 5,
        mutations: float | None = None,
    ) -> None:
        super().__init__(space)
        if acquisition not in ACQUISITIONS:
            raise NasError(f"method.strategy.acquisition={acquisition}: use {', '.join(ACQUISITIONS)}.")
        self.predictor = predictor()
        self.features = features_of(space, encoding, max_paths)
        self.acquisition = ACQUISITIONS[acquisition]
        self.initial, self.batch = initial, batch
        self.candidates, self.parents, self.mutations = candidates, parents, mutations
        self._proposed: set[Genotype] = set()
        self._queue: list[Genotype] = []
        self._genotypes: list[Genotype] = []
        self._values: list[float] = []

    def ask(self, rng: random.Random) -> Genotype:
        if not self._queue and len(self._values) >= self.initial:
            self._queue = self._select(rng)
        genotype = self._queue.pop(0) if self._queue else self._sample(rng)
        self._proposed.add(genotype)
        return genotype

    def tell(self, genotype: Genotype, value: float) -> None:
        if math.isfinite(value):
            self._genotypes.append(genotype)
            self._values.append(value)

    def _sample(self, rng: random.Random) -> Genotype:
        """Return a random genotype, a new one if some tries find one."""
        for _ in range(SAMPLE_TRIES):
            genotype = self.sample_allowed(rng)
            if genotype not in self._proposed:
                break
        return genotype

    def _select(self, rng: random.Random) -> list[Genotype]:
        """Return the next batch, the most promising first; empty if there are no new candidates."""
        candidates = self._mutants(rng)
        if not candidates:
            return []
        seed, noise = rng.randrange(2**31), np.random.default_rng(rng.randrange(2**31))
        with single_thread():
            self.predictor.fit(self.features.encode(self._genotypes), np.array(self._values), seed)
            prediction = self.predictor.predict(self.features.encode(candidates))
        if not np.isfinite(prediction).all():
            fix = "a smaller predictor.lr" if hasattr(self.predictor, "lr") else "another predictor"
            raise NasError(f"predictor: {type(self.predictor).__name__} diverged. Use {fix}.")
        scores = self.acquisition(prediction, max(self._values), noise)
        return [candidates[i] for i in np.argsort(-scores, kind="stable")[: self.batch]]

    def _mutants(self, rng: random.Random) -> list[Genotype]:
        """Return new mutants of the best genotypes, each once."""
        best = nlargest(self.parents, range(len(self._values)), key=lambda i: self._values[i])
        mutants: dict[Genotype, None] = {}
        for parent in dict.fromkeys(self._genotypes[i] for i in best):
            if len(mutants) >= self.candidates:
                break
            for _ in range(self.candidates):
                mutant = self._mutant(parent, rng)
                if mutant not in self._proposed and self.allows(mutant):
                    mutants[mutant] = None
        return list(mutants)

    def _mutant(self, parent: Genotype, rng: random.Random) -> Genotype:
        count = 1
        if self.mutations is not None:
            links = sum(len(cell.links) for cell in parent.cells.values())
            count = sum(rng.random() < self.mutations / links for _ in range(links))
        for _ in range(count):
            parent = mutate(self.space, parent, rng)
        return parent
