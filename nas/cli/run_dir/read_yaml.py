"""Reading of Hydra's record of a run (.hydra/*.yaml), which is untrusted, as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.utils.errors import NasError, one_line
from nas.utils.read_file import read_text

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
PLAIN = (str, bool, int, float, type(None))
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file: mappings, lists, text, numbers, true, false and null.

    Raises:
        NasError: if the file cannot be read, is larger or deeper than any record, or has anchors, tags or other values.
    """
    try:
        text = read_text(path, MAX_BYTES)
        _check_events(yaml.parse(text, _Loader))
        content = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise NasError(f"{path} is damaged: {one_line(error)[:300]}") from None
    foreign = _foreign(content)
    if foreign is not None:
        raise NasError(f"{path} is damaged: it contains a {foreign}.")
    return content


def _check_events(events: Iterable[Any]) -> None:
    """Raise ValueError for aliases, which can multiply a small file, for tags and for deep nesting."""
    depth = 0
    for event in events:
        if getattr(event, "anchor", None) is not None:
            raise ValueError(f"line {event.start_mark.line + 1} has an anchor or alias")
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"line {event.start_mark.line + 1} has the tag {event.tag}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"line {event.start_mark.line + 1} is nested deeper than {MAX_DEPTH} levels")


def _foreign(value: Any) -> str | None:
    """Return the type of the first value that is not plain, such as a date."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        return next(filter(None, map(_foreign, value)), None)
    return None if isinstance(value, PLAIN) else type(value).__name__


def record_of(content: Any, path: Path, trusted: Any = None) -> DictConfig:
    """Return the plain content of ``path`` as a configuration in which interpolations, ``${...}``, are plain text.

    An interpolation is kept if the plain values ``trusted`` have the same one at the same key.

    Raises:
        NasError: if it is not a configuration.
    """
    try:
        record = OmegaConf.create(_as_text(content, trusted))
        assert isinstance(record, DictConfig)
    except (AssertionError, ValueError, TypeError, OmegaConfBaseException) as error:
        raise NasError(f"{path} is damaged: {one_line(error)[:300] or 'it is not a configuration'}") from None
    return record


def _as_text(value: Any, trusted: Any) -> Any:
    if isinstance(value, dict):
        below = trusted if isinstance(trusted, dict) else {}
        return {key: _as_text(part, below.get(key)) for key, part in value.items()}
    if isinstance(value, list):
        beside = trusted if isinstance(trusted, list) and len(trusted) == len(value) else len(value) * [None]
        return [_as_text(*pair) for pair in zip(value, beside, strict=True)]
    if not isinstance(value, str) or value == trusted:
        return value
    return value.replace("${", "$ {").replace("???", "? ? ?")
