"""Options of a study: hydra.sweeper of the configuration, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from nas.utils.direction import direction_of
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, Range, check_number
from nas.utils.user_path import user_path

OPTUNA_SWEEPER = "hydra_plugins.nas_sweeps.optuna_sweeper.OptunaSweeper"
RESULT = "result"
"""Name of the objective that is the result of a job."""
STUDY_FILE = "study.log"
DIRECTIONS = ("maximize", "minimize")
COSTS = frozenset({"macs", "parameters", "bytes", "seconds", "queries"})
SEED = Range(0, 2**32 - 1, whole=True)


@dataclass(frozen=True)
class StudyOptions:
    """Options of a study.

    Attributes:
        trials: number of trials, of all processes that share the study.
        jobs: number of trials that the launcher runs at the same time.
        objectives: names in summary.json, or ``RESULT`` alone.
        directions: "maximize" or "minimize" of each objective.
        monitor: metric reported after each epoch, None for the accuracy or perplexity.
        file: absolute path of the journal.
        name: name of the study in the journal.
        seed: seed of the sampler.
        sampler, pruner: configurations with ``_target_``.
        locks: whether the file system of the sweep must have locks, by which ended processes are found.
    """

    trials: int
    jobs: int
    objectives: tuple[str, ...]
    directions: tuple[str, ...]
    monitor: str | None
    file: Path
    name: str
    seed: int
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]
    locks: bool = True

    @property
    def prunes(self) -> bool:
        """True if trials may be pruned."""
        return not str(self.pruner["_target_"]).endswith(".NopPruner")


def read_options(cfg: DictConfig) -> StudyOptions:
    """Return the options of a configuration that includes Hydra's own part. Raises NasError for an invalid value."""
    node = cfg.hydra.sweeper
    for key, allowed in (("n_trials", COUNT), ("n_jobs", COUNT), ("seed", SEED)):
        check_number(f"hydra.sweeper.{key}", node[key], allowed)
        if node[key] is None:
            raise NasError(f"hydra.sweeper.{key}=null: it takes {allowed}.")
    objectives = _texts(node.objective) or (RESULT,)
    options = StudyOptions(
        trials=node.n_trials,
        jobs=node.n_jobs,
        objectives=objectives,
        directions=_directions(cfg, objectives, _texts(node.direction)),
        monitor=node.monitor,
        file=_study_file(node.storage, Path(cfg.hydra.sweep.dir)),
        name=str(node.study_name),
        seed=node.seed,
        sampler=_part(node, "sampler"),
        pruner=_part(node, "pruner"),
        locks=bool(OmegaConf.select(cfg, "extras.require_lock", default=True)),
    )
    if options.prunes and len(objectives) > 1:
        raise NasError(
            "hydra/sweeper/pruner: Optuna prunes trials of one objective only. Use hydra/sweeper/pruner=none."
        )
    if options.prunes:
        _check_epochs(cfg)
        _check_monitor(options, _direction(cfg, RESULT))
    return options


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, ListConfig | list):
        return tuple(map(str, value))
    return () if value is None else (str(value),)


def _part(node: DictConfig, name: str) -> Mapping[str, Any]:
    """Return the configuration of the sampler or the pruner with resolved references."""
    part = node[name]
    if not isinstance(part, DictConfig) or not isinstance(part.get("_target_"), str):
        raise NasError(
            f"hydra.sweeper.{name}: has no _target_. Choose a file of the group, as in hydra/sweeper/{name}=NAME."
        )
    plain: Any = OmegaConf.to_container(part, resolve=True)
    return dict(plain)


def _directions(cfg: DictConfig, objectives: tuple[str, ...], given: tuple[str, ...]) -> tuple[str, ...]:
    wrong = next((name for name in given if name not in DIRECTIONS), None)
    if wrong is not None:
        raise NasError(f"hydra.sweeper.direction={wrong}: use {' or '.join(DIRECTIONS)}.")
    if given and len(given) != len(objectives):
        raise NasError(
            f"hydra.sweeper.direction: {len(given)} directions for {len(objectives)} objectives. Give one for each."
        )
    return given or tuple(_direction(cfg, name) for name in objectives)


def _direction(cfg: DictConfig, name: str) -> str:
    """Return the direction of an objective by its name; the result of a job on text is a perplexity."""
    if name == RESULT:
        # evaluators of black-box searches return the negated perplexity
        perplexity = "bptt" in cfg.dataset and "evaluator" not in (cfg.get("method") or {})
        return "minimize" if perplexity else "maximize"
    lower = direction_of(name) == "min" or COSTS & set(re.split(r"[_/ ]", name))
    return "minimize" if lower else "maximize"


def _check_epochs(cfg: DictConfig) -> None:
    """Raise NasError for jobs without epochs, which no pruner could end."""
    repetitions = (cfg.get("method") or {}).get("repetitions") or 1
    if repetitions > 1 or cfg.mode not in ("search", "train"):
        cause = f"method.repetitions={repetitions}" if repetitions > 1 else f"mode={cfg.mode}"
        raise NasError(
            f"hydra/sweeper/pruner: jobs with {cause} have no epochs after which they could be pruned. Use "
            "hydra/sweeper/pruner=none."
        )


def _check_monitor(options: StudyOptions, usual: str) -> None:
    """Raise NasError if the pruner would compare a metric in the wrong direction.

    Args:
        options: options with a pruner.
        usual: direction of the result, which is the default metric.
    """
    if options.monitor is None:
        if usual != options.directions[0]:
            raise NasError(
                f"hydra.sweeper.monitor=null: the pruner would {options.directions[0]} the result, as the objective "
                f"{options.objectives[0]}. Set a metric of the same direction, or hydra/sweeper/pruner=none."
            )
        return
    side = {"min": "minimize", "max": "maximize"}.get(str(direction_of(options.monitor)))
    if side is not None and side != options.directions[0]:
        raise NasError(
            f"hydra.sweeper.monitor={options.monitor}: the pruner would {options.directions[0]} it, as the objective "
            f"{options.objectives[0]}. Use a metric of the same direction, or hydra/sweeper/pruner=none."
        )


def _study_file(storage: str | None, sweep: Path) -> Path:
    if storage is None:
        return (sweep / STUDY_FILE).absolute()
    if "://" in str(storage):
        raise NasError(f"hydra.sweeper.storage={storage}: give a journal file, such as study.log.")
    file = user_path(storage).absolute()
    if file.is_dir():
        raise NasError(f"hydra.sweeper.storage={storage}: is a directory. Give a file, such as {storage}/study.log.")
    return file
