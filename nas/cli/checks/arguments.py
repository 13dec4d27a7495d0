"""Checks of the command line before the configuration is composed: group choices and the mode of the job."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from nas.cli.checks.unused import refuse_unused, refuse_unused_by_repetitions
from nas.cli.overrides.conf_dir import CONF, group_choices
from nas.cli.overrides.installed import installed_choices
from nas.cli.overrides.parse import value_of
from nas.cli.overrides.renamed import renamed
from nas.utils.errors import NasError, unknown
from nas.utils.program import job_command

MODES = {"search": ("search", "rank_proxies"), "train": ("train", "eval", "export")}
"""The modes of each job; the first one is the default."""

NEEDED = ("method", "space", "dataset", "trainer", "callbacks", "network", "paths", "extras", "mode")
"""Groups that a run cannot do without."""

OWN_DATA = "For your own data, use dataset=folder or a class (docs/data.md)."


def check_choices(arguments: Sequence[str]) -> None:
    """Raise NasError for a choice that no file in conf/ and no installed package provides, with the nearest name."""
    for argument in arguments:
        group, _, value = argument.lstrip("+~").partition("=")
        if argument.startswith("~") and group in NEEDED:
            raise NasError(f"{argument}: a run needs this group. Use {group}=NAME for another choice.")
        if not value or "/" in group or "." in group or not (CONF / group).is_dir():
            continue
        choices = group_choices(group)
        for name in (part.strip("'\"[] ") for part in value.split(",")):
            if name == "null":
                raise NasError(f"{argument}: null is not a choice. {_instead_of_null(group, choices)}")
            if name not in choices and name not in (more := installed_choices(group)):
                raise renamed(group, name) or _unknown_choice(group, name, [*choices, *more])


def _unknown_choice(group: str, name: str, choices: Sequence[str]) -> NasError:
    error = unknown(group, name, choices)
    return NasError(f"{error} {OWN_DATA}") if group == "dataset" else error


def check_flags(flags: argparse.Namespace) -> None:
    """Raise NasError for flags of Hydra that exclude each other, and for one that is not supported."""
    if flags.experimental_rerun:
        raise NasError(
            f"--experimental-rerun={flags.experimental_rerun}: it unpickles the file, which could run any code. Resume "
            "a run by ckpt_path=RUN, or repeat its overrides."
        )
    given = {
        "--multirun": flags.multirun,
        "--run": flags.run,
        "--cfg": flags.cfg,
        "--info": flags.info,
        "--shell-completion": flags.shell_completion,
    }
    names = [name for name, value in given.items() if value]
    if len(names) > 1:
        fix = "Leave out -m and several values to see the configuration of one job." if "--cfg" in names else ""
        raise NasError(f"{' '.join(names)}: only one of these options can be given. {fix}".rstrip())
    if flags.resolve and not flags.cfg:
        raise NasError("--resolve: it belongs to --cfg. Add --cfg job, or leave it out.")


def check_effect(arguments: Sequence[str], cfg: DictConfig, sweeping: bool) -> None:
    """Raise NasError for an override that another option leaves without effect.

    ``method.epochs`` is the default of ``epochs``, which a data set may set as well. Repetitions have no trainer. A
    latency table is for a limit, a target or an objective.

    Args:
        arguments: overrides of the command line.
        cfg: the composed configuration.
        sweeping: whether the command line is of a sweep, other jobs of which may use the override.
    """
    given = value_of(arguments, "method.epochs")
    if given is not None and cfg.method.epochs != cfg.trainer.max_epochs:
        raise NasError(f"method.epochs={given}: the run has epochs={cfg.trainer.max_epochs}. Use epochs={given}.")
    if sweeping:
        return
    repetitions = OmegaConf.select(cfg, "method.repetitions") or 1
    if repetitions != 1:
        refuse_unused_by_repetitions(arguments, repetitions)
    table = value_of(arguments, "budget.latency_table")
    users = ("budget.latency_ms", "method.arch_step.cost_target", "method.costs")
    if table not in (None, "null") and all(OmegaConf.select(cfg, key) is None for key in users):
        raise NasError(f"budget.latency_table={table}: the search limits no latency. Add budget.latency_ms=NUMBER.")


def _instead_of_null(group: str, choices: Sequence[str]) -> str:
    if "none" in choices:
        return f"Use {group}=none."
    if group == "callbacks":
        return "Remove single callbacks, as in ~callbacks.cell_plots."
    return f"Use {group}=NAME for another choice." if group in NEEDED else f"Leave {group} out."


def check_mode(job: str, arguments: Sequence[str]) -> None:
    """Raise NasError for an unknown mode, and for options that the chosen mode does not use."""
    modes = (value_of(arguments, "mode") or MODES[job][0]).split(",")
    for mode in modes:
        if mode not in MODES[job]:
            raise unknown("mode", mode, MODES[job])
    refuse_unused(modes, arguments)
    if job == "train":
        _check_training(modes, arguments)
    elif "rank_proxies" in modes:
        for group in ("method", "evaluator"):
            if value_of(arguments, group) is not None:
                raise NasError(f"{group}={value_of(arguments, group)}: mode=rank_proxies has no {group}. Leave it out.")


def _check_training(modes: list[str], arguments: Sequence[str]) -> None:
    weights, initial = value_of(arguments, "weights"), value_of(arguments, "init_weights")
    if "train" in modes and weights not in (None, "null"):
        raise NasError(
            f"weights={weights}: mode=train starts from new weights. Use mode=eval or mode=export for these, or "
            "init_weights=... to fine-tune them."
        )
    if modes == ["train"]:
        return
    mode = ",".join(modes)
    if value_of(arguments, "genotype") is None and weights in (None, "null"):
        raise NasError(
            f"weights is missing: {job_command('train')} mode={modes[0]} weights=X with X the run directory of a "
            "training, its model.pt, or a published state_dict together with its genotype=..."
        )
    if initial not in (None, "null"):
        raise NasError(f"init_weights={initial}: only mode=train uses it. Use weights=... with mode={mode}.")
    if value_of(arguments, "ckpt_path") not in (None, "null"):
        raise NasError(f"ckpt_path: mode={mode} does not resume a run. Use weights=DIRECTORY of the run.")
