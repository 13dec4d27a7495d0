"""The configuration is composed and looked at before Hydra writes anything."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.cli.overrides.parse import CONF, parse
from nas.cli.overrides.renamed import refuse_renamed, renamed
from nas.utils.errors import NasError, one_line, unknown

PER_CHANNEL = ("dataset.mean", "dataset.std")  # of made-up images: one number for all channels, or one for each


def composed(job: str, arguments: Sequence[str], flags: argparse.Namespace) -> DictConfig:
    """The configuration of a job, Hydra's own part included; of the first job where it is a sweep.

    Raises:
        NasError: for what cannot be composed: an unknown key or choice, a value of the wrong type.
    """
    overrides = [_first(part, bool(flags.multirun)) for part in parse(arguments)]
    if job == "search" and any(part.key_or_group == "protocol" for part in overrides):
        raise NasError("protocol: protocols are those of train.py; published searches are experiment=NAME")
    more = Path(flags.config_dir).absolute() if flags.config_dir else None
    if more is not None and not more.is_dir():
        raise NasError(f"--config-dir: there is no directory {more}")
    values = [part for part in overrides if not _is_choice(part, more)]
    choices = [str(part.input_line) for part in overrides if part not in values]
    if more is not None:
        choices.append(f"hydra.searchpath=['file://{more}']")
    try:
        with initialize_config_dir(str(CONF), job_name=job, version_base="1.3"):
            cfg = compose(job, overrides=choices, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise _not_composed(error) from None
    for part in values:
        _apply(cfg, part)
    refuse_renamed(cfg)
    return cfg


def check_config(cfg: DictConfig) -> None:
    """Raises NasError for values that fit their keys but no run."""
    unnamed = "training" in cfg and (OmegaConf.is_missing(cfg, "genotype") or cfg.genotype is None)
    if unnamed and cfg.get("weights") is None:
        raise NasError(
            "genotype is missing: python train.py genotype=X with X a search's run directory, a genotype.json, or a "
            "native string in quotes"
        )
    if type(cfg.seed) is not int or not 0 <= cfg.seed < 2**32:
        raise NasError(f"seed={cfg.seed}: give a whole number from 0 to {2**32 - 1}")
    for key, value in (("epochs", cfg.epochs), ("trainer.max_epochs", cfg.trainer.max_epochs)):
        if type(value) is not int or value < 1:
            raise NasError(f"{key}={value}: give a whole number of epochs, at least 1")
    refuse_trainer_options(cfg)


def refuse_trainer_options(cfg: DictConfig) -> None:
    """Raises NasError for options of the trainer that a search, or a training, keeps elsewhere."""
    job, part = ("search", "method.weight_step") if "method" in cfg else ("training", "training")
    clip = cfg.trainer.get("gradient_clip_val")
    if clip is not None:
        scope = " (and method.weight_step.clip_params)" if job == "search" else ""
        raise NasError(
            f"trainer.gradient_clip_val={clip}: a {job} clips in its own steps; use {part}.clip_norm={clip}{scope}"
        )
    if job == "search" and cfg.trainer.get("accumulate_grad_batches", 1) not in (None, 1):
        raise NasError(
            f"trainer.accumulate_grad_batches={cfg.trainer.accumulate_grad_batches}: a bilevel step takes one batch of "
            "each half; use dataset.batch_size"
        )


def _first(part: Override, sweeping: bool) -> Override:
    """The override itself, or the first of those that it stands for in a sweep."""
    if not part.is_sweep_override():
        return part
    if not sweeping:
        key, _, value = str(part.input_line).partition("=")
        raise NasError(
            f"{part.input_line}: several values need -m, one job for each; a list is written {key}=[{value}]"
        )
    if not part.is_discrete_sweep():
        return part
    try:
        value = next(iter(part.sweep_string_iterator()))
    except (HydraException, TypeError, ValueError, AttributeError):
        return part
    return parse([f"{part.get_key_element()}={value}"])[0]


def _is_choice(part: Override, more: Path | None) -> bool:
    """Whether an override chooses a file of a group, or is Hydra's own: those are composed by Hydra itself."""
    key = part.key_or_group
    folders = [CONF / key] + ([more / key] if more is not None else [])
    return "/" in key or key.startswith("hydra.") or part.package is not None or any(map(Path.is_dir, folders))


def _apply(cfg: DictConfig, part: Override) -> None:
    """Sets a value as Hydra would. Raises NasError where there is no such key, or the value does not fit it."""
    key, line = part.key_or_group, str(part.input_line)
    exists = _has(cfg, key)
    if not exists and not (part.is_add() or part.is_force_add()):
        raise renamed(key, line.partition("=")[2] or None, cfg) or _unknown_key(cfg, key)
    if part.is_delete() or part.is_sweep_override():
        return
    value: Any = part.value()
    if exists and part.is_add() and not isinstance(value, dict):
        raise NasError(f"{line}: {key} exists already: write {line.lstrip('+')}")
    if exists:
        wanted = _misfit(
            key, OmegaConf.select(cfg, key, throw_on_missing=False, throw_on_resolution_failure=False), value
        )
        if wanted:
            raise NasError(f"{line.lstrip('+')}: {key} takes {wanted}")
    try:
        OmegaConf.update(cfg, key, value, merge=True, force_add=True)
    except (OmegaConfBaseException, ValueError, TypeError, KeyError) as error:
        raise NasError(f"{line}: {one_line(error)}") from None


def _has(cfg: DictConfig, key: str) -> bool:
    parent, _, leaf = key.rpartition(".")
    node: Any = OmegaConf.select(cfg, parent, throw_on_resolution_failure=False) if parent else cfg
    if isinstance(node, ListConfig):
        return leaf.isdigit() and int(leaf) < len(node)
    return isinstance(node, DictConfig) and leaf in list(node.keys())


def _misfit(key: str, default: Any, value: Any) -> str | None:
    """What ``key`` takes, where a value of another type was given. The trainer's options are Lightning's to judge."""
    if value is None or default is None or (isinstance(value, str) and "${" in value):
        return None
    if key.startswith("trainer.") and key != "trainer.max_epochs":
        return None
    if key in PER_CHANNEL and isinstance(value, list):
        return None
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, int):
        if number and value < 0 <= default:
            return "a whole number, not below 0"
        return None if number and float(value).is_integer() else f"a whole number (such as {default})"
    if isinstance(default, float):
        return None if number else f"a number (such as {default})"
    if isinstance(default, ListConfig):
        return None if isinstance(value, list) else f"a list (such as {one_line(default)})"
    return None


def _unknown_key(cfg: DictConfig, key: str) -> NasError:
    """The error for a key that does not exist, with the nearest of its siblings, or of all keys."""
    parent, _, leaf = key.rpartition(".")
    siblings = OmegaConf.select(cfg, parent, throw_on_resolution_failure=False) if parent else None
    if parent and siblings is None and _has(cfg, parent):
        return NasError(f"unknown key '{key}': {parent} is null, so give it whole: '{parent}={{{leaf}: VALUE}}'")
    if isinstance(siblings, DictConfig) and parent:
        return unknown("key", key, [f"{parent}.{name}" for name in map(str, siblings) if not name.startswith("_")])
    known = [name for name in _keys(cfg) if not name.startswith("hydra")]
    near = [name for name in known if "." in name and name.rpartition(".")[2] == leaf][:3]
    near = near or difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    groups = ", ".join(str(name) for name in cfg if name != "hydra")
    return NasError(f"unknown key '{key}': {hint}at the top there are {groups}")


def _keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in map(str, cfg):
        yield f"{prefix}{name}"
        node = cfg._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation() and name != "hydra":
            yield from _keys(node, f"{prefix}{name}.")


def _not_composed(error: Exception) -> NasError:
    """The one line for what Hydra says on several."""
    options: Sequence[str] | None = getattr(error, "options", None)
    missing = getattr(error, "missing_cfg_file", None)
    if missing and options:
        group, _, name = str(missing).rpartition("/")
        return renamed(group, name) or unknown(group, name, options)
    text = one_line(error) if str(error) else one_line(error.__cause__ or type(error).__name__)
    if isinstance(error, ConfigCompositionException) and isinstance(error.__cause__, OmegaConfBaseException):
        text = f"{text} {one_line(error.__cause__)}"
    absent = re.match(r"Could not override '([^']+)'", text)
    old = renamed(absent[1]) if absent else None
    if old is not None:
        return old
    doubled = re.match(r"Multiple values for (\S+)\.", text)
    if doubled:
        return NasError(f"{doubled[1]} is chosen more than once: write {doubled[1]}=NAME, once and without +")
    return NasError(re.sub(r"\s*(full_key|object_type|reference_type)[:=].*", "", text))
