"""Evaluation of a trained network: python train.py mode=eval ..."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from nas.callbacks.recording.pictures import log_picture
from nas.cli.build import build_data, build_trainer, finish_wandb, follow_split, seed_and_threads
from nas.cli.checks.processes import check_processes
from nas.cli.jobs.evaluate_text import run as evaluate_text
from nas.cli.jobs.evaluated_budget import evaluated_budget
from nas.cli.jobs.load_trained import load_trained, model_figures
from nas.cli.run_dir.environment import environment
from nas.cli.run_dir.figures import network_cost, split_figures
from nas.cli.run_dir.genotype_name import genotype_name, source_run
from nas.cli.run_dir.summary import Summary
from nas.cli.run_dir.tracking import log_results, use_source
from nas.data.base import ImageData
from nas.data.text.base import TextData
from nas.deploy.evaluation import ClassAccuracy, EvaluationModule, EvaluationReport
from nas.deploy.latency import Latency
from nas.deploy.resolve import ResolvedModel
from nas.plotting.confusion import save_confusion
from nas.spaces.notation import native_string
from nas.spaces.registry import space_of
from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError
from nas.utils.printable import printable

MAX_NAME = 60  # characters of the name of a class in the log
MANY_CLASSES = 20  # above, the log lists the worst classes only


def run(cfg: DictConfig) -> float:
    """Evaluate the network, write the run directory, and return the test accuracy in percent or the perplexity."""
    check_processes(cfg)
    seed_and_threads(cfg)
    data = build_data(cfg, bilevel=False)
    with open_dict(cfg):
        cfg.callbacks = {}  # the callbacks of a training
        cfg.logger = {
            name: part for name, part in (cfg.get("logger") or {}).items() if name != "csv"
        }  # an evaluation has no curves
    if isinstance(data, TextData):
        return evaluate_text(cfg, data)
    follow_split(data, cfg.weights, OmegaConf.select(cfg, "genotype"))
    resolved = load_trained(cfg, data)
    network = resolved.model.network(auxiliary=False)
    module = EvaluationModule(network, data.classes, cfg.evaluation.logits, cfg.evaluation.runs)
    facts = {"genotype": native_string(resolved.model.genotype), "weights": str(resolved.path)}
    with open_dict(cfg):
        cfg.genotype_name = cfg.genotype_name or genotype_name(str(cfg.weights), resolved.model.genotype, None)
    try:
        return _evaluate(cfg, data, module, resolved, build_trainer(cfg, facts=facts))
    finally:
        finish_wandb()


def _evaluate(
    cfg: DictConfig, data: ImageData, module: EvaluationModule, resolved: ResolvedModel, trainer: pl.Trainer
) -> float:
    """Run the evaluation and write its files."""
    output = Path(cfg.paths.output)
    use_source(trainer.loggers, source_run(str(resolved.path)), "model")
    if trainer.world_size > 1:
        raise NasError(
            f"trainer.devices: mode=eval runs on one device, not {trainer.world_size}. Use trainer.devices=1."
        )
    trainer.test(module, datamodule=data, verbose=False)
    names = tuple(map(printable, data.class_names or resolved.model.class_names))
    report = module.report
    table = report.per_class(names)
    _write_tables(output, report, table, names)
    notes = [*_class_rows(table), *_confusion_rows(report, table)]
    notes += [("classes", str(output / "classes.csv")), ("picture", str(output / "confusion.png"))]
    values = _values(cfg, trainer, resolved, data, report)
    Summary(values, notes).save(output)
    log_picture(trainer, "confusion", output / "confusion.png", 0)
    log_results(trainer.loggers, values, output)
    return report.top1


def _values(
    cfg: DictConfig, trainer: pl.Trainer, resolved: ResolvedModel, data: ImageData, report: EvaluationReport
) -> dict[str, Any]:
    model = resolved.model
    space = space_of(model.genotype, data.shape, data.classes)
    cost = network_cost(space, model.genotype, **model.options)
    return {
        "mode": "eval",
        **model_figures(resolved, space),
        **split_figures(data),
        "seed": cfg.seed,
        "tested_on": data.describe_test_images(),
        "images": report.images,
        "test_accuracy": report.top1,
        "test_top5_accuracy": report.top5,
        "test_loss": report.loss,
        "calibration_error": report.calibration_error,
        **cost,
        **evaluated_budget(cfg, resolved, cost, report, trainer.strategy.root_device),
        "network": dict(model.options),
        "mean": list(model.mean or ()),
        "std": list(model.std or ()),
        "images_per_second": report.batched.images_per_second,
        "batch_seconds": _latency(report.batched),
        "image_seconds": _latency(report.single),
        "threads": torch.get_num_threads(),
        **environment(trainer.strategy.root_device, str(trainer.precision)),
    }


def _latency(latency: Latency) -> dict[str, float | int]:
    """Return the median of the forward passes in seconds, and the interval that holds 80 % of them."""
    return {
        "batch": latency.batch,
        "median": latency.median,
        "low": latency.low,
        "high": latency.high,
        "runs": latency.runs,
    }


def _write_tables(output: Path, report: EvaluationReport, table: list[ClassAccuracy], names: tuple[str, ...]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["label", "class", "images", "correct", "accuracy"])
    for label, row in enumerate(table):
        writer.writerow([label, *row, "" if row.accuracy is None else f"{row.accuracy:.4f}"])
    write_atomically(output / "classes.csv", text.getvalue())
    counts = "\n".join(",".join(map(str, row)) for row in report.confusion.tolist())
    write_atomically(output / "confusion.csv", counts + "\n")
    save_confusion(report.confusion, names, output / "confusion.png")
    if report.logits is not None:
        buffer = io.BytesIO()
        torch.save({"logits": report.logits, "labels": report.labels}, buffer)
        write_atomically(output / "logits.pt", buffer.getvalue())


def _class_rows(table: list[ClassAccuracy]) -> Iterator[tuple[str, str]]:
    """Yield a row of the log for every class, or for the five worst of many classes."""
    many = len(table) > MANY_CLASSES
    present = [row for row in table if row.images]
    shown = sorted(present, key=lambda row: row.correct / row.images)[:5] if many else table
    width = min(MAX_NAME, max((len(row.name) for row in shown), default=0))
    for row in shown:
        accuracy = "      -" if row.accuracy is None else f"{row.accuracy:6.2f} %"
        yield "worst class" if many else "class", f"{printable(row.name, MAX_NAME):<{width}} {accuracy} of {row.images}"


def _confusion_rows(report: EvaluationReport, table: list[ClassAccuracy]) -> Iterator[tuple[str, str]]:
    for label, predicted, images in report.top_confusions():
        share = 100 * images / table[label].images
        true, other = (printable(table[k].name, MAX_NAME) for k in (label, predicted))
        yield "confused", f"true {true}, predicted {other}: {images} images, {share:.1f} %"
