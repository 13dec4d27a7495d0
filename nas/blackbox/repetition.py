"""One of several repetitions of a black-box search, in this process or in a worker."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from nas.architecture.cell import Genotype
from nas.blackbox.anytime import AnytimeCurve, anytime_curve
from nas.blackbox.ask_tell import AskTellLoop
from nas.blackbox.evaluator import Evaluator
from nas.blackbox.parallel import step
from nas.blackbox.pareto.search import ParetoSearch
from nas.blackbox.search import BlackBoxSearch
from nas.data.kinds import DataSet
from nas.executors.base import Evaluate


class RepetitionBuild:
    """Picklable function that builds the repetitions of a worker.

    Args:
        search: search to repeat.
        data: images, which are not loaded yet.
    """

    def __init__(self, search: BlackBoxSearch, data: DataSet) -> None:
        self.search = search
        self.data = data

    def __call__(self, device: str) -> Evaluate:
        evaluator = self.search.build_evaluator(self.data, torch.device(device))
        return repetitions_of(self.search, evaluator, self.data, device)


def repetitions_of(search: BlackBoxSearch, evaluator: Evaluator, data: DataSet, device: str) -> Evaluate:
    """Return the evaluation of a repetition, whose number is the candidate; its value is ``(row, curve)``."""
    accuracies: dict[Genotype, dict[str, float]] = {}

    def evaluate(number: int, fidelity: int | None, position: int) -> tuple[dict[str, Any], AnytimeCurve]:
        loop = search.new_loop(search.seed + number)
        evaluator.reset(search.seed + number)
        with search.open_workers(evaluator, data, device) as workers:
            while step(loop, workers):
                pass
        curve = anytime_curve(loop, evaluator, accuracies)
        figures = search.run_figures(loop, evaluator) if isinstance(search, ParetoSearch) else {}
        return {**_row(search, loop, number, accuracies), **figures}, curve

    return evaluate


def _row(
    search: BlackBoxSearch, loop: AskTellLoop, number: int, accuracies: Mapping[Genotype, Mapping[str, float]]
) -> dict[str, Any]:
    best = loop.best
    assert best is not None
    return {
        "repetition": number,
        "seed": search.seed + number,
        "genotype": search.space.native(best.genotype),
        "value": best.value if math.isfinite(best.value) else None,
        "queries": len(loop.history),
        "genotypes": len({query.genotype for query in loop.history}),
        "spent": loop.spent,
        "ended_by": loop.ended,
        **({"fidelity": best.fidelity} if best.fidelity is not None else {}),
        **accuracies[best.genotype],
    }
