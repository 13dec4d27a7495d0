"""Hydra's record of a run (.hydra/), rewritten when its configuration changes after Hydra has written it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.cli.run_dir.layout import seed_directory
from nas.cli.run_dir.task_overrides import task_overrides
from nas.utils.atomic_write import write_atomically

OF_ALL_SEEDS = ("seed", "seeds", "paths.output", "ckpt_path")
"""Keys of a run with ``seeds`` whose values its searches do not have."""


def save_record(folder: Path, cfg: DictConfig) -> None:
    """Write configuration, choices and overrides of the running job, or of one of its ``seeds``, into ``folder``."""
    hydra = HydraConfig.get()
    record: dict[str, Any] = {"config": cfg, "hydra": {"hydra": hydra}, "overrides": _overrides_of(cfg)}
    for name, value in record.items():
        write_atomically(folder / f"{name}.yaml", OmegaConf.to_yaml(value))


def _overrides_of(cfg: DictConfig) -> list[str]:
    """Return the overrides of a run; those of a search of ``seeds`` select its seed instead of the list."""
    task = {line: line.lstrip("+~").partition("=")[0] for line in task_overrides()}
    given = any(key == "seeds" and not line.endswith("=null") for line, key in task.items())
    if cfg.get("seeds") is not None or not (given or _is_of_seeds(cfg)):
        return list(task)
    without = [] if given else ["seeds=null"]  # an experiment of the user sets seeds
    *lines, seed = overrides_of_seed(list(task), str(cfg.seed))
    return [*lines, *without, seed]


def overrides_of_seed(overrides: Sequence[str], seed: str) -> list[str]:
    """Return the overrides of one of the searches of a run with ``seeds``; those of the run select all of them."""
    kept = [line for line in overrides if line.lstrip("+~").partition("=")[0] not in OF_ALL_SEEDS]
    return [*kept, f"seed={seed}"]


def _is_of_seeds(cfg: DictConfig) -> bool:
    """Return whether a configuration is that of a search in a folder of the run directory of its ``seeds``."""
    run, output = HydraConfig.get().runtime.output_dir, OmegaConf.select(cfg, "paths.output")
    return output is not None and Path(output) == seed_directory(Path(run), cfg.get("seed"))
