"""Record of a run (.hydra), read as untrusted input: plain values of known keys and the user's choices only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import HydraException

from nas.cli.overrides.hydra_internals import Override, parse_override
from nas.cli.overrides.renamed import translate
from nas.cli.overrides.search_path import is_choice, is_group
from nas.cli.run_dir.read_yaml import read_yaml
from nas.utils.errors import NasError

FOLDER = ".hydra"
MAX_REFERENCES = 16
"""References of all values that are taken over: each level of references may double the size of a value."""
_RESERVED = re.compile(r"_\w+_")  # _target_, _partial_, _recursive_, _convert_, _args_
_REFERENCE = re.compile(r"\$\{\.*[A-Za-z_][\w-]*(\.[\w-]+)*\}")
_CHANGE = "Set the option on the command line, which replaces the recorded value."


def saved_overrides(directory: Path) -> list[str]:
    """Read the overrides of a run, with names of earlier versions translated. ``check_override`` checks one of them.

    Raises:
        NasError: if ``directory`` is not a run directory, its record is damaged, or a name cannot be translated.
    """
    path = overrides_file(directory)
    if not path.is_file():
        raise NasError(f"{directory} is not a run directory: there is no {path}.")
    lines = read_yaml(path) or []
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise NasError(f"{path} is damaged: it is not a list of overrides.")
    try:
        return [new for line in lines for new in translate(line)]
    except NasError as error:
        raise NasError(f"{path} is of an earlier version and cannot be read: {error}") from None


def saved_choices(directory: Path) -> dict[str, str]:
    """Read the chosen name of each configuration group of a run, empty if the run has no record of them."""
    path = choices_file(directory)
    if not path.is_file():
        return {}
    content = _runtime(path, "choices")
    if not isinstance(content, dict):
        raise NasError(f"{path} is damaged: it has no hydra.runtime.choices.")
    return {str(group): name for group, name in content.items() if isinstance(name, str)}


def saved_sources(directory: Path) -> list[dict[str, Any]]:
    """Read the directories of the configuration of a run, empty if the run has no record of them."""
    path = choices_file(directory)
    content = _runtime(path, "config_sources") if path.is_file() else None
    complete = {"path", "schema", "provider"}
    found = content if isinstance(content, list) else []
    return [source for source in found if isinstance(source, dict) and complete <= source.keys()]


def _runtime(path: Path, key: str) -> Any:
    """Return a part of ``hydra.runtime`` in Hydra's own configuration of a run, None without it."""
    content = read_yaml(path)
    for name in ("hydra", "runtime", key):
        content = content.get(name) if isinstance(content, dict) else None
    return content


def saved_config(directory: Path) -> dict[str, Any]:
    """Read the configuration of a run, with interpolations as text."""
    path = config_file(directory)
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise NasError(f"{path} is damaged: it is not a configuration.")
    return content


def saved_seeds(directory: Path) -> Any:
    """Return ``seeds`` of a run, None for one search or without a record."""
    return saved_config(directory).get("seeds") if config_file(directory).is_file() else None


def overrides_file(directory: Path) -> Path:
    """Return the file of the overrides of a run."""
    return directory / FOLDER / "overrides.yaml"


def choices_file(directory: Path) -> Path:
    """Return the file of Hydra's own configuration of a run, with the choices."""
    return directory / FOLDER / "hydra.yaml"


def config_file(directory: Path) -> Path:
    """Return the file of the configuration of a run."""
    return directory / FOLDER / "config.yaml"


def check_overrides(lines: Sequence[str], file: Path, path: Sequence[Path]) -> None:
    """Raise NasError for an override of ``file`` that must not be taken over.

    Allowed are names of choices within the user's configuration ``path``, and plain values (text, numbers, lists,
    mappings), also with references to plain keys such as ``${seed}``.
    """
    for line in lines:
        try:
            part = parse_override(line)
        except (HydraException, ValueError):
            raise NasError(f"{file}: '{line[:200]}' is not an override. Remove the line.") from None
        _check_override(part, file, path)
    if sum(line.count("${") for line in lines) > MAX_REFERENCES:
        raise NasError(f"{file}: more than {MAX_REFERENCES} references (${{KEY}}). {_CHANGE}")


def check_choice(group: str, name: Any, file: Path, path: Sequence[Path]) -> None:
    """Raise NasError if ``name`` is not a choice within the user's configuration ``path``."""
    if not is_choice(group, name, path):
        raise NasError(
            f"{file}: {group}={_short(name)} is not a choice of your configuration. Set {group}=NAME, or --config-dir "
            "if it is your own."
        )


def check_value(key: str, value: Any, file: Path) -> None:
    """Raise NasError for a value that is not plain: reserved keys such as ``_target_``, or resolvers in ``${...}``."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name) or _RESERVED.fullmatch(name):
                raise NasError(f"{file}: {key} has the key {_short(name)}, and a run sets plain values only. {_CHANGE}")
            check_value(f"{key}.{name}", part, file)
    elif isinstance(value, list):
        for position, part in enumerate(value):
            check_value(f"{key}.{position}", part, file)
    elif isinstance(value, str):
        if "${" in _REFERENCE.sub("", value):
            raise NasError(
                f"{file}: {key}={_short(value)}: a run refers to plain keys only, such as ${{seed}}. {_CHANGE}"
            )
    elif not isinstance(value, int | float | None):
        raise NasError(f"{file}: {key} is a {type(value).__name__}, and a run sets plain values only. {_CHANGE}")


def _check_override(part: Override, file: Path, path: Sequence[Path]) -> None:
    key, line = part.key_or_group, _short(part.input_line)
    places = re.split(r"[./]", f"{key}.{part.package or ''}")
    if places[0] == "hydra" or "hydra" in (part.package or "").split("."):
        raise NasError(f"{file}: {line} is an option of Hydra itself, which a run does not set. Remove the line.")
    if any(map(_RESERVED.fullmatch, places)):
        raise NasError(f"{file}: {line}: a run sets plain values only. {_CHANGE}")
    if part.is_sweep_override():
        raise NasError(f"{file}: {line} has several values. {_CHANGE}")
    if part.is_delete() and part.value() is None:
        return
    value = part.value()
    if is_group(key, path) or part.package is not None:
        for name in value if isinstance(value, list) else [value]:
            if name is not None:
                check_choice(key, name, file, path)
    else:
        check_value(key, value, file)
        _check_own_parts(key, value, file)


def _check_own_parts(key: str, value: Any, file: Path) -> None:
    """Raise NasError for a dotted name of a custom op or space, because a record must not cause an import."""
    if key.partition(".")[0] != "own_parts" and key not in ("space", "space.ops", "space.model"):
        return
    if key.startswith("own_parts") or key == "space.model" or re.search(r"[A-Za-z_]\w*\.[A-Za-z_]", str(value)):
        raise NasError(f"{file}: {key}={_short(value)}: a run does not name code to import. {_CHANGE}")


def _short(value: Any) -> str:
    """Return a value for a message; containers are not written out, since shared ones may be very long as text."""
    return str(value)[:200] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
