"""Search for an architecture: python search.py method=..."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig

from nas.blackbox.search import BlackBoxSearch
from nas.cli.budget import apply_budget, network_of_budget
from nas.cli.build import (
    build_checkpointing,
    build_data,
    build_search,
    build_space,
    build_trainer,
    chosen_names,
    dataset_name,
    finish_wandb,
    follow_split,
    log_dataset_defaults,
    precision,
    seed_and_threads,
)
from nas.cli.checks.batch import apply_plan, plan_batches
from nas.cli.checks.processes import check_processes
from nas.cli.interrupt import report_unfinished
from nas.cli.jobs.batch_size import choose_batch_size
from nas.cli.jobs.repeated_search import run_repetitions
from nas.cli.run_dir.command import next_command
from nas.cli.run_dir.environment import environment
from nas.cli.run_dir.figures import (
    batch_figures,
    benchmark_figures,
    benchmark_tests,
    cpu_figures,
    estimated_memory,
    network_cost,
    split_figures,
    step_seconds,
)
from nas.cli.run_dir.layout import checkpoint_file
from nas.cli.run_dir.resume import prepare_resume
from nas.cli.run_dir.summary import Summary
from nas.cli.run_dir.tracking import log_results
from nas.cli.study.trial import build_trial_callbacks
from nas.cli.worker_context import use_context
from nas.data.kinds import DataSet
from nas.executors.serial import Serial
from nas.objectives.classification import Classification
from nas.searches.base import Search, SupernetSearch
from nas.searches.gradient import GradientSearch
from nas.searches.pruning.search import PruningSearch
from nas.spaces.base import Space
from nas.spaces.genotype_file import save_genotype
from nas.utils.program import program

PICTURES = ("cell.png", "anytime.png", "front.png", "trajectory.png", "accuracy_range.png")
"""Pictures that the last lines of a search name, if the search has written them."""


def run(cfg: DictConfig, join: Callable[[Search], Sequence[pl.Callback]] | None = None) -> float | None:
    """Search, write the run directory, and return the validation result of the derived network.

    It is the accuracy in percent, or the perplexity of a language model.

    ``join`` prepares the built search for common steps with other searches, and returns the callbacks that they need.
    """
    check_processes(cfg)
    repeated = (cfg.method.get("repetitions") or 1) > 1
    log_dataset_defaults(cfg, unused=["epochs"] if repeated else [])
    checkpoint = None if repeated else checkpoint_file(cfg.ckpt_path, cfg.paths.output)
    if checkpoint is None:
        choose_batch_size(cfg, build)
    apply_plan(cfg)
    resume = prepare_resume(cfg, checkpoint, **chosen_names(cfg))
    seed_and_threads(cfg)
    data, search = build(cfg)
    if isinstance(search, BlackBoxSearch | PruningSearch):
        use_context(search.executor)
    search.check_precision(precision(cfg))  # the given one: on a CPU Lightning replaces 16-mixed
    if isinstance(search, BlackBoxSearch) and search.repetitions > 1:
        return run_repetitions(cfg, search, data)
    try:
        last = [*build_checkpointing(cfg.activation_checkpointing), *build_trial_callbacks(cfg)]
        trainer = build_trainer(cfg, resume.callbacks, [*last, *(() if join is None else join(search))])
        if isinstance(search, BlackBoxSearch):
            search.check_processes(trainer.world_size)
        trainer.fit(search, datamodule=search.batches(data), ckpt_path=checkpoint, weights_only=True)
        seconds = resume.finish(trainer.is_global_zero)
        if report_unfinished(trainer, search, Path(cfg.paths.output)):
            return None
        return _finish(cfg, trainer, search, search.space, seconds, split_figures(data))
    finally:
        search.close_workers()  # also after an interrupt
        finish_wandb()


def build(cfg: DictConfig) -> tuple[DataSet, Search]:
    """Build the data set and the search, whose steps are divided into passes by ``plan_batches``."""
    plan = None if cfg.dataset.get("global_batch_size") is None else plan_batches(cfg)
    data = build_data(cfg, **({} if plan is None else {"batch_size": plan.share}))
    follow_split(data, cfg.ckpt_path)
    search = build_search(cfg.method, build_space(cfg.space, data))
    search.check_data(data)
    apply_budget(cfg, search)
    if plan is not None and plan.passes > 1 and isinstance(search, GradientSearch):
        search.accumulate(plan.size)
    return data, search


def _finish(
    cfg: DictConfig, trainer: pl.Trainer, search: Search, space: Space, seconds: float, split: dict[str, Any]
) -> float | None:
    """Write genotype and summary on the first rank."""
    if not trainer.is_global_zero:
        return None
    output = Path(cfg.paths.output)
    genotype = search.genotype()
    budget = None if search.limits is None else search.limits.report(genotype)
    save_genotype(genotype, output / "genotype.json", budget)
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    values = {
        "mode": "search",
        "method": cfg.method.name,
        "space": space.name,
        "dataset": dataset_name(),
        **split,
        "seed": cfg.seed,
        "genotype": space.native(genotype),
        "epochs": trainer.current_epoch,
        "search_seconds": round(seconds, 3),
        **({} if _has_workers(search) else cpu_figures(callbacks)),
        "step_seconds": step_seconds(callbacks),
        **batch_figures(trainer, search),
        **network_cost(space, genotype, **network_of_budget(cfg)),
        **({} if budget is None else {"budget": budget}),
        **_validation(trainer, search),
        **benchmark_tests(callbacks, genotype),
        **search.results(),
        **benchmark_figures(callbacks, genotype),
        "estimated_memory_bytes": estimated_memory(callbacks),
        **environment(trainer.strategy.root_device, str(trainer.precision)),
    }
    pictures = filter(Path.is_file, map(output.joinpath, PICTURES))
    notes = [
        *(("picture", str(path)) for path in pictures),
        ("files", f"summary.json, genotype.json, history.jsonl in {output}"),
        ("next", f"{next_command('train')} {shlex.quote(f'genotype={output}')}"),
        ("next", f"{program('search')} report {shlex.quote(str(output))}"),
    ]
    Summary(values, notes).save(output)
    log_results(trainer.loggers, values, output)
    return result_of(values)


def _has_workers(search: Search) -> bool:
    """Return whether other processes evaluate candidates, whose CPU time is unknown."""
    return isinstance(search, BlackBoxSearch | PruningSearch) and not isinstance(search.executor, Serial)


def result_of(summary: Mapping[str, Any]) -> float | None:
    """Return the result of a search: the value of a query, an accuracy in percent, or a perplexity."""
    value: float | None = summary.get("value", summary.get("val_accuracy", summary.get("val_perplexity")))
    return value


def _validation(trainer: pl.Trainer, search: Search) -> dict[str, Any]:
    """Return the validation result of the final supernet, None if it was trained further after the validation."""
    supernet_search = search if isinstance(search, SupernetSearch) else None
    metric = Classification.metric if supernet_search is None else supernet_search.task.metric
    names = f"val_{metric.name}", f"val_{metric.examples}", f"val_{metric.name}_of"
    validation = None if supernet_search is None else supernet_search.validation
    if validation is None or validation.step != trainer.global_step:
        return dict.fromkeys(names)
    size = search.space.describe_size(**search.space.supernet_size())
    supernet = f"the supernet ({size})" if size else "the supernet"
    of = f"the derived network with the weights of {supernet}"
    return dict(zip(names, (validation.value, validation.examples, of), strict=True))
