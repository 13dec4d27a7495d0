"""Ask-and-tell loop on workers: candidates in flight, and results in the order in which they arrive."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from nas.architecture.cell import Genotype
from nas.blackbox.ask_tell import AskTellLoop
from nas.blackbox.evaluator import Evaluator, QueryResult
from nas.data.kinds import DataSet
from nas.executors.base import Evaluate, Outcome, Workers
from nas.spaces.base import Space
from nas.utils.errors import NasError


class EvaluationBuild:
    """Picklable function that builds the evaluation of genotypes in a worker.

    Args:
        evaluator: builds the evaluator from ``space``, ``data`` and ``device``.
        space: search space.
        data: images, which are not loaded yet.
    """

    def __init__(self, evaluator: Callable[..., Evaluator], space: Space, data: DataSet) -> None:
        self.evaluator = evaluator
        self.space = space
        self.data = data

    def __call__(self, device: str) -> Evaluate:
        return evaluation_of(self.evaluator(space=self.space, data=self.data, device=torch.device(device)))


def evaluation_of(evaluator: Evaluator) -> Evaluate:
    """Return the evaluation of a candidate by an evaluator."""

    def evaluate(candidate: Genotype, fidelity: int | None, position: int) -> QueryResult:
        return evaluator(candidate) if fidelity is None else evaluator(candidate, fidelity)

    return evaluate


def step(loop: AskTellLoop, workers: Workers) -> bool:
    """Keep all workers busy, and pass the next result to the strategy.

    Returns:
        False if the run has ended, or if the result exceeds the budget.

    Raises:
        NasError: if the run has ended and all of its evaluations have failed.
    """
    if loop.ended:
        return False
    _fill(loop, workers)
    if not workers.running:
        return False
    outcome = workers.next()
    paid = loop.tell(outcome.position, _result(outcome), outcome.error)
    if loop.ended and all(query.error is not None for query in loop.history):
        raise NasError(f"evaluator: all {len(loop.history)} evaluations failed, the last one with {outcome.error}.")
    return paid


def _fill(loop: AskTellLoop, workers: Workers) -> None:
    """Submit pending genotypes, those of a resumed run included, and ask for further ones."""
    running = set(workers.running)
    waiting = [proposal for position, proposal in loop.pending.items() if position not in running]
    while workers.idle:
        proposal = waiting.pop(0) if waiting else loop.ask()
        if proposal is None:
            return
        workers.submit(proposal.genotype, proposal.fidelity, proposal.position)


def _result(outcome: Outcome) -> QueryResult:
    if outcome.error is not None and outcome.value is None:
        return QueryResult(math.nan, outcome.seconds)
    result: Any = outcome.value
    return result if isinstance(result, QueryResult) else QueryResult(*result)
