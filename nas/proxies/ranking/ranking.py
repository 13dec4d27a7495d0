"""Scores an architecture after the other."""

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
from nas.proxies.ranking.log import LOG_FILE, Entry, ScoreLog
from nas.spaces.base import Space
from nas.spaces.nas_bench_201.cost import nas_bench_201_cost
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.cost import nats_size_cost
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError

CLOSED_FORMS = {NasBench201.notation: nas_bench_201_cost, NatsSize.notation: nats_size_cost}
"""Costs of the published network without building it."""


class ProxyRanking:
    """Every architecture of a pool with its proxy (Abdelfattah et al., ICLR 2021, do so on NAS-Bench-201).

    Args:
        space: of the architectures.
        proxy: what is measured; ``batches`` gives the images for it.
        network: options of the networks that are scored; None gives the size of the space's supernet.
        seed: of the networks' weights and of the images.
        count, indices, sample_seed: which architectures (``Candidates``).
        name: of the method.
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
        name: str = "scan",
    ) -> None:
        self.space = space
        self.proxy = proxy
        self.seed = seed
        self.name = name
        self.pool = Candidates(space, count, indices, sample_seed)
        self.evaluator = ProxyEvaluator(space, proxy, batches, network, seed)

    def run(
        self, directory: Path, identity: Mapping[str, Any], told: Callable[[list[Entry]], None] = lambda entries: None
    ) -> list[Entry]:
        """The scores of the pool in its order; what the log in ``directory`` holds is not scored again.

        ``told`` is called with all entries so far, at the beginning and after each. ``identity`` is what the log
        must have in common with this scan.
        """
        with ScoreLog(directory / LOG_FILE, {**identity, "pool": self.pool.digest()}) as log:
            self._compare(log)
            if len(log.entries) < len(self.pool):
                self.evaluator.batch()  # read before the clock runs
            told(log.entries)
            for position in range(len(log.entries), len(self.pool)):
                log.append(self.measure(position))
                told(log.entries)
            return log.entries

    def _compare(self, log: ScoreLog) -> None:
        """Raises NasError where the log is not the beginning of the pool: scores of the rest would be missing."""
        for position, entry in enumerate(log.entries):
            member = self.pool[position] if position < len(self.pool) else None
            if member is None or (entry.architecture, entry.index) != (
                self.space.native(member.genotype),
                member.index,
            ):
                raise NasError(
                    f"{log.path} is damaged in line {position + 2}: {entry.architecture} does not come there; delete "
                    "the line and what follows, and go on"
                )

    def measure(self, position: int) -> Entry:
        """Scores one architecture of the pool."""
        member = self.pool[position]
        began = time.perf_counter()
        value = self.evaluator(member.genotype)
        seconds = round(time.perf_counter() - began, 6)
        name = self.space.native(member.genotype)
        return Entry(name, member.index, value, seconds, *size(self.space, member.genotype))


def size(space: Space, genotype: Genotype) -> tuple[int, int]:
    """Parameters and multiply-adds of an architecture's published network."""
    if genotype.space in CLOSED_FORMS:
        return CLOSED_FORMS[genotype.space](genotype, space.shape, space.classes)
    network = space.network(genotype)
    return count_parameters(network), count_macs(network, space.shape, bias=space.counts_bias)
