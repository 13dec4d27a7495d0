"""Files of a Pareto search: its front, a picture, and the hypervolume after each query."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from nas.blackbox.evaluator import Evaluator
from nas.blackbox.pareto.front import Points
from nas.blackbox.pareto.objectives import VALUE, Objectives
from nas.blackbox.pareto.search import ParetoSearch
from nas.plotting.figure import save_figure
from nas.plotting.front import FrontPicture, front_figure
from nas.utils.atomic_write import write_atomically, write_json

FRONT_FILE, FRONT_PICTURE, HYPERVOLUME_FILE = "front.json", "front.png", "hypervolume.csv"


class FrontLog(pl.Callback):
    """Write front.json, front.png and hypervolume.csv at the end of a Pareto search.

    Args:
        directory: directory of the files.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, ParetoSearch)
        evaluator = pl_module.evaluator
        if evaluator is None or not pl_module.front().queries:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        write_json(self.directory / FRONT_FILE, front_record(pl_module, evaluator))
        volumes = pl_module.hypervolumes(evaluator)
        text = io.StringIO()
        csv.writer(text).writerows([["query", "hypervolume"], *enumerate(volumes, 1)])
        write_atomically(self.directory / HYPERVOLUME_FILE, text.getvalue())
        save_figure(front_figure(_picture(pl_module, evaluator, volumes)), self.directory / FRONT_PICTURE)


def front_record(search: ParetoSearch, evaluator: Evaluator) -> dict[str, Any]:
    """Return the content of front.json."""
    front, objectives = search.front(), search.objectives
    picked = search.pick(front.losses, objectives)
    _, losses = search.points()
    reference = search.reference_point(losses, search.true_front(evaluator))
    members = [
        {
            "genotype": search.space.native(query.genotype),
            **dict(zip(objectives.names, objectives.of(query.genotype, query.value), strict=True)),
        }
        for query in front.queries
    ]
    return {
        "objectives": [
            {
                "name": objective.name,
                "direction": "maximize" if objective.maximize else "minimize",
                "unit": evaluator.label if objective.cost is None else objective.cost.unit,
            }
            for objective in objectives.items
        ],
        "reference": dict(zip(objectives.names, objectives.to_losses(reference), strict=True)),
        **search.run_figures(search.loop, evaluator),
        "picked": {"rule": search.pick.rule, "index": picked, **members[picked]},
        "members": members,
    }


def _picture(search: ParetoSearch, evaluator: Evaluator, volumes: list[float]) -> FrontPicture:
    objectives, front, true_front = search.objectives, search.front(), search.true_front(evaluator)
    _, losses = search.points()
    names = [evaluator.label if one.cost is None else one.name.replace("_", " ") for one in objectives.items]
    return FrontPicture(
        names,
        objectives.names.index(VALUE),
        _directed(losses, objectives),
        _directed(front.losses, objectives),
        search.pick(front.losses, objectives),
        None if true_front is None else _directed(true_front.losses, objectives),
        volumes,
    )


def _directed(losses: Points, objectives: Objectives) -> Points:
    """Return losses [points, objectives] in the directions of their objectives."""
    return losses * np.array([-1.0 if objective.maximize else 1.0 for objective in objectives.items])
