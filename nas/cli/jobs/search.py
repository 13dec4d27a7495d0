"""One search, from configuration to summary."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from nas.blackbox.search import BlackBoxSearch
from nas.callbacks.recording.step_timer import StepTimer
from nas.cli.build import (
    build_data,
    build_search,
    build_space,
    build_trainer,
    finish_wandb,
    log_dataset_defaults,
    precision,
)
from nas.cli.checks.processes import refuse_nested_ddp
from nas.cli.checks.values import check_trainer
from nas.cli.jobs.repeated_search import repeat
from nas.cli.run_dir.layout import checkpoint_file
from nas.cli.run_dir.summary import cost, environment, known
from nas.cli.run_dir.truncate import resume_callbacks
from nas.data.base import ImageData
from nas.searches.base import Search
from nas.spaces.base import Space
from nas.spaces.genotype_file import save_genotype
from nas.utils.atomic_write import write_json

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float | None:
    """Searches, writes the run directory, and returns the validation accuracy of the derived network in percent."""
    check_trainer(cfg)
    refuse_nested_ddp(cfg)
    log_dataset_defaults(cfg)
    repeated = (cfg.method.get("repetitions") or 1) > 1
    checkpoint = None if repeated else checkpoint_file(cfg.ckpt_path)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build_data(cfg)
    space = build_space(cfg.space, data)
    search = build_search(cfg.method, space)
    search.check_precision(precision(cfg))  # what was asked for: on a CPU Lightning takes another one for 16-mixed
    if isinstance(search, BlackBoxSearch) and search.repetitions > 1:
        return repeat(cfg, search, data)
    try:
        trainer = build_trainer(cfg, resume_callbacks(cfg, checkpoint))
        if isinstance(search, BlackBoxSearch):
            search.check_processes(trainer.world_size)
        began = time.perf_counter()
        trainer.fit(search, datamodule=search.batches(data), ckpt_path=checkpoint, weights_only=True)
        seconds = time.perf_counter() - began
        return _finish(cfg, trainer, search, space, data, seconds)
    finally:
        finish_wandb()


def _finish(
    cfg: DictConfig, trainer: pl.Trainer, search: Search, space: Space, data: ImageData, seconds: float
) -> float | None:
    accuracy = trainer.callback_metrics.get("val/accuracy")
    if not trainer.is_global_zero:
        return None
    output = Path(cfg.paths.output)
    genotype = search.genotype()
    save_genotype(genotype, output / "genotype.json")
    timer = next((c for c in trainer.callbacks if isinstance(c, StepTimer)), None)  # type: ignore[attr-defined]
    summary: dict[str, Any] = {
        "method": cfg.method.name,
        "space": space.name,
        "dataset": HydraConfig.get().runtime.choices["dataset"],
        "seed": cfg.seed,
        "genotype": space.native(genotype),
        "epochs": trainer.current_epoch,
        "search_seconds": round(seconds, 3),
        "step_seconds": timer.median() if timer is not None else None,
        **cost(space, genotype),
        "val_accuracy": None if accuracy is None else float(accuracy),
        "val_accuracy_of": "the derived network with the supernet's weights",
        **search.results(),
        **known(trainer.callbacks, genotype),  # type: ignore[attr-defined]
        **environment(search.device, str(trainer.precision)),
    }
    write_json(output / "summary.json", summary)
    _report(summary, output)
    value: float | None = summary.get("value", summary["val_accuracy"])
    return value


def _report(summary: dict[str, Any], output: Path) -> None:
    accuracy = summary["val_accuracy"]
    log.info("genotype      %s", summary["genotype"])
    log.info("parameters    %.3f M   MACs %.2f M", summary["parameters"] / 1e6, summary["macs"] / 1e6)
    if accuracy is not None:
        log.info("val accuracy  %.2f %% (with the supernet's weights; train.py trains it from scratch)", accuracy)
    if "value" in summary:
        value = "none" if summary["value"] is None else f"{summary['value']:.6g}"
        log.info("value         %s, %s", value, summary["value_of"])
        spent = f"{summary['query_seconds']:.0f} {summary['query_seconds_are']} s"
        log.info("queries       %d in %s, ended by %s", summary["queries"], spent, summary["ended_by"])
    for split in ("valid", "test"):
        if f"benchmark/{split}" in summary:
            log.info("benchmark     %s %.2f %% (%s)", split, summary[f"benchmark/{split}"], summary["benchmark_of"])
    log.info("search time   %.1f s, %s", summary["search_seconds"], _steps(summary["step_seconds"]))
    for picture in filter(Path.is_file, (output / "cell.png", output / "anytime.png")):
        log.info("picture       %s", picture)
    log.info("next          python train.py genotype=%s", output)


def _steps(seconds: float | None) -> str:
    return "too few steps to time one" if seconds is None else f"{1000 * seconds:.0f} ms a step"
