"""Boundary to the parts of Hydra outside its documented API.

No other module imports ``hydra._internal`` or ``hydra.core.override_parser``, or reads the text of Hydra's errors.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from hydra._internal import utils
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, RangeSweep, Sweep
from hydra.core.override_parser.types import Override as Override
from hydra.core.override_parser.types import OverrideType as OverrideType
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf, read_write

from nas.utils.errors import NasError, one_line

BASIC_SWEEPER = f"{BasicSweeper.__module__}.{BasicSweeper.__name__}"
BASIC_LAUNCHER = f"{BasicLauncher.__module__}.{BasicLauncher.__name__}"
SUPPORTED = ("1.3",)
"""Minor versions of Hydra that tests/cli/overrides/test_hydra_internals.py was written for."""

MESSAGES = {
    "unknown": r"Could not override '([^']+)'|Could not delete from config\. '([^']+)' does not exist",
    "exists": r"Could not append to config\. An item is already at '([^']+)'",
    "chosen twice": r"Multiple values for ([^\s.]+)\.",
}


def split_arguments(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Parse a command line by Hydra's own parser.

    Returns:
        The values of Hydra's flags (``overrides`` holds all positional arguments), and the unknown flags.

    Raises:
        NasError: for a flag without the value that it needs, or with one that it does not accept.
    """
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise NasError(f"{one_line(message)}. --hydra-help lists the options of Hydra and their values.")

    parser.error = refuse  # type: ignore[method-assign]  # argparse prints two lines and exits with 2
    return parser.parse_known_intermixed_args(arguments)


def adapt_help(
    replacements: Mapping[str, str], hidden_groups: Collection[str], shown: Mapping[str, Collection[str]]
) -> None:
    """Adapt Hydra's help and tab completion to one of the programs.

    Files named ``_*.yaml``, which other files include, are left out.

    Args:
        replacements: texts of the help and their replacements, such as the names of the installed commands.
        hidden_groups: groups that the program does not have.
        shown: the only choices to show of a group, by group.
    """
    get_group_options, get_help = ConfigLoaderImpl.get_group_options, Hydra.get_help

    def visible_options(self: ConfigLoaderImpl, group_name: str, *arguments: Any, **options: Any) -> list[str]:
        if group_name.partition("/")[0] in hidden_groups:
            return []
        names = get_group_options(self, group_name, *arguments, **options)
        return [name for name in names if not name.startswith("_") and name in shown.get(group_name, names)]

    def adapted_help(self: Hydra, *arguments: Any, **options: Any) -> str:
        text = get_help(self, *arguments, **options)
        for name, replacement in replacements.items():
            text = text.replace(name, replacement)
        return text

    ConfigLoaderImpl.get_group_options = visible_options  # type: ignore[method-assign]
    Hydra.get_help = adapted_help  # type: ignore[method-assign]


def raise_errors() -> None:
    """Let Hydra raise the errors of a run, such as those of a launcher, instead of printing a traceback itself."""
    utils.run_and_report = lambda func: func()


@contextmanager
def known_mode(mode: RunMode | None) -> Iterator[None]:
    """Let Hydra use ``mode``, the value of hydra.mode, instead of composing the configuration only to read it."""
    composed = Hydra.get_mode
    Hydra.get_mode = lambda self, config_name, overrides: mode  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = composed  # type: ignore[method-assign]


@contextmanager
def jobs_remove_keys() -> Iterator[None]:
    """Let the configuration of a sweep itself lack a key of ``~key``, which its jobs have.

    Hydra composes this configuration with the default choice of each swept group.
    """
    load = ConfigLoaderImpl.load_configuration

    def load_configuration(
        self: ConfigLoaderImpl, config_name: str | None, overrides: list[str], run_mode: RunMode, **options: Any
    ) -> Any:
        given, left_out = list(overrides), list[str]()
        while True:
            try:
                cfg = load(self, config_name, given, run_mode, **options)
                break
            except ConfigCompositionException as error:
                kind, key = refused_key(error) or ("", "")
                found = [line for line in given if line.startswith("~") and line[1:].partition("=")[0] == key]
                if run_mode != RunMode.MULTIRUN or kind != "unknown" or not found:
                    raise
                given, left_out = [line for line in given if line not in found], left_out + found
        if left_out:
            with read_write(cfg.hydra.overrides):
                cfg.hydra.overrides.task.extend(left_out)
        return cfg

    ConfigLoaderImpl.load_configuration = load_configuration  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_configuration = load  # type: ignore[method-assign]


def parse_override(argument: str) -> Override:
    """Parse one override by Hydra's grammar. Raises HydraException or ValueError."""
    return OverridesParser.create().parse_override(argument)


def expand_sweep(arguments: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job that Hydra's basic sweeper starts for a command line. Raises HydraException.

    Hydra must be initialized, because ``glob`` in an override lists the choices of a group.
    """
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return list(BasicSweeper.split_arguments(parser.parse_overrides(list(arguments)), max_batch_size=None)[0])


@dataclass(frozen=True)
class SweptValues:
    """Values of one override with several values.

    Attributes:
        key: its key, with its prefix.
        texts: the values of a list or a range in the grammar of overrides, none for an interval.
        bounds: lowest and highest value of a range or an interval, None for a list. Integers if all values are.
        step: distance of the values of a range, None otherwise.
        tags: the tags, such as log.
    """

    key: str
    texts: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None
    step: float | None = None
    tags: frozenset[str] = frozenset()


def lowest_value(part: Override) -> str | None:
    """Return the lower bound of an override with an interval as text, None for any other override."""
    sweep = part.value()
    return str(sweep.start) if isinstance(sweep, IntervalSweep) else None


def read_sweep(arguments: Sequence[str]) -> tuple[list[str], list[SweptValues]]:
    """Return the overrides with one value, and those with several. The last override of a key replaces earlier ones.

    Hydra must be initialized, as for ``expand_sweep``.

    Raises:
        HydraException: for an argument that is no override.
        NasError: for an empty range or interval.
    """
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parts = {part.get_key_element(): part for part in parser.parse_overrides(list(arguments))}
    single, swept = [], []
    for part in parts.values():
        values = _swept_values(part) if part.is_sweep_override() else None
        if values is None or (len(values.texts) == 1 and values.bounds is None):  # a list of one value
            single.append(str(part.input_line) if values is None else f"{values.key}={values.texts[0]}")
        else:
            swept.append(values)
    return single, swept


def _swept_values(part: Override) -> SweptValues:
    key, sweep = part.get_key_element(), part.value()
    tags = frozenset(sweep.tags) if isinstance(sweep, Sweep) else frozenset()  # a glob has none
    if isinstance(sweep, IntervalSweep):
        if sweep.start is None or sweep.end is None or not sweep.start < sweep.end:
            raise NasError(f"{part.input_line}: the interval is empty. Give the lower bound first.")
        return SweptValues(key, (), (sweep.start, sweep.end), None, tags)
    texts = tuple(dict.fromkeys(part.sweep_string_iterator()))
    if not texts:
        raise NasError(f"{part.input_line}: it has no values. Give at least one.")
    if not isinstance(sweep, RangeSweep):
        return SweptValues(key, texts, None, None, tags)
    numbers = [int(text) if re.fullmatch(r"-?\d+", text) else float(text) for text in texts]
    return SweptValues(key, texts, (min(numbers), max(numbers)), abs(sweep.step), tags)


def set_by_file(config_name: str, choice: str, arguments: Sequence[str]) -> list[tuple[str, Any]]:
    """Return the groups that a configuration file chooses and the keys that it sets, with their values.

    Files that it includes count as well. Hydra must be initialized.

    Args:
        config_name: the primary configuration.
        choice: the file, such as ``experiment/mine``.
        arguments: overrides; one of them chooses the file.
    """
    loader: Any = GlobalHydra.instance().config_loader()
    _, repository = loader._parse_overrides_and_create_caching_repo(config_name, list(arguments))
    found = loader.compute_defaults_list(config_name, list(arguments), RunMode.MULTIRUN)
    included = {choice}
    for _ in found.defaults:  # once for each level, because a file may precede those that include it
        included |= {part.config_path for part in found.defaults if part.parent in included}
    chosen = found.overrides.override_choices
    metadata = found.overrides.override_metadata
    pairs = [(group, chosen[group]) for group in chosen if metadata[group].containing_config_path in included]
    for default in found.defaults:
        if default.config_path in included:
            pairs += _leaves(loader._load_single_config(default, repository).config)
    return pairs


def _leaves(config: Any) -> list[tuple[str, Any]]:
    """Return the keys of a configuration that hold no further keys, with their values."""
    pairs: list[tuple[str, Any]] = []
    todo: list[tuple[str, Any]] = [("", OmegaConf.to_container(config, resolve=False))]
    while todo:
        key, value = todo.pop()
        if isinstance(value, dict):
            todo += [(f"{key}.{name}" if key else str(name), part) for name, part in value.items()]
        else:
            pairs.append((key, value))
    return pairs


def refused_key(error: Exception) -> tuple[str, str] | None:
    """Return the kind of a composition error (a key of MESSAGES) and the configuration key it names, if any."""
    for kind, pattern in MESSAGES.items():
        match = re.search(pattern, str(error))
        if match is not None:
            return kind, next(filter(None, match.groups()))
    return None


def missing_choice(error: Exception) -> tuple[str, str, list[str]] | None:
    """Return group, name and available names for an error about a configuration file that does not exist."""
    file, options = getattr(error, "missing_cfg_file", None), getattr(error, "options", None)
    if not file or not options:
        return None
    group, _, name = str(file).rpartition("/")
    return group, name, list(options)
