"""Job of a resumed sweep: finished jobs are skipped, interrupted ones resumed, and all others started."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from nas.cli.overrides.complete import PER_JOB
from nas.cli.overrides.parse import key_of, value_of
from nas.cli.overrides.run_record import FOLDER, saved_overrides
from nas.cli.overrides.value_type import AUTO
from nas.cli.run_dir.job_record import RESUMED_SWEEP
from nas.cli.run_dir.layout import is_finished, kept_files, last_checkpoint
from nas.cli.run_dir.ranks import is_further_rank
from nas.cli.run_dir.record import save_record
from nas.cli.run_dir.task_overrides import task_overrides
from nas.utils.errors import NasError

BATCH_SIZE = "dataset.batch_size"


def prepare_resumed_job(cfg: DictConfig, output: Path) -> bool:
    """Prepare the running job if it belongs to a resumed sweep, and return whether it is finished already.

    ``ckpt_path`` of an interrupted job is set. Hydra does not write the record of a job of such a sweep, because a
    finished or interrupted job keeps its record. That of any other job is written here.

    Raises:
        NasError: if the options of a finished job differ, such as by a changed configuration file.
    """
    if RESUMED_SWEEP not in os.environ:
        return False
    hydra: Any = HydraConfig.get()
    run = Path(hydra.runtime.output_dir)
    with read_write(hydra), open_dict(hydra):
        hydra.output_subdir = FOLDER
    if is_finished(run, output):
        _keep_batch_size(cfg, run)
        _check_same_course(cfg, output)
        _set_overrides([line for line in saved_overrides(run) if key_of(line) != "ckpt_path"])
        return True
    if kept_files(output) is not None:
        _keep_batch_size(cfg, run)
        cfg.ckpt_path = str(output)
    elif not is_further_rank(cfg):
        (run / FOLDER).mkdir(parents=True, exist_ok=True)
        save_record(run / FOLDER, cfg)
    return False


def _set_overrides(lines: Sequence[str]) -> None:
    hydra: Any = HydraConfig.get()
    with read_write(hydra), open_dict(hydra):
        hydra.overrides.task = list(lines)


def _keep_batch_size(cfg: DictConfig, run: Path) -> None:
    """Use the batch size that the job has chosen before, in place of ``auto``."""
    size = value_of(saved_overrides(run), BATCH_SIZE)
    if OmegaConf.select(cfg, BATCH_SIZE) == AUTO and size is not None and size.isdecimal():
        cfg.dataset.batch_size = int(size)
        _set_overrides([*(line for line in task_overrides() if key_of(line) != BATCH_SIZE), f"{BATCH_SIZE}={size}"])


def _check_same_course(cfg: DictConfig, output: Path) -> None:
    """Raise NasError if the options of a finished search or training differ from those of the present command."""
    path = last_checkpoint(output)
    inherits = PER_JOB in os.environ and "training" in cfg
    if path is None or inherits or cfg.mode not in ("search", "train"):
        return
    # imported here, because they need torch
    from nas.cli.build import chosen_names
    from nas.cli.checks.batch import apply_plan
    from nas.cli.own_parts import own_parts_in_use
    from nas.cli.run_dir.checkpoints import read_checkpoint
    from nas.cli.run_dir.course import check_course, check_length
    from nas.spaces.genotype_file import load_genotype
    from nas.spaces.notation import native_string

    try:
        checkpoint = read_checkpoint(path)
    except NasError:  # a damaged file, which a finished job does not need
        return
    names = chosen_names(cfg)
    with own_parts_in_use(cfg):
        if cfg.mode == "train":
            names["genotype"] = native_string(load_genotype(cfg.genotype))
        apply_plan(cfg)
        check_course(cfg, checkpoint, **names)
        check_length(cfg, checkpoint, output)
