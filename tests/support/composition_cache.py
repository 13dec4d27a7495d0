"""Cache of Hydra's compositions within a process of tests, which compose conf/ for few choices of groups."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.defaults_list import DefaultsList
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from tests.support.compose_tools import CONF

SOURCES = {"pkg://hydra.conf", f"file://{CONF}", "structured://"}
"""Hydra's own files, conf/, and the configurations that Hydra and its plugins register."""


@contextmanager
def cached_compositions() -> Iterator[None]:
    """Read each file of conf/ once, and compose each choice of groups once.

    Hydra applies the overrides of values to a copy. What tests write is read each time: files of other directories, and
    compositions that read such directories.
    """
    load, create_list = ConfigRepository.load_config, config_loader_impl.create_defaults_list
    compose_list = ConfigLoaderImpl._compose_config_from_defaults_list
    cache = _Cache()

    def load_config(self: ConfigRepository, config_path: str) -> Any:
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        return cache.copy([source] if source else [], ("file", config_path), lambda: load(self, config_path))

    def create_defaults_list(
        repo: Any, config_name: str | None, overrides_list: Sequence[Override], **options: Any
    ) -> DefaultsList:
        given = [override for override in overrides_list if not override.is_sweep_override()]
        groups = [override for override in given if _is_choice(repo, override)]
        key = ("list", config_name, *(override.input_line for override in groups), *options.items())
        found = cache.copy(
            repo.get_sources(), key, lambda: create_list(repo, config_name, list(overrides_list), **options)
        )
        return replace(found, config_overrides=[override for override in given if override not in groups])

    def compose_config(self: ConfigLoaderImpl, defaults: Sequence[Any], repo: Any) -> DictConfig:
        key = ("config", *map(repr, defaults))
        composed: DictConfig = cache.copy(repo.get_sources(), key, lambda: compose_list(self, list(defaults), repo))
        return composed

    with (
        mock.patch.object(ConfigRepository, "load_config", load_config),
        mock.patch.object(config_loader_impl, "create_defaults_list", create_defaults_list),
        mock.patch.object(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose_config),
    ):
        yield


class _Cache:
    """Pickled results of functions that read the files of Hydra and of conf/."""

    def __init__(self) -> None:
        self._found: dict[Any, tuple[bytes, object]] = {}

    def copy(self, sources: Sequence[Any], key: tuple[Any, ...], create: Callable[[], Any]) -> Any:
        """Return a copy of the result for a key, which ``create`` reads from some sources the first time."""
        places = {f"{source.scheme()}://{source.path}" for source in sources}
        if not sources or not places <= SOURCES:
            return create()
        nodes = list(_registered(ConfigStore.instance().repo))
        key = (*sorted(places), *((name, id(node)) for name, node in nodes), *key)
        if key not in self._found:
            self._found[key] = (pickle.dumps(create()), nodes)  # the id of a node is unique while the node exists
        return pickle.loads(self._found[key][0])


def _is_choice(repo: Any, override: Override) -> bool:
    """Return whether an override chooses a file of a group, by the rule of Hydra."""
    return repo.group_exists(override.key_or_group) and not isinstance(override.value(), dict)


def _registered(store: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the configurations that Hydra, its plugins and tests have registered, with their paths."""
    for name, value in store.items():
        if isinstance(value, dict):
            yield from _registered(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value
