"""Composition of the configuration before Hydra's own run, with one line for each mistake."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.foreign_arguments import foreign_argument
from nas.cli.overrides.hydra_internals import Override, OverrideType, lowest_value, missing_choice, refused_key
from nas.cli.overrides.override_type import check_resolved_text, check_type, has_key
from nas.cli.overrides.parse import key_of, parse
from nas.cli.overrides.program_groups import check_group, foreign_file
from nas.cli.overrides.renamed import refuse_renamed, renamed
from nas.cli.overrides.value_type import output_keys, values_set, wanted_type, wanted_type_in_record
from nas.utils.errors import NasError, nearest, one_line, unknown
from nas.utils.program import program

OPTIONAL_GROUPS = ("proxy", "evaluator", "ranking", "executor", "predictor")
"""Groups that only some methods or modes of search.py include."""
LAUNCHER_EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}
"""Extras of the package with the plugin of a launcher."""


def compose_job(
    job: str,
    arguments: Sequence[str],
    flags: argparse.Namespace,
    sweeping: bool | None = None,
    saved: Mapping[str, Path] | None = None,
) -> DictConfig:
    """Compose the configuration of a job, Hydra's own part included; of the first job of a sweep.

    Args:
        job: "search" or "train".
        arguments: overrides.
        flags: Hydra's flags.
        sweeping: whether the command line is of a sweep; None: the flag --multirun.
        saved: the arguments that come from the record of a run, with the file of the record.

    Raises:
        NasError: for an unknown key or choice, a name of an earlier version, or a value of the wrong type.
    """
    sweeping = bool(flags.multirun) if sweeping is None else sweeping
    try:
        return _compose_job(job, arguments, flags, sweeping, saved or {})
    except NasError as error:
        first = re.match(r"(?:unknown (?:key|option) ')?\+*([\w.@/]+)", str(error))
        file = next((file for line, file in (saved or {}).items() if first and key_of(line) == first[1]), None)
        if file is None:
            raise
        raise NasError(f"{file}: {error}") from None


def _compose_job(
    job: str, arguments: Sequence[str], flags: argparse.Namespace, sweeping: bool, saved: Mapping[str, Path]
) -> DictConfig:
    overrides = [_first_of_sweep(part, sweeping) for part in parse(arguments)]
    for part in overrides:
        if part.type == OverrideType.CHANGE:
            check_group(job, part.key_or_group, str(part.input_line).partition("=")[2])
    more = _config_dir(flags)
    values = [part for part in overrides if not _is_choice(part, more)]
    choices = [part for part in overrides if part not in values]
    with initialize_config_dir(str(CONF), job_name=job, version_base="1.3"):
        cfg = defaults = _compose(job, choices, more)
        if values:
            cfg = _compose(job, overrides, more, defaults)
    _refuse_outputs(defaults, [part for part in values if str(part.input_line) in saved])
    for part in values:
        check_type(defaults, part, wanted_type_in_record if str(part.input_line) in saved else wanted_type)
        check_resolved_text(defaults, cfg, part)
    refuse_renamed(cfg)
    _refuse_nameless(cfg, {part.key_or_group for part in values})
    return cfg


def _refuse_nameless(cfg: DictConfig, given: Set[str]) -> None:
    """Raise NasError for a method or a space whose file lacks a name; keys in ``given`` may have removed it."""
    for group in ("method", "space"):
        node = OmegaConf.select(cfg, group, throw_on_resolution_failure=False)
        if not isinstance(node, DictConfig) or not isinstance(node.get("_target_"), str):  # refused later
            continue
        if "name" not in node and not {group, f"{group}.name"} & given:
            choice = OmegaConf.select(cfg, f"hydra.runtime.choices.{group}")
            raise NasError(f"{group}={choice}: its file lacks the key name. Add the line 'name: {choice}'.")


@contextmanager
def composer(job: str, flags: argparse.Namespace) -> Iterator[Callable[[Sequence[str]], DictConfig]]:
    """Provide a function that composes the configuration for a list of overrides without several values."""
    more = _config_dir(flags)

    def compose_lines(lines: Sequence[str]) -> DictConfig:
        parts = parse(lines)
        try:
            return _compose(job, parts, more)
        except NasError:  # again, with the configuration that the hints of an error need
            return _compose(job, parts, more, _compose(job, [part for part in parts if _is_choice(part, more)], more))

    with initialize_config_dir(str(CONF), job_name=job, version_base="1.3"):
        yield compose_lines


def is_removal_of_unknown(line: str, error: NasError) -> bool:
    """Return whether an error of the composition is about the key of ``~key``, which does not exist."""
    return line.startswith("~") and str(error).startswith(f"unknown key '{key_of(line)}'")


def _config_dir(flags: argparse.Namespace) -> Path | None:
    """Return the directory of further configuration files. Raises NasError if it does not exist."""
    more = Path(flags.config_dir).absolute() if flags.config_dir else None
    if more is not None and not more.is_dir():
        raise NasError(f"--config-dir={flags.config_dir}: there is no directory {more}.")
    return more


def _compose(job: str, parts: Sequence[Override], more: Path | None, defaults: DictConfig | None = None) -> DictConfig:
    """Compose by Hydra; ``defaults`` (the configuration without values) serves the hints of an error."""
    lines = [str(part.input_line) for part in parts]
    if more is not None:
        lines.append(f"hydra.searchpath=['file://{more}']")
    try:
        return compose(job, overrides=lines, return_hydra_config=True)
    except yaml.YAMLError as error:
        raise _unreadable_yaml(error) from None
    except UnicodeDecodeError as error:
        raise NasError(f"a configuration file is not UTF-8 text: {one_line(error)}. Save it as UTF-8.") from None
    except (HydraException, OmegaConfBaseException) as error:
        cause, (_, key) = error, refused_key(error) or ("", "")
    except (ValueError, TypeError, AttributeError) as error:  # a file that holds a list or a text
        raise NasError(f"the configuration files do not fit together: {one_line(error)}. Each holds keys.") from None
    lines_of = {part.key_or_group: str(part.input_line) for part in parts}
    if job == "search" and key in OPTIONAL_GROUPS and key in lines_of:
        others = [part for part in parts if part.key_or_group != key]
        raise _unused_group(_compose(job, others, more), lines_of[key])
    if job == "search" and key in OPTIONAL_GROUPS and {"experiment", "method"} <= lines_of.keys():
        given, method = lines_of["experiment"], lines_of["method"]
        raise NasError(f"{given}: it sets {key}, which {method} does not use. Remove {method}, or {given}.")
    raise _not_composed(cause, parts, defaults)


def _unreadable_yaml(error: yaml.YAMLError) -> NasError:
    """Return the error for a file that YAML cannot read, with its name and line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or one_line(error)
    place = "a configuration file" if mark is None else f"{mark.name}, line {mark.line + 1}"
    fix = "Indent with spaces." if "\\t" in problem else "Correct the file."
    return NasError(f"{place}: {problem}. {fix}")


def _unused_group(cfg: DictConfig, given: str) -> NasError:
    """Return the error for an override of one of OPTIONAL_GROUPS that the method or mode does not include."""
    group, method = re.split(r"[.=]", given)[0], cfg.hydra.runtime.choices.method
    if group == "ranking":
        return NasError(f"{given}: mode={cfg.mode} ranks no architectures. Remove it, or set mode=rank_proxies.")
    if group == "evaluator":
        return NasError(f"{given}: method={method} uses no evaluator. Remove it, or set method=random_search.")
    if group == "executor":
        return NasError(f"{given}: method={method} evaluates no candidates. Remove it, or set method=random_search.")
    if group == "predictor":
        return NasError(f"{given}: method={method} uses no predictor. Remove it, or set method=bananas.")
    if "evaluator" in cfg:
        chosen = cfg.hydra.runtime.choices.evaluator
        return NasError(f"{given}: evaluator={chosen} uses no proxy. Remove it, or set evaluator=zero_cost.")
    if "proxies" in cfg.method:
        return NasError(f"{given}: method={method} has proxies. Use +{given} 'method.proxies=[${{proxy}}]'.")
    return NasError(f"{given}: method={method} uses no proxy. Remove it, or set mode=rank_proxies.")


def _first_of_sweep(part: Override, sweeping: bool) -> Override:
    """Return the override itself, or its first value in a sweep."""
    if not part.is_sweep_override():
        return part
    if not sweeping:
        key, _, value = str(part.input_line).partition("=")
        hint = "" if key == "seed" else f" A list is {key}=[{value}]."
        raise NasError(f"{part.input_line}: several values need -m, one job for each.{hint}")
    try:
        value = lowest_value(part) or next(iter(part.sweep_string_iterator()))
    except (HydraException, TypeError, ValueError, AttributeError):
        return part
    return parse([f"{part.get_key_element()}={value}"])[0]


def _is_choice(part: Override, more: Path | None) -> bool:
    """Return whether an override chooses a file of a group, or belongs to Hydra itself."""
    key = part.key_or_group
    folders = [CONF / key] + ([more / key] if more is not None else [])
    return "/" in key or key.startswith("hydra.") or part.package is not None or any(map(Path.is_dir, folders))


def _refuse_outputs(defaults: DictConfig, parts: Sequence[Override]) -> None:
    """Raise NasError for a saved override of an output path, because the record is untrusted."""
    outputs = set(output_keys(OmegaConf.to_container(defaults, resolve=False))) if parts else set()
    for part in parts:
        for key, _ in values_set(part.key_or_group, None if part.is_delete() else part.value()):
            if key in outputs and not part.is_delete():
                raise NasError(f"{key}: a saved run does not set where to write. Give {key} on the command line.")


def _not_composed(error: Exception, parts: Sequence[Override], defaults: DictConfig | None) -> NasError:
    """Return a single line for an error of Hydra's composition, which has several lines."""
    choice = missing_choice(error)
    if choice is not None:
        group, name, available = choice
        if group == "hydra/launcher" and name in LAUNCHER_EXTRAS:
            install = f"pip install 'nas-compose[{LAUNCHER_EXTRAS[name]}]'"
            return NasError(f"hydra/launcher={name}: the plugin of this launcher is not installed. Run {install}.")
        return renamed(group, name) or unknown(group, name, available)
    kind, key = refused_key(error) or ("", "")
    lines = [str(part.input_line) for part in parts if part.key_or_group == key]
    line = lines[-1] if lines else key
    if kind == "exists":
        return NasError(f"{line}: {key} exists already. Write {line.lstrip('+')}.")
    if kind == "chosen twice":
        return NasError(f"{key} is chosen more than once. Write {key}=NAME, once and without +.")
    if kind == "unknown" and line.startswith("~") and defaults is not None and has_key(defaults, key):
        return NasError(f"~{key}: {key} is null already, and Hydra cannot remove it. Leave out ~{key}.")
    replaced = any(key.startswith(f"{part.key_or_group}.") and isinstance(part.value(), dict) for part in parts)
    if line.startswith(f"{key}={{") and not replaced and defaults is not None and has_key(defaults, key):
        advice = f"'~{key}' '+{line}'" if "_target_" in line else f"'++{line}'"  # ++ keeps the keys of another class
        return NasError(f"{key}: the mapping has a key that the present value lacks. Write {advice}.")
    if kind == "unknown":
        known = renamed(key, line.partition("=")[2] or None, defaults) or foreign_file(str(error))
        if known is not None:
            return known
        if defaults is not None:
            return _unknown_key(defaults, key, line.partition("=")[2] or None)
    text = one_line(error) if str(error) else one_line(error.__cause__ or type(error).__name__)
    if isinstance(error, ConfigCompositionException) and isinstance(error.__cause__, OmegaConfBaseException):
        text = f"{text} {one_line(error.__cause__)}"
    return NasError(re.sub(r"\s*(full_key|object_type|reference_type)[:=].*", "", text))


def _unknown_key(cfg: DictConfig, key: str, value: str | None) -> NasError:
    """Return the error for a key that does not exist, with keys of the same last part, its siblings, or all keys."""
    parent, _, leaf = key.rpartition(".")
    group = key.partition(".")[0]
    if group in OPTIONAL_GROUPS and group not in cfg and "method" in cfg:
        return _unused_group(cfg, key)
    siblings = OmegaConf.select(cfg, parent, throw_on_resolution_failure=False) if parent else None
    if parent and siblings is None and has_key(cfg, parent):
        return NasError(f"unknown key '{key}': {parent} is null. Set the whole mapping: '{parent}={{{leaf}: VALUE}}'")
    if isinstance(siblings, DictConfig) and leaf in siblings:
        return NasError(f"{key}: the command line also replaces {parent}. Leave out one of the two.")
    if isinstance(siblings, DictConfig) and parent and not siblings:
        return NasError(f"unknown key '{key}': {parent} has no keys. Check the file that it is read from.")
    if key == "space.ops" and isinstance(siblings, DictConfig):
        return NasError(
            f"space.ops: the ops of space={siblings.get('name')} are fixed. Use space=darts, or a custom space."
        )
    longer = [repr(name) for name in _keys(cfg) if name.endswith(f".{key}")][:3]
    if parent and longer:
        return NasError(f"unknown key '{key}': did you mean {' or '.join(longer)}?")
    elsewhere = [name for name in _keys(cfg) if name.rpartition(".")[2] == leaf and not name.startswith("hydra")]
    if isinstance(siblings, DictConfig) and parent and elsewhere:
        near = [repr(name) for name in nearest(key, elsewhere, 3, cutoff=0.0)]
        return NasError(f"unknown key '{key}': did you mean {' or '.join(near)}?")
    if isinstance(siblings, DictConfig) and parent:
        error = unknown("key", key, [f"{parent}.{name}" for name in map(str, siblings) if not name.startswith("_")])
        custom = f" An option of a custom space needs +: +{key}={value}." if parent == "network" and value else ""
        return NasError(f"{error}{custom}")
    names = [name for name in _keys(cfg) if not name.startswith("hydra")]
    job, other = ("search", "train") if "method" in cfg else ("train", "search")
    foreign = foreign_argument(job, key, value)
    if foreign is not None and not any(name.rpartition(".")[2] == key for name in names):
        return foreign
    if group not in cfg and group in yaml.safe_load((CONF / f"{other}.yaml").read_text(encoding="utf-8")):
        return NasError(f"{key}: an option of {program(other)}, which {program(job)} does not have. Leave it out.")
    near = _nearest(key, names)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    groups = ", ".join(str(name) for name in cfg if name != "hydra")
    return NasError(f"unknown key '{key}': {hint}The top level has {groups}.")


def _nearest(key: str, names: Sequence[str]) -> list[str]:
    """Return the keys most similar to ``key``, best first: up to three with the same last part, else one other."""
    leaf = key.rpartition(".")[2].lower()
    same = [name for name in names if "." in name and name.rpartition(".")[2].lower() == leaf]
    return nearest(key, same, 3, cutoff=0.0) or nearest(key, names, 1)


def _keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in map(str, cfg):
        yield f"{prefix}{name}"
        node = cfg._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation() and name != "hydra":
            yield from _keys(node, f"{prefix}{name}.")
