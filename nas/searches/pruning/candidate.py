"""Measurement of the candidates of a pruning search, in the search's process or in workers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from nas.data.base import ImageData, Images
from nas.data.proxy_batches import ProxyBatches
from nas.executors.base import Evaluate, Outcome, Task, Workers
from nas.executors.in_order import in_order
from nas.proxies.proxy import Proxy
from nas.proxies.pruned import Alive
from nas.searches.pruning.measure import Init, MeasurementKey, ProxyMeasurement
from nas.searches.pruning.ranking import Candidate, CandidateScores, prune_ops
from nas.spaces.base import Space


class MeasurementOptions(NamedTuple):
    """Options of the measurements, see ``PruningSearch``."""

    seed: int
    init: Init
    share: bool
    repeats: int
    stale: tuple[str, ...]


class Work(NamedTuple):
    """Measurement of a candidate.

    Attributes:
        candidate: the op that may be pruned.
        number: number of the candidate in its round.
        round: number of the round.
        start: ops that remained at the start of the round.
        alive: ops that remain.
    """

    candidate: Candidate
    number: int
    round: int
    start: Alive
    alive: Alive


class Measured(NamedTuple):
    """Scores of a candidate, with the name of the proxy of each measurement."""

    scores: CandidateScores
    proxies: list[str]


def measurements(
    space: Space,
    proxies: Sequence[Proxy],
    sizes: Sequence[int],
    batches: ProxyBatches,
    options: MeasurementOptions,
    device: torch.device,
) -> list[ProxyMeasurement]:
    """Build the measurement of each proxy on its number of images.

    Args:
        space: space of the supernets.
        proxies: the proxies.
        sizes: number of images of each proxy.
        batches: source of the images.
        options: options of the measurements.
        device: device of the measurements.
    """
    return [
        ProxyMeasurement(space, proxy, batches, options.seed, options.init, options.share, size, device)
        for proxy, size in zip(proxies, sizes, strict=True)
    ]


def measure_candidate(
    measures: Sequence[ProxyMeasurement],
    work: Work,
    options: MeasurementOptions,
    on_measurement: Callable[[str], None],
) -> CandidateScores:
    """Measure all proxies with and without a candidate.

    Args:
        measures: a measurement per proxy.
        work: the candidate.
        options: options of the measurements.
        on_measurement: receives the name of the proxy after each measurement.
    """
    scores = CandidateScores([], [])
    for measure in measures:
        reference = work.start if measure.proxy.name in options.stale else work.alive
        scores.before.append([])
        scores.after.append([])
        for repeat in range(options.repeats):
            key = MeasurementKey(work.round, work.number, repeat)
            scores.before[-1].append(measure.reference(reference, key))
            scores.after[-1].append(measure(prune_ops(work.alive, [work.candidate]), key))
            on_measurement(measure.proxy.name)
    return scores


class CandidateBuild:
    """Picklable function that builds the measurements of a worker.

    Args:
        space: the search space.
        proxies: the proxies that rank candidates.
        sizes: number of images of each proxy.
        data: the data set, which is not loaded yet.
        images: source of the measured images, see ``PruningSearch``.
        options: options of the measurements.
    """

    def __init__(
        self,
        space: Space,
        proxies: Sequence[Proxy],
        sizes: Sequence[int],
        data: ImageData,
        images: Images,
        options: MeasurementOptions,
    ) -> None:
        self.space, self.proxies, self.sizes = space, list(proxies), list(sizes)
        self.data, self.images, self.options = data, images, options

    def __call__(self, device: str) -> Evaluate:
        batches = ProxyBatches(self.data, self.options.seed, self.images)
        measures = measurements(self.space, self.proxies, self.sizes, batches, self.options, torch.device(device))

        def evaluate(work: Work, fidelity: int | None, position: int) -> Measured:
            names: list[str] = []
            scores = measure_candidate(measures, work, self.options, names.append)
            return Measured(scores, names)

        return evaluate


class GroupWorkers:
    """Workers that measure the candidates of a group at the same time.

    Each worker measures the reference of a round itself.

    Args:
        workers: workers of ``CandidateBuild``.
        proxies: names of the proxies.
        options: options of the measurements.
    """

    def __init__(self, workers: Workers, proxies: Sequence[str], options: MeasurementOptions) -> None:
        self.workers = workers
        self.proxies = proxies
        self.options = options
        self._groups = 0
        self._works: dict[int, Work] = {}
        self._outcomes: Iterator[Outcome] = iter(())
        self._references: set[tuple[Any, ...]] = set()

    def submit(self, group: Sequence[Work]) -> None:
        """Start the measurement of a group."""
        self._groups += 1
        self._works = {work.number: work for work in group}
        self._outcomes = in_order(self.workers, [Task(work, None, work.number) for work in group])

    def next(self) -> tuple[Measured, int]:
        """Return the scores of the next candidate of the group, and the number of new values that are not finite.

        Raises:
            RuntimeError: if the candidate could not be measured.
        """
        outcome = next(self._outcomes)
        if outcome.error is not None:
            raise RuntimeError(f"candidate {outcome.position} could not be measured: {outcome.error}")
        measured: Measured = outcome.value
        return measured, self._count_not_finite(self._works[outcome.position], measured.scores)

    def _count_not_finite(self, work: Work, scores: CandidateScores) -> int:
        """Count each reference once, as a single process measures it."""
        count = sum(not math.isfinite(value) for values in scores.after for value in values)
        shared = None if self.options.share else work.number
        for name, values in zip(self.proxies, scores.before, strict=True):
            group = None if name in self.options.stale else self._groups
            for repeat, value in enumerate(values):
                key = work.round, group, shared, name, repeat
                count += not math.isfinite(value) and key not in self._references
                self._references.add(key)
        return count


def describe(space: Space, candidate: Candidate) -> str:
    """Return the edge and the op of a candidate."""
    name, edge, op = candidate
    source, target = space.cells[name].edges[edge]
    return f"{name} {source}->{target} {space.cells[name].ops[op]}"
