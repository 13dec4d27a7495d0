"""Measurement of architectures in chunks, in this process or in workers."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nas.executors.base import Evaluate, Outcome, Task, Workers
from nas.executors.in_order import in_order
from nas.executors.serial import attempt
from nas.proxies.evaluate import BatchSource, ProxyEvaluator
from nas.proxies.proxy import Proxy
from nas.proxies.ranking.candidates import CandidateArchitecture, Candidates
from nas.proxies.ranking.score_log import ScoreRecord
from nas.spaces.base import Space
from nas.utils.errors import NasError

log = logging.getLogger(__name__)
MAX_FIRST_FAILURES = 8
"""Failed architectures at the start of a ranking after which it ends."""


class MeasuredScore(NamedTuple):
    """Score of an architecture, and the description of its failure if it could not be measured."""

    record: ScoreRecord
    error: str | None = None


class MeasurementBuild:
    """Picklable function that builds the measurement of a worker.

    Args:
        space: space of the architectures.
        proxy: proxy to evaluate.
        batches: builds the source of the mini-batch from the name of a device.
        network: options of the measured networks; None selects the size of ``ProxyEvaluator``.
        seed: seed of the weights and the images.
    """

    def __init__(
        self,
        space: Space,
        proxy: Proxy,
        batches: Callable[[str], BatchSource],
        network: Mapping[str, Any] | None,
        seed: int,
    ) -> None:
        self.space, self.proxy, self.batches, self.network, self.seed = space, proxy, batches, network, seed

    def __call__(self, device: str) -> Evaluate:
        evaluator = ProxyEvaluator(self.space, self.proxy, self.batches(device), self.network, self.seed)
        evaluator.batch()  # load the images before the first measurement is timed
        return chunk_measurement(lambda one, _: measure(self.space, evaluator, one), self.space, self.proxy)


def chunk_measurement(
    measure_one: Callable[[CandidateArchitecture, int], ScoreRecord], space: Space, proxy: Proxy
) -> Evaluate:
    """Return the measurement of a chunk of architectures. An architecture that fails twice has the worst score.

    Args:
        measure_one: measures an architecture, given with its position.
        space: space of the architectures.
        proxy: proxy that is measured.
    """

    def evaluate_one(candidate: CandidateArchitecture, fidelity: int | None, position: int) -> ScoreRecord:
        return measure_one(candidate, position)

    def evaluate(chunk: Sequence[CandidateArchitecture], fidelity: int | None, position: int) -> list[MeasuredScore]:
        found = [attempt(evaluate_one, Task(one, None, number)) for number, one in enumerate(chunk, position)]
        return [
            MeasuredScore(outcome.value)
            if outcome.error is None
            else failed_score(space, proxy, candidate, outcome.error)
            for outcome, candidate in zip(found, chunk, strict=True)
        ]

    return evaluate


def failed_score(space: Space, proxy: Proxy, candidate: CandidateArchitecture, error: str) -> MeasuredScore:
    """Return the worst possible score for an architecture that cannot be measured."""
    worst = -math.inf if proxy.higher_is_better else math.inf
    size = space.count(candidate.genotype)
    return MeasuredScore(ScoreRecord(space.native(candidate.genotype), candidate.index, worst, 0.0, *size), error)


def measure(space: Space, evaluator: ProxyEvaluator, candidate: CandidateArchitecture) -> ScoreRecord:
    """Measure one architecture."""
    began = time.perf_counter()
    score = evaluator(candidate.genotype)
    seconds = round(time.perf_counter() - began, 6)
    size = space.count(candidate.genotype)
    return ScoreRecord(space.native(candidate.genotype), candidate.index, score, seconds, *size)


def measure_all(
    workers: Workers, candidates: Candidates, start: int, chunk: int, proxy: Proxy
) -> Iterator[list[MeasuredScore]]:
    """Measure the candidates from ``start`` on, and yield them in their order.

    A chunk whose worker dies twice is divided into single architectures, so that one alone can fail.

    Args:
        workers: workers of ``MeasurementBuild``.
        candidates: architectures to rank.
        start: first candidate.
        chunk: architectures per task; the last tasks are smaller, see ``chunk_sizes``.
        proxy: proxy of the workers.

    Raises:
        NasError: if none of the first architectures can be measured, or none of all.
    """
    size = len(candidates)

    def task(first: int, end: int) -> Task:
        return Task([candidates[position] for position in range(first, min(end, size))], None, first)

    def split(failed_task: Task) -> list[Task]:
        first, count = failed_task.position, len(failed_task.candidate)
        return [] if count == 1 else [task(position, position + 1) for position in range(first, first + count)]

    ends = itertools.accumulate(chunk_sizes(size - start, chunk, workers.count), initial=start)
    tasks = (task(first, end) for first, end in itertools.pairwise(ends))
    succeeded, failures = start > 0, 0
    for outcome in in_order(workers, tasks, split):
        found = _records(outcome, candidates, proxy)
        for number, (_, error) in enumerate(found, outcome.position):
            succeeded |= error is None
            if error is not None:
                failures += 1
                log.warning("candidate %d cannot be measured and ranks last (%s)", number, error)
                if not succeeded and failures >= MAX_FIRST_FAILURES:
                    raise NasError(f"proxy={proxy.name}: none of the first {failures} architectures works: {error}.")
        yield found
    if failures and not succeeded:
        raise NasError(f"proxy={proxy.name}: none of the {failures} architectures works: {error}.")


def chunk_sizes(total: int, chunk: int, workers: int) -> Iterator[int]:
    """Yield the sizes of tasks: at the end they shrink to 1, so that all workers finish at about the same time.

    Args:
        total: number of architectures.
        chunk: size of the first tasks.
        workers: number of workers.
    """
    while total > 0:
        size = min(chunk, -(-total // (2 * workers)))
        yield size
        total -= size


def _records(outcome: Outcome, candidates: Candidates, proxy: Proxy) -> list[MeasuredScore]:
    if outcome.error is None:
        found: list[MeasuredScore] = outcome.value
        return found
    return [failed_score(candidates.space, proxy, candidates[outcome.position], outcome.error)]
