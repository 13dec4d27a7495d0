"""Evaluation of a trained network, from configuration to summary: python train.py mode=eval ..."""

from __future__ import annotations

import csv
import io
import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from nas.cli.build import build_data, build_trainer
from nas.cli.checks.processes import refuse_nested_ddp
from nas.cli.jobs.load_trained import trained
from nas.cli.run_dir.summary import cost, environment
from nas.data.base import ImageData
from nas.deploy.evaluation import ClassAccuracy, EvaluationModule, EvaluationReport
from nas.deploy.latency import Latency
from nas.deploy.resolve import ResolvedModel
from nas.plotting.confusion import save_confusion
from nas.spaces.registry import space_of
from nas.utils.atomic_write import write_atomically, write_json
from nas.utils.errors import NasError

log = logging.getLogger(__name__)
LISTED = 20  # classes that are listed one by one


def run(cfg: DictConfig) -> float:
    """Evaluates, writes the run directory, and returns the test accuracy in percent."""
    refuse_nested_ddp(cfg)
    if type(cfg.evaluation.runs) is not int or cfg.evaluation.runs < 1:
        raise NasError(f"evaluation.runs={cfg.evaluation.runs}: give a whole number, at least 1")
    output = Path(cfg.paths.output)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build_data(cfg, bilevel=False)
    found = trained(cfg, data)
    measurement = EvaluationModule(
        found.model.network(auxiliary=False), data.classes, cfg.evaluation.logits, cfg.evaluation.runs
    )
    with open_dict(cfg):
        cfg.callbacks, cfg.logger = {}, {}  # those of a training
    trainer = build_trainer(cfg)
    if trainer.world_size > 1:
        raise NasError(f"mode=eval runs on one device, not on {trainer.world_size}: use trainer.devices=1")
    trainer.test(measurement, datamodule=data, verbose=False)
    names = data.class_names or found.model.class_names
    result = measurement.report
    table = result.per_class(names)
    summary = _summary(cfg, trainer, found, data, result)
    _write(output, result, table, names)
    write_json(output / "summary.json", summary)
    _report(summary, found, table, result, output)
    return result.top1


def _summary(
    cfg: DictConfig, trainer: pl.Trainer, found: ResolvedModel, data: ImageData, result: EvaluationReport
) -> dict[str, Any]:
    model = found.model
    space = space_of(model.genotype, data.shape, data.classes)
    return {
        "mode": "eval",
        "genotype": space.native(model.genotype),
        "space": space.name,
        "weights": str(found.path),
        "dataset": HydraConfig.get().runtime.choices["dataset"],
        "seed": cfg.seed,
        "tested_on": data.describe_test_images(),
        "images": result.images,
        "test_accuracy": result.top1,
        "test_top5_accuracy": result.top5,
        "test_loss": result.loss,
        "calibration_error": result.calibration_error,
        **cost(space, model.genotype, **model.options),
        "network": dict(model.options),
        "mean": list(model.mean or ()),
        "std": list(model.std or ()),
        "images_per_second": result.batched.images_per_second,
        "batch_seconds": _timing(result.batched),
        "image_seconds": _timing(result.single),
        "threads": torch.get_num_threads(),
        **environment(trainer.strategy.root_device, str(trainer.precision)),
    }


def _timing(timing: Latency) -> dict[str, float | int]:
    """The median, and between what 80 % of the passes lie."""
    return {
        "batch": timing.batch,
        "median": timing.median,
        "low": timing.low,
        "high": timing.high,
        "runs": timing.runs,
    }


def _write(output: Path, result: EvaluationReport, table: list[ClassAccuracy], names: tuple[str, ...]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["label", "class", "images", "correct", "accuracy"])
    for label, row in enumerate(table):
        writer.writerow([label, *row, "" if row.accuracy is None else f"{row.accuracy:.4f}"])
    write_atomically(output / "classes.csv", text.getvalue())
    counts = "\n".join(",".join(map(str, row)) for row in result.confusion.tolist())
    write_atomically(output / "confusion.csv", counts + "\n")
    save_confusion(result.confusion, names, output / "confusion.png")
    if result.logits is not None:
        buffer = io.BytesIO()
        torch.save({"logits": result.logits, "labels": result.labels}, buffer)
        write_atomically(output / "logits.pt", buffer.getvalue())


def _report(
    summary: dict[str, Any], found: ResolvedModel, table: list[ClassAccuracy], result: EvaluationReport, output: Path
) -> None:
    log.info("genotype       %s", summary["genotype"])
    log.info("weights        %s (%s)", found.path, found.kind)
    log.info("parameters     %.3f M   MACs %.2f M", summary["parameters"] / 1e6, summary["macs"] / 1e6)
    top5 = "" if result.top5 is None else f"   top-5 {result.top5:.2f} %"
    log.info(
        "test accuracy  top-1 %.2f %%%s   on %d images of %s", result.top1, top5, result.images, summary["dataset"]
    )
    log.info("tested on      %s", summary["tested_on"])
    log.info("test loss      %.4f   expected calibration error %.2f %%", result.loss, result.calibration_error)
    batched, single = result.batched, result.single
    where = f"{summary['device']}, {summary['precision']}"
    if summary["accelerator"] == "cpu":
        where += f", {summary['threads']} thread{'s' if summary['threads'] > 1 else ''}"
    log.info("throughput     %.1f images/s in batches of %d (%s)", batched.images_per_second, batched.batch, where)
    times = [1e3 * seconds for seconds in (single.median, single.low, single.high)]
    log.info(
        "latency        %.2f ms an image alone (80 %% of %d between %.2f and %.2f)", times[0], single.runs, *times[1:]
    )
    _report_classes(table)
    for label, taken, images in result.top_confusions():
        share = 100 * images / table[label].images
        log.info("mistaken       %s for %s: %d images, %.1f %%", table[label].name, table[taken].name, images, share)
    log.info("classes        %s", output / "classes.csv")
    log.info("picture        %s", output / "confusion.png")


def _report_classes(table: list[ClassAccuracy]) -> None:
    """Every class where they are few, else the five that are recognized worst."""
    seen = [row for row in table if row.images]
    many = len(table) > LISTED
    shown = sorted(seen, key=lambda row: row.correct / row.images)[:5] if many else table
    width = max((len(row.name) for row in shown), default=0)
    for row in shown:
        accuracy = "      -" if row.accuracy is None else f"{row.accuracy:6.2f} %"
        log.info("%-14s %-*s %s of %d", "worst class" if many else "class", width, row.name, accuracy, row.images)
