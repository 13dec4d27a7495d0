"""Options of a run that differ from their defaults, and the cell types of its space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.architecture.cell import Cell
from nas.cli.overrides.compose import composer
from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.hydra_internals import split_arguments
from nas.cli.overrides.installed import provide_choices
from nas.cli.overrides.parse import key_of
from nas.cli.overrides.run_record import check_overrides, overrides_file
from nas.cli.overrides.search_path import is_group
from nas.report.run import Option
from nas.utils.errors import NasError

SHAPE, CLASSES = (3, 32, 32), 10  # any values: the cells of a space do not depend on them
NO_DEFAULT = "not set"
PATH = (CONF,)


@dataclass(frozen=True)
class RunOptions:
    """Options that differ from their defaults, and the cell types of the space, empty if they are unknown."""

    changed: Sequence[Option] = ()
    cells: Mapping[str, Cell] = field(default_factory=dict)


def read_options(kind: str, overrides: Sequence[str], directory: Path) -> RunOptions:
    """Compare the overrides of a run with the defaults of the present configuration.

    Defaults are unknown for a run of another version or of another configuration directory. Only plain values and
    choices of the configuration in conf/ are composed.
    """
    unknown = RunOptions([Option(key_of(line), line.partition("=")[2], None) for line in overrides])
    try:
        check_overrides(overrides, overrides_file(directory), PATH)
        return _composed("train" if kind in ("train", "eval", "export") else "search", overrides)
    except (NasError, HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, AttributeError):
        return unknown


def _composed(job: str, overrides: Sequence[str]) -> RunOptions:
    groups = [line for line in overrides if is_group(key_of(line), PATH)]
    flags, _ = split_arguments([])
    provide_choices(overrides)
    with composer(job, flags) as compose:
        choices = compose([]).hydra.runtime.choices
        before = compose(groups)
        after = compose(overrides)
    changed = []
    for line in overrides:
        key, value = key_of(line), line.partition("=")[2]
        default = str(choices.get(key, NO_DEFAULT)) if line in groups else _text_at(before, key)
        if value != default:
            changed.append(Option(key, value, default))
    space = instantiate(after.space, shape=SHAPE, classes=CLASSES, _convert_="all") if job == "search" else None
    return RunOptions(changed, {} if space is None else dict(space.cells))


def _text_at(cfg: DictConfig, key: str) -> str:
    """Return the value of a dotted key as text; an interpolation that needs a running job stays as it is."""
    value = OmegaConf.select(cfg, key, default=NO_DEFAULT, throw_on_resolution_failure=False)
    if value is None:
        plain: Any = OmegaConf.to_container(cfg, resolve=False)
        for part in key.split("."):
            plain = plain.get(part) if isinstance(plain, dict) else None
        value = plain
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
