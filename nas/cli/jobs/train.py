"""Training of a genotype's network from scratch: python train.py genotype=..."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from omegaconf import DictConfig

from nas.architecture.cell import Genotype
from nas.cli.build import (
    build_averaging,
    build_checkpointing,
    build_data,
    build_trainer,
    chosen_names,
    dataset_name,
    finish_wandb,
    follow_split,
    log_dataset_defaults,
    network_options,
    seed_and_threads,
)
from nas.cli.checks.batch import apply_plan
from nas.cli.checks.inputs import check_genotype_inputs
from nas.cli.checks.processes import check_processes
from nas.cli.checks.protocol import check_protocol
from nas.cli.interrupt import report_unfinished
from nas.cli.jobs.batch_size import choose_batch_size
from nas.cli.jobs.build_training import build_training, training_results
from nas.cli.run_dir.command import next_command
from nas.cli.run_dir.environment import environment
from nas.cli.run_dir.figures import (
    batch_figures,
    budget_figures,
    estimated_memory,
    network_cost,
    published_figures,
    split_figures,
    step_seconds,
)
from nas.cli.run_dir.genotype_name import genotype_name, source_run
from nas.cli.run_dir.layout import checkpoint_file
from nas.cli.run_dir.resume import prepare_resume
from nas.cli.run_dir.summary import Summary, format_limited
from nas.cli.run_dir.tracking import log_results, use_source
from nas.cli.study.trial import build_trial_callbacks
from nas.data.base import ImageData
from nas.data.kinds import DataSet
from nas.deploy.fine_tune import load_initial_weights
from nas.deploy.model import MODEL_FILE, Model, save_model
from nas.nn.macs import count_parameters
from nas.spaces.base import Network, Space
from nas.spaces.genotype_budget import read_budget
from nas.spaces.genotype_file import find_published, load_genotype, save_genotype
from nas.spaces.notation import native_string
from nas.spaces.registry import space_of
from nas.training.base import BaseTraining
from nas.training.language_model import LanguageModelTraining
from nas.training.network_training import Training
from nas.utils.program import program
from nas.zoo.architectures import PublishedArchitecture

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float | None:
    """Train and test the network, write the run directory, and return the test result.

    It is the accuracy in percent, or the perplexity of a language model.
    """
    check_processes(cfg)
    log_dataset_defaults(cfg)
    output = Path(cfg.paths.output)
    entry, genotype = find_published(cfg.genotype), load_genotype(cfg.genotype)
    check_protocol(str(cfg.genotype), genotype, cfg)
    cfg.genotype_name = cfg.genotype_name or genotype_name(str(cfg.genotype), genotype, entry)
    checkpoint = checkpoint_file(cfg.ckpt_path, cfg.paths.output)
    if checkpoint is None:
        choose_batch_size(cfg, lambda given: _build(given, genotype, entry)[:2])
    apply_plan(cfg)
    resume = prepare_resume(cfg, checkpoint, **chosen_names(cfg), genotype=native_string(genotype))
    seed_and_threads(cfg)
    data, training, space, options = _build(cfg, genotype, entry, checkpoint is not None)
    try:
        last = [*build_checkpointing(cfg.activation_checkpointing), *build_averaging(cfg.ema)]
        last += build_trial_callbacks(cfg)
        facts = {"genotype": native_string(genotype), "genotype_from": str(cfg.genotype)}
        trainer = build_trainer(cfg, resume.callbacks, last, facts)
        use_source(trainer.loggers, source_run(str(cfg.genotype)), "genotype")
        trainer.fit(training, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        seconds = resume.finish(trainer.is_global_zero)
        if report_unfinished(trainer, training, output):
            return None
        if isinstance(training, LanguageModelTraining):
            training.use_best()
        metrics = trainer.test(training, datamodule=data, verbose=False)[0]
        if not trainer.is_global_zero:
            return None
        save_genotype(genotype, output / "genotype.json", read_budget(str(cfg.genotype)))
        save_model(_model(training, data, genotype, options), output / MODEL_FILE)
        values = _values(cfg, trainer, _Parts(data, training, space, options), genotype, entry, metrics, seconds)
        Summary(values, [("network", str(output / MODEL_FILE)), *_next_commands(training, output)]).save(output)
        log_results(trainer.loggers, values, output)
        return float(metrics[f"test/{training.task.metric.name}"])
    finally:
        finish_wandb()


def _next_commands(training: Training | LanguageModelTraining, output: Path) -> list[tuple[str, str]]:
    """Return rows with commands that use the run; exported files carry no hidden states of a language model."""
    export = f"{next_command('train')} mode=export {shlex.quote(f'weights={output}')}"
    report = f"{program('search')} report {shlex.quote(str(output))}"
    commands = [report] if isinstance(training, LanguageModelTraining) else [export, report]
    return [("next", command) for command in commands]


class _Parts(NamedTuple):
    """Parts of a training, and the options of its network."""

    data: DataSet
    training: Training | LanguageModelTraining
    space: Space
    options: dict[str, Any]


def _build(cfg: DictConfig, genotype: Genotype, entry: PublishedArchitecture | None, resumed: bool = False) -> _Parts:
    """Build the data set and the training; the weights of a resumed one come from its checkpoint."""
    data = build_data(cfg, bilevel=False)
    data.test_every_epoch = True
    # no network may be tested on images that selected its architecture
    follow_split(data, cfg.ckpt_path, None if data.halves_training else cfg.genotype)
    space = space_of(genotype, data.shape, data.classes)
    check_genotype_inputs(str(cfg.genotype), space, dataset_name(), data.inputs)
    options = network_options(space, cfg, {} if entry is None else entry.network_options(space.shape[1:]))
    network = _network(space, genotype, options, None if resumed else cfg.init_weights)
    _warn_of_limits(budget_figures(str(cfg.genotype), network_cost(space, genotype, **options)))
    return _Parts(data, build_training(cfg, data, network), space, options)


def _warn_of_limits(figures: dict[str, Any]) -> None:
    """Log the costs that exceed the limits of the search of a genotype."""
    for name, cost in figures.get("budget", {}).items():
        if cost["value"] > cost["limit"]:
            log.warning(
                "budget         %s %s of the search, which counted another network or input (budget.network)",
                name,
                format_limited(cost),
            )


def _network(space: Space, genotype: Genotype, options: dict[str, Any], weights: str | None) -> Network:
    """Build the network, and load its initial weights if they are given."""
    network = space.network(genotype, **options)
    if weights is not None:
        new = load_initial_weights(network, genotype, weights, space)
        log.info("init weights   %s%s", weights, f" (new: {', '.join(new)})" if new else "")
    return network


def _model(training: BaseTraining, data: DataSet, genotype: Genotype, options: dict[str, Any]) -> Model:
    mean, std = (data.mean, data.std) if isinstance(data, ImageData) else (None, None)
    state, dataset = training.network.state_dict(), dataset_name()
    return Model(genotype, options, data.shape, data.classes, state, mean, std, data.class_names, dataset)


def _values(
    cfg: DictConfig,
    trainer: pl.Trainer,
    parts: _Parts,
    genotype: Genotype,
    entry: PublishedArchitecture | None,
    metrics: Any,
    seconds: float,
) -> dict[str, Any]:
    """Return the content of summary.json."""
    data, training, space, options = parts
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    cost = _cost(training, space, genotype, options)
    values = {
        "mode": "train",
        "genotype": space.native(genotype),
        "space": space.name,
        "dataset": dataset_name(),
        **split_figures(data),
        "seed": cfg.seed,
        "epochs": trainer.current_epoch,
        **training_results(training, data, metrics, trainer.current_epoch),
        **cost,
        **budget_figures(str(cfg.genotype), cost),
        "train_seconds": round(seconds, 3),
        "step_seconds": step_seconds(callbacks),
        **batch_figures(trainer, training),
        "estimated_memory_bytes": estimated_memory(callbacks),
        **environment(trainer.strategy.root_device, str(trainer.precision)),
    }
    if entry is not None:
        values["published"] = published_figures(entry, space, genotype, **options)
    return values


def _cost(training: BaseTraining, space: Space, genotype: Genotype, options: dict[str, Any]) -> dict[str, Any]:
    return {
        **network_cost(space, genotype, **options),
        "parameters_with_auxiliary": count_parameters(training.network, auxiliary=True),
        "network": options,
    }
