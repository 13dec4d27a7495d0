"""Hydra's record of a run (.hydra/), rewritten when its configuration changes after Hydra has written it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.cli.run_dir.layout import seed_directory
from nas.cli.run_dir.task_overrides import task_overrides
from nas.utils.atomic_write import write_atomically


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
    of_all = ("seed", "seeds", "paths.output", "ckpt_path")
    without = [] if given else ["seeds=null"]  # an experiment of the user sets seeds
    return [*(line for line, key in task.items() if key not in of_all), *without, f"seed={cfg.seed}"]


def _is_of_seeds(cfg: DictConfig) -> bool:
    """Return whether a configuration is that of a search in a folder of the run directory of its ``seeds``."""
    run, output = HydraConfig.get().runtime.output_dir, OmegaConf.select(cfg, "paths.output")
    return output is not None and Path(output) == seed_directory(Path(run), cfg.get("seed"))
