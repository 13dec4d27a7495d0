"""Directories of the user's configuration, which are trusted: conf/, --config-dir and hydra.searchpath."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.installed import installed_choices
from nas.cli.overrides.parse import quote

_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")


def search_path(config_dir: str | None, arguments: Sequence[str] = ()) -> list[Path]:
    """Return conf/, the directory of ``--config-dir``, and those of ``hydra.searchpath`` on the command line."""
    given = [line for line in arguments if line.lstrip("+").startswith("hydra.searchpath=")]
    directories = [CONF] if config_dir is None else [CONF, Path(config_dir).absolute()]
    for entry in re.findall(r"[^\s,'\"\[\]]+", given[-1].partition("=")[2]) if given else ():
        kind, separator, rest = entry.partition("://")
        if kind == "pkg" and separator:
            directories += _package(rest)
        else:
            directories.append(Path(rest if separator else entry).absolute())
    return directories


def search_path_of_run() -> list[Path]:
    """Return the directories of the running job; only conf/ outside of a job."""
    if not (HydraConfig.initialized() and GlobalHydra.instance().is_initialized()):
        return [CONF]
    sources = HydraConfig.get().runtime.config_sources
    directories = [
        _package(s.path) if s.schema == "pkg" else [Path(s.path)] for s in sources if s.schema in ("file", "pkg")
    ]
    return [CONF, *(path for paths in directories for path in paths)]


def is_group(key: str, path: Sequence[Path]) -> bool:
    """Return whether a key is a group of the user's configuration, or may be one of Hydra or a package."""
    return "/" in key or any((directory / key).is_dir() for directory in path)


def is_choice(group: str, name: object, path: Sequence[Path]) -> bool:
    """Return whether ``name`` is a file of a group, such as ``gdas/nas_bench_201``, within the user's configuration.

    Choices of installed packages count as well.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        return False
    files = (directory / group / f"{name.removesuffix('.yaml')}.yaml" for directory in path)
    return any(map(Path.is_file, files)) or name in installed_choices(group)


def searchpath_overrides(path: Sequence[Path]) -> list[str]:
    """Return the override with which Hydra's compose reads the directories of ``path`` after the first."""
    more = ",".join(quote(f"file://{directory}") for directory in path[1:])
    return [f"hydra.searchpath=[{more}]"] if more else []


def _package(name: str) -> list[Path]:
    try:
        folder = importlib.resources.files(name.replace("/", "."))
    except (ImportError, TypeError, ValueError):
        return []
    return [folder] if isinstance(folder, Path) else []
