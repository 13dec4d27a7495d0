"""Evaluation of a trained language model: python train.py mode=eval weights=RUN, for a training on text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, open_dict

from nas.cli.build import build_trainer, finish_wandb
from nas.cli.jobs.load_trained import load_language_model, model_figures
from nas.cli.run_dir.environment import environment
from nas.cli.run_dir.figures import network_cost
from nas.cli.run_dir.genotype_name import genotype_name, source_run
from nas.cli.run_dir.summary import Summary
from nas.cli.run_dir.tracking import log_results, use_source
from nas.data.text.base import TextData
from nas.deploy.resolve import ResolvedModel
from nas.spaces.notation import native_string
from nas.training.language_model import LanguageModelTraining
from nas.utils.errors import NasError

TIMED_PASSES = 100
"""Default of ``evaluation.runs``, which applies to images."""


def run(cfg: DictConfig, data: TextData) -> float:
    """Evaluate the network on the validation and the test text, and return the test perplexity."""
    if cfg.evaluation.logits:
        raise NasError("evaluation.logits=true: the logits of a text are too many to store. Leave it out.")
    if cfg.evaluation.runs != TIMED_PASSES:
        raise NasError(
            f"evaluation.runs={cfg.evaluation.runs}: it counts timed forward passes of an image, and a language model "
            "is timed on the test text. Leave it out."
        )
    resolved = load_language_model(cfg, data)
    network = resolved.model.network()
    with open_dict(cfg):
        cfg.genotype_name = cfg.genotype_name or genotype_name(str(cfg.weights), resolved.model.genotype, None)
    module = LanguageModelTraining(network, torch.optim.SGD)
    facts = {"genotype": native_string(resolved.model.genotype), "weights": str(resolved.path)}
    try:
        trainer = build_trainer(cfg, facts=facts)
        use_source(trainer.loggers, source_run(str(resolved.path)), "model")
        if trainer.world_size > 1:
            raise NasError(
                f"trainer.devices: mode=eval runs on one device, not {trainer.world_size}. Use trainer.devices=1."
            )
        values = _evaluate(cfg, data, module, resolved, trainer)
        output = Path(cfg.paths.output)
        Summary(values).save(output)
        log_results(trainer.loggers, values, output)
        return float(values["test_perplexity"])
    finally:
        finish_wandb()


def _evaluate(
    cfg: DictConfig, data: TextData, module: LanguageModelTraining, resolved: ResolvedModel, trainer: pl.Trainer
) -> dict[str, Any]:
    model = resolved.model
    valid = trainer.validate(module, datamodule=data, verbose=False)[0]
    began = time.perf_counter()
    test = trainer.test(module, datamodule=data, verbose=False)[0]
    seconds = time.perf_counter() - began
    return {
        "mode": "eval",
        **model_figures(resolved, model.space),
        "seed": cfg.seed,
        "tested_on": data.describe_test_images(),
        "tokens": module.tested_images,
        "test_perplexity": float(test["test/perplexity"]),
        "test_loss": float(test["test/loss"]),
        "val_perplexity": float(valid["val/perplexity"]),
        "val_loss": float(valid["val/loss"]),
        "val_tokens": module.validated_images,
        **network_cost(model.space, model.genotype, **model.options),
        "network": dict(model.options),
        "vocabulary": data.classes,
        "columns": data.test_batch_size,
        "tokens_per_second": module.tested_images / seconds,
        "threads": torch.get_num_threads(),
        **environment(trainer.strategy.root_device, str(trainer.precision)),
    }
