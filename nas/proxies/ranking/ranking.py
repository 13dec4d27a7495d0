"""Ranking of architectures by a zero-cost proxy."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from nas.executors.base import Executor, Workers
from nas.executors.serial import SerialWorkers
from nas.proxies.evaluate import BatchSource, ProxyEvaluator
from nas.proxies.proxy import Proxy
from nas.proxies.ranking.candidates import Candidates
from nas.proxies.ranking.measure import MeasuredScore, MeasurementBuild, chunk_measurement, measure, measure_all
from nas.proxies.ranking.score_log import LOG_FILE, ScoreLog, ScoreRecord
from nas.spaces.base import Space
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, SEED, check_ranges


def _ignore(records: list[ScoreRecord]) -> None:
    pass


@check_ranges(seed=SEED, count=COUNT, indices=COUNT_OR_ZERO, sample_seed=SEED, chunk=COUNT)
class ProxyRanking:
    """Scores of many architectures by one proxy, as in Abdelfattah et al. (ICLR 2021) on NAS-Bench-201.

    Args:
        space: space of the architectures.
        proxy: proxy to evaluate.
        batches: source of the mini-batch.
        network: options of the measured networks; None selects the size of ``ProxyEvaluator``.
        seed: seed of the weights and the images.
        count: size of a random sample of architectures, see ``Candidates``.
        indices: indices of the architectures, see ``Candidates``.
        sample_seed: seed of the sample.
        shard: part of the architectures, such as "3/16", see ``Candidates``.
        chunk: architectures that a worker measures per task.

    Raises:
        NasError: if the architectures cannot be selected, or the proxy is not defined on so few images.
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
        shard: str | None = None,
        chunk: int = 4,
    ) -> None:
        self.space = space
        self.proxy = proxy
        self.seed = seed
        self.network = network
        self.chunk = chunk
        self.candidates = Candidates(space, count, indices, sample_seed, shard)
        self.evaluator = ProxyEvaluator(space, proxy, batches, network, seed)

    def run(
        self,
        directory: Path,
        identity: Mapping[str, Any],
        on_progress: Callable[[list[ScoreRecord]], None] = _ignore,
        workers: Callable[[], Workers] | None = None,
    ) -> list[ScoreRecord]:
        """Measure the architectures that the log in ``directory`` does not contain, and return all scores in order.

        Args:
            directory: directory of the log.
            identity: options on which the scores depend; those of an existing log must be equal.
            on_progress: receives all scores so far, at the start and after each measurement.
            workers: starts the workers, which measure chunks; None measures in this process.

        Raises:
            NasError: if the log belongs to another ranking or is damaged, or no architecture can be measured.
        """
        pool = {"pool": self.candidates.digest()}
        if self.candidates.whole is not None:
            pool["whole"] = self.candidates.whole
        with ScoreLog(directory / LOG_FILE, {**identity, **pool}) as log:
            self._check_order(log)
            on_progress(log.records)
            if len(log.records) == len(self.candidates):
                return log.records
            with closing(self._measure_from(len(log.records), workers)) as measured:  # an interrupt ends the workers
                for chunk_records in measured:
                    for record, _ in chunk_records:
                        log.append(record)
                        on_progress(log.records)
            return log.records

    def _measure_from(
        self, start: int, workers: Callable[[], Workers] | None
    ) -> Generator[list[MeasuredScore], None, None]:
        if workers is None:
            self.evaluator.batch()  # load the images before the first measurement is timed
        own = chunk_measurement(lambda _, position: self.measure(position), self.space, self.proxy)
        with SerialWorkers(own) if workers is None else workers() as opened:
            chunk = 1 if workers is None else self.chunk
            yield from measure_all(opened, self.candidates, start, chunk, self.proxy)

    def start_workers(self, executor: Executor, batches: Callable[[str], BatchSource], device: str) -> Workers:
        """Start workers for ``run``. They receive the mini-batch of this process.

        Args:
            executor: place of the workers.
            batches: builds the source of a mini-batch that is too large to be sent, from the name of a device.
            device: kind of device: "cpu" or "cuda".
        """
        shared = self.evaluator.shared_batch()
        source = batches if shared is None else shared.to
        build = MeasurementBuild(self.space, self.proxy, source, self.network, self.seed)
        return executor.start(build, device)

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
        """Measure one candidate in this process."""
        return measure(self.space, self.evaluator, self.candidates[position])
