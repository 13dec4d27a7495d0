"""Training of a genotype's network, from configuration to summary."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from nas.architecture.cell import Genotype
from nas.callbacks.recording.step_timer import StepTimer
from nas.cli.build import (
    build_averaging,
    build_data,
    build_trainer,
    finish_wandb,
    log_dataset_defaults,
    network_options,
)
from nas.cli.checks.processes import refuse_nested_ddp
from nas.cli.run_dir.layout import checkpoint_file
from nas.cli.run_dir.summary import as_published, cost, environment
from nas.cli.run_dir.truncate import resume_callbacks
from nas.data.base import ImageData
from nas.deploy.fine_tune import load_initial_weights
from nas.deploy.model import MODEL_FILE, Model, save_model
from nas.nn.macs import count_parameters
from nas.spaces.genotype_file import find_published, load_genotype, save_genotype
from nas.spaces.registry import space_of
from nas.training.network_training import Training
from nas.utils.atomic_write import write_json
from nas.zoo.architectures import format_reported

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float | None:
    """Trains, writes the run directory, and returns the test accuracy in percent."""
    refuse_nested_ddp(cfg)
    log_dataset_defaults(cfg)
    output = Path(cfg.paths.output)
    entry, genotype = find_published(cfg.genotype), load_genotype(cfg.genotype)
    checkpoint = checkpoint_file(cfg.ckpt_path)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build_data(cfg, bilevel=False)
    data.test_every_epoch = True
    space = space_of(genotype, data.shape, data.classes)
    options = network_options(space, cfg.network, {} if entry is None else entry.network_options(space.shape[1:]))
    network = space.network(genotype, **options)
    if cfg.init_weights is not None and checkpoint is None:
        new = load_initial_weights(network, genotype, cfg.init_weights)
        log.info("begins with    %s%s", cfg.init_weights, f" (new: {', '.join(new)})" if new else "")
    training: Training = instantiate(cfg.training, network=network, classes=data.classes, _convert_="all")
    try:
        trainer = build_trainer(cfg, [*build_averaging(cfg.ema), *resume_callbacks(cfg, checkpoint)])
        began = time.perf_counter()
        trainer.fit(training, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        seconds = time.perf_counter() - began
        metrics = trainer.test(training, datamodule=data, verbose=False)[0]
        if not trainer.is_global_zero:
            return None
        save_genotype(genotype, output / "genotype.json")
        save_model(_model(training, data, genotype, options), output / MODEL_FILE)
        summary = _summary(cfg, trainer, training, data, genotype, options, metrics, seconds)
        if entry is not None:
            summary["published"] = as_published(entry, space, genotype, **options)
        write_json(output / "summary.json", summary)
        _report(summary, output)
        return float(metrics["test/accuracy"])
    finally:
        finish_wandb()


def _model(training: Training, data: ImageData, genotype: Genotype, options: dict[str, Any]) -> Model:
    state, dataset = training.network.state_dict(), HydraConfig.get().runtime.choices["dataset"]
    return Model(genotype, options, data.shape, data.classes, state, data.mean, data.std, data.class_names, dataset)


def _summary(
    cfg: DictConfig,
    trainer: pl.Trainer,
    training: Training,
    data: ImageData,
    genotype: Genotype,
    options: dict[str, Any],
    metrics: Any,
    seconds: float,
) -> dict[str, Any]:
    space = space_of(genotype, data.shape, data.classes)
    timer = next((c for c in trainer.callbacks if isinstance(c, StepTimer)), None)  # type: ignore[attr-defined]
    return {
        "genotype": space.native(genotype),
        "space": space.name,
        "dataset": HydraConfig.get().runtime.choices["dataset"],
        "seed": cfg.seed,
        "epochs": trainer.current_epoch,
        "tested_on": data.describe_test_images(),
        "images": training.tested_images,
        "test_accuracy": float(metrics["test/accuracy"]),
        "test_loss": float(metrics["test/loss"]),
        **({"test_top5_accuracy": float(metrics["test/top5_accuracy"])} if "test/top5_accuracy" in metrics else {}),
        "best_test_accuracy": None if training.best is None else training.best[0],
        "best_epochs": None if training.best is None else training.best[1],
        **cost(space, genotype, **options),
        "parameters_with_auxiliary": count_parameters(training.network, auxiliary=True),
        "network": options,
        "train_seconds": round(seconds, 3),
        "step_seconds": timer.median() if timer is not None else None,
        **environment(training.device, str(trainer.precision)),
    }


def _report(summary: dict[str, Any], output: Path) -> None:
    log.info("genotype       %s", summary["genotype"])
    counted = {summary["macs_rule"]: summary["macs"], **summary.get("published", {}).get("counted", {})}
    macs = ", ".join(f"{value / 1e6:.2f} M ({rule})" for rule, value in counted.items())
    more = summary["parameters_with_auxiliary"]
    head = f" ({more / 1e6:.3f} M with the auxiliary head)" if more > summary["parameters"] else ""
    log.info("parameters     %.3f M%s   MACs %s", summary["parameters"] / 1e6, head, macs)
    for data, figures in summary.get("published", {}).get("reported", {}).items():
        log.info("reported       %s on %s", format_reported(figures), data)
    log.info("test accuracy  %.2f %% after %d epochs%s", summary["test_accuracy"], summary["epochs"], _best(summary))
    log.info("tested on      %d %s", summary["images"], summary["tested_on"])
    log.info("train time     %.1f s", summary["train_seconds"])
    log.info("network        %s", output / "model.pt")


def _best(summary: dict[str, Any]) -> str:
    if summary["best_test_accuracy"] is None:
        return ""
    return f" (best {summary['best_test_accuracy']:.2f} % after {summary['best_epochs']})"
