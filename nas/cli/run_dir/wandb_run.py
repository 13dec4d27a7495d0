"""W&B logger: options and environment variables, axes of the panels, and the run that a resume continues."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, cast, get_args

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from nas.cli.run_dir.layout import WANDB_RECORD
from nas.cli.run_dir.task_overrides import task_overrides
from nas.utils.atomic_write import write_json
from nas.utils.errors import NasError
from nas.utils.read_file import read_json

log = logging.getLogger(__name__)
MAX_RECORD = 10_000  # bytes
STEP_AXIS, EPOCH_AXIS = "trainer/global_step", "epoch"
STEP_METRICS = ("step/", "time/step_ms", "memory/used_gb")
"""Prefixes of the metrics that are logged within epochs."""
MODES = {"dryrun": "offline", "run": "online"}  # earlier names of W&B

Mode = Literal["online", "offline", "disabled", "shared"]


class WandbOptions(TypedDict, total=False):
    """Arguments of ``wandb.init``."""

    project: str | None
    entity: str | None
    name: str | None
    group: str | None
    job_type: str | None
    tags: list[str] | None
    notes: str | None
    id: str | None
    resume: str | None


class WandbRun(WandbLogger):
    """W&B logger that never prompts and is silent on the terminal; offline by default.

    Metrics within epochs have the axis ``trainer/global_step``, other metrics ``epoch``. The id of the run is stored in
    the run directory, and a resumed run continues it. Options that are None follow W&B's environment variables.

    Args:
        save_dir: directory of W&B's files.
        run_dir: run directory; None: ``save_dir``.
        mode: None: ``WANDB_MODE``, else online for an agent of a sweep and offline for any other run.
        offline: short form of ``mode``; None: see ``mode``.
        log_model: log the trained network as an artifact; "all": also each checkpoint.
        ckpt_path: run or checkpoint that is resumed, None for a run from scratch.
        options: further arguments of ``wandb.init``.

    Raises:
        NasError: if the run is online and W&B has no API key.
    """

    def __init__(
        self,
        save_dir: str,
        run_dir: str | None = None,
        mode: Mode | None = None,
        offline: bool | None = None,
        log_model: bool | Literal["all"] = True,
        ckpt_path: str | None = None,
        **options: Unpack[WandbOptions],
    ) -> None:
        import wandb

        self.mode = choose_mode(mode, offline)
        if self.mode in ("online", "shared") and not _has_key(wandb):
            given = f"mode={mode}" if mode is not None else "offline=false" if offline is False else "mode=online"
            raise NasError(f"logger.wandb.{given}: W&B has no API key. Run wandb login, or leave the option out.")
        self.run_dir = Path(run_dir or save_dir)
        self.logs_network = bool(log_model) and self.mode != "disabled"
        self._axes: set[str] = set()
        # arguments set the mode, because environment variables would outlive the run. ``setup`` gets the same settings,
        # because W&B's telemetry follows their mode and would otherwise contact the server from an offline run
        settings = wandb.Settings(mode=self.mode, silent=os.environ.get("WANDB_SILENT", "true") == "true")
        rank_zero_only(wandb.setup)(settings)
        given_options = {name: value for name, value in options.items() if value not in (None, "")}
        run_id = options.get("id") or os.environ.get("WANDB_RUN_ID") or self._saved_id(ckpt_path)
        chosen = {
            **given_options,
            "id": run_id,
            "resume": options.get("resume") or os.environ.get("WANDB_RESUME") or "allow",
            "group": _group(options.get("group")),
            "tags": _tags(options.get("tags") or ()),
            "mode": self.mode,
            "settings": settings,
        }
        checkpoints: Any = "all" if log_model == "all" and self.mode == "online" else False
        super().__init__(save_dir=save_dir, log_model=checkpoints, **cast(dict[str, Any], chosen))

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's run, which starts at the first access."""
        starts = self._experiment is None
        run = super().experiment
        if starts:
            self._start(run)
        return run

    def _start(self, run: Any) -> None:
        for axis in (STEP_AXIS, EPOCH_AXIS):
            run.define_metric(axis, hidden=True)
        if self.mode != "disabled":
            self.run_dir.mkdir(parents=True, exist_ok=True)
            record = {name: getattr(run, name) for name in ("id", "name", "group", "project", "entity")}
            folder = str(Path(run.dir).absolute().parents[1]) if run.dir else None
            write_json(self.run_dir / WANDB_RECORD, {**record, "mode": self.mode, "folder": folder})
        if self.mode in ("online", "shared"):
            log.info("wandb          %s", run.url)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log metrics, and set the axis of a metric before its first value."""
        for name in metrics:
            if name not in self._axes and name not in (STEP_AXIS, EPOCH_AXIS):
                self._axes.add(name)
                # by full names, because the order of overlapping patterns is not defined
                axis = STEP_AXIS if name.startswith(STEP_METRICS) else EPOCH_AXIS
                self.experiment.define_metric(name, step_metric=axis)
        super().log_metrics(cast(Mapping[str, float], metrics), step)

    def _saved_id(self, ckpt_path: str | None) -> str | None:
        """Return the id of the resumed run if it is resumed in its own directory."""
        record = None if ckpt_path is None else read_record(self.run_dir)
        return None if record is None else str(record["id"])


def choose_mode(mode: str | None, offline: bool | None) -> Mode:
    """Return the mode by the options, else by ``WANDB_MODE``; offline by default, except for an agent of a sweep."""
    environment = os.environ.get("WANDB_MODE")
    default = "online" if os.environ.get("WANDB_SWEEP_ID") else "offline"
    if mode is None and offline is not None:
        mode = "offline" if offline else environment or "online"
    chosen = mode or environment or default
    chosen = MODES.get(chosen, chosen)
    if chosen not in get_args(Mode):
        raise NasError(f"WANDB_MODE={chosen}: W&B has no such mode. Use online, offline or disabled.")
    return cast(Mode, chosen)


def sync_command(run: Any) -> str | None:
    """Return the command that uploads an offline run of W&B and the parts before a resume; None for other runs."""
    folder = Path(run.dir).parent if run.dir else Path()
    if not folder.name.startswith("offline-run-"):
        return None
    parts = sorted(folder.parent.glob(f"offline-run-*-{run.id}"))
    return shlex.join(["wandb", "sync", *map(str, parts or [folder])])


def read_record(directory: Path) -> dict[str, Any] | None:
    """Return the record of the W&B run of a run directory, None without a readable one."""
    try:
        record = read_json(directory / WANDB_RECORD, MAX_RECORD)
    except (OSError, ValueError):
        return None
    run_id = record.get("id") if isinstance(record, dict) else None
    return record if isinstance(run_id, str) and re.fullmatch(r"[\w-]{1,128}", run_id, re.ASCII) else None


def sweep_group(directory: Path) -> str:
    """Return the group of the runs of a sweep: the last parts of its directory, such as its date and time."""
    return "sweep-" + "-".join(directory.parts[-2:])


def _group(group: str | None) -> str | None:
    """Return the group of a run: the group of its sweep, unless an option or a variable names another group."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return group
    lines = [line.lstrip("+") for line in task_overrides()]
    if any(line.startswith(("group=", "logger.wandb.group=")) for line in lines) or os.environ.get("WANDB_RUN_GROUP"):
        return group
    return sweep_group(Path(HydraConfig.get().sweep.dir).absolute())


def _tags(tags: Iterable[str]) -> list[str]:
    """Return the tags, with the tags in ``WANDB_TAGS``."""
    more = os.environ.get("WANDB_TAGS", "").split(",")
    return list(dict.fromkeys([*map(str, tags), *(tag.strip() for tag in more if tag.strip())]))


def _has_key(wandb: Any) -> bool:
    """Return whether W&B finds an API key, without its prompt and its own messages."""
    with contextlib.redirect_stderr(io.StringIO()):
        return not hasattr(wandb, "api") or wandb.api.api_key is not None
