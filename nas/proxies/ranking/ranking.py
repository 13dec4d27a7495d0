"""Ranking of architectures by a zero-cost proxy."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.architecture.cell import Genotype
from nas.nn.macs import count_macs, count_parameters
from nas.proxies.evaluate import BatchSource, ProxyEvaluator
from nas.proxies.proxy import Proxy
from nas.proxies.ranking.candidates import Candidates
from nas.proxies.ranking.score_log import LOG_FILE, ScoreLog, ScoreRecord
from nas.spaces.base import Space
from nas.spaces.nas_bench_201.cost import nas_bench_201_cost
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.cost import nats_size_cost
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, SEED, check_ranges

CLOSED_FORMS = {NasBench201.notation: nas_bench_201_cost, NatsSize.notation: nats_size_cost}
"""Parameters and multiply-adds of the published network in closed form, by notation."""


def _ignore(records: list[ScoreRecord]) -> None:
    pass


@check_ranges(seed=SEED, count=COUNT, indices=COUNT_OR_ZERO, sample_seed=SEED)
class ProxyRanking:
    """Scores of many architectures by one proxy, as in Abdelfattah et al. (ICLR 2021) on NAS-Bench-201.

    Args:
        space: Space of the architectures.
        proxy: Proxy to evaluate.
        batches: Source of the mini-batch.
        network: Options of the measured networks; None selects the size of ``ProxyEvaluator``.
        seed: Seed of the weights and the images.
        count: Size of a random sample of architectures, see ``Candidates``.
        indices: Indices of the architectures, see ``Candidates``.
        sample_seed: Seed of the sample.

    Raises:
        NasError: If the architectures cannot be selected, or the proxy is not defined on so few images.
    """

    def __init__(
        self,
        space: Space,
        proxy: Proxy,
        batches: BatchSource,
        network: Mapping[str, Any] | None = None,
        seed: int = 0,
        count: int | None = None,
        indices: Sequence[int] | None = None,
        sample_seed: int = 0,
    ) -> None:
        self.space = space
        self.proxy = proxy
        self.seed = seed
        self.candidates = Candidates(space, count, indices, sample_seed)
        self.evaluator = ProxyEvaluator(space, proxy, batches, network, seed)

    def run(
        self,
        directory: Path,
        identity: Mapping[str, Any],
        on_progress: Callable[[list[ScoreRecord]], None] = _ignore,
    ) -> list[ScoreRecord]:
        """Measure the architectures that the log in ``directory`` does not contain, and return all scores in order.

        Args:
            directory: Directory of the log.
            identity: Options on which the scores depend; those of an existing log must be equal.
            on_progress: Receives all scores so far, at the start and after each measurement.

        Raises:
            NasError: If the log belongs to another ranking or is damaged.
        """
        with ScoreLog(directory / LOG_FILE, {**identity, "pool": self.candidates.digest()}) as log:
            self._check_order(log)
            if len(log.records) < len(self.candidates):
                self.evaluator.batch()  # load the images before the first measurement is timed
            on_progress(log.records)
            for position in range(len(log.records), len(self.candidates)):
                log.append(self.measure(position))
                on_progress(log.records)
            return log.records

    def _check_order(self, log: ScoreLog) -> None:
        """Raise NasError if the log is not a prefix of the candidates."""
        for position, record in enumerate(log.records):
            candidate = self.candidates[position] if position < len(self.candidates) else None
            if candidate is None or (record.architecture, record.index) != (
                self.space.native(candidate.genotype),
                candidate.index,
            ):
                raise NasError(
                    f"{log.path}: line {position + 2} is damaged, {record.architecture} is out of order. Delete the "
                    "line and all lines after it, then resume."
                )

    def measure(self, position: int) -> ScoreRecord:
        """Measure one candidate."""
        candidate = self.candidates[position]
        began = time.perf_counter()
        score = self.evaluator(candidate.genotype)
        seconds = round(time.perf_counter() - began, 6)
        name = self.space.native(candidate.genotype)
        return ScoreRecord(
            name, candidate.index, score, seconds, *published_params_macs(self.space, candidate.genotype)
        )


def published_params_macs(space: Space, genotype: Genotype) -> tuple[int, int]:
    """Return parameters and multiply-adds of an architecture's published network."""
    if genotype.space in CLOSED_FORMS:
        return CLOSED_FORMS[genotype.space](genotype, space.shape, space.classes)
    network = space.network(genotype)
    return count_parameters(network), count_macs(network, space.shape, bias=space.counts_bias)
