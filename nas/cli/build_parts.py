"""Parts of a run that a configuration group lists by name, and the classes that parts must have."""

from __future__ import annotations

from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from nas.utils.errors import NasError


def build_parts(cfg: DictConfig, group: str, kind: type) -> list[Any]:
    """Build the parts of a group that are not null. Raises NasError for a part of another class."""
    built: list[Any] = []
    for name, part in (cfg.get(group) or {}).items():
        if not part:
            continue
        if not isinstance(part, DictConfig) or "_target_" not in part:
            raise NasError(f"{group}.{name}={part}: it has no _target_. Set {group}.{name}._target_=PACKAGE.CLASS.")
        built.append(instantiate(part, _convert_="all"))
        check_class(f"{group}.{name}", built[-1], kind)
    return built


def check_class(key: str, built: object, kind: type) -> None:
    """Raise NasError if a part that a configuration has built is not of a class."""
    if not isinstance(built, kind):
        raise NasError(
            f"{key}._target_: {type(built).__name__} is not a {kind.__module__}.{kind.__name__}. Set a subclass."
        )
