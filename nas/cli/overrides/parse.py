"""The command line as text, before Hydra reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from nas.cli.overrides.renamed import renamed
from nas.utils.errors import NasError, one_line, unknown

CONF = Path(__file__).parents[3] / "conf"
PATHS = ("ckpt_path", "hydra.run.dir", "hydra.sweep.dir")
FILES = (
    "dataset.root",
    "dataset.class_list",
    "dataset.split",
    "dataset.subset",
    "dataset.test_split",
    "paths.data",
    "paths.benchmark",
)
TEXTS = ("genotype", "weights", "initial", "export.file", *FILES, *PATHS)


def override(arguments: Sequence[str], key: str) -> str | None:
    """The value that the command line gives ``key``."""
    found = [a.partition("=")[2].strip("'\"") for a in arguments if a.lstrip("+").partition("=")[0] == key]
    return found[-1] if found else None


def merge_overrides(saved: Sequence[str], given: Sequence[str]) -> list[str]:
    """Saved overrides, except those that the command line gives anew, then the command line.

    A ``~key`` of the command line takes back a saved ``+key``: then there is nothing to delete.
    """
    keys = {key_of(a) for a in given}
    added = {key_of(a) for a in saved if a.startswith("+")}
    kept = [a for a in saved if key_of(a) not in keys]
    return kept + [a for a in given if not (a.startswith("~") and key_of(a) in added)]


def key_of(argument: str) -> str:
    """The key of an override, without its prefix."""
    return argument.lstrip("+~").partition("=")[0]


def saved_overrides(directory: Path) -> list[str]:
    """The overrides a run was started with. Raises NasError where ``directory`` is no run directory."""
    path = directory / ".hydra" / "overrides.yaml"
    if not path.is_file():
        raise NasError(f"{directory} is not a run directory: there is no {path}")
    try:
        found = yaml.safe_load(path.read_text()) or []
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise NasError(f"{path} is damaged: {one_line(error)}") from None
    if not isinstance(found, list) or not all(isinstance(line, str) for line in found):
        raise NasError(f"{path} is damaged: it is no list of overrides")
    return found


def saved_choices(directory: Path) -> dict[str, Any]:
    """Which file of each group a run was started with; none where it keeps no record."""
    path = directory / ".hydra" / "hydra.yaml"
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = dict(yaml.safe_load(path.read_text())["hydra"]["runtime"]["choices"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise NasError(f"{path} is damaged: {one_line(repr(error))}") from None
    return found


def quote(text: str) -> str:
    """``text`` so that Hydra's grammar reads it as it is."""
    mark = '"' if "'" in text and '"' not in text else "'"
    return mark + text.replace(mark, f"\\{mark}") + mark


def readable(argument: str) -> str:
    """An override whose value is a genotype or a path, in quotes where Hydra could not read it bare.

    So a genotype needs only the shell's own quotes. Commas between genotypes still make a sweep.
    """
    key, _, value = argument.partition("=")
    name = key.lstrip("+")
    if name in PATHS and value.startswith("~/"):
        value = str(Path(value).expanduser())
    if name not in TEXTS or not value or _parses(f"{key}={value}"):
        return f"{key}={value}" if value else argument
    parts = re.split(r",\s*(?=Genotype\(|\|)", value) if name == "genotype" else [value]
    return f"{key}={','.join(map(quote, parts))}"


def parse(arguments: Sequence[str]) -> list[Override]:
    """The overrides. Raises NasError, with a way to quote it, for one that Hydra's grammar does not cover."""
    parser = OverridesParser.create()
    found = []
    for argument in arguments:
        try:
            found.append(parser.parse_override(argument))
        except (HydraException, ValueError) as error:
            raise _unreadable(argument, error) from None
    return found


def check_choices(arguments: Sequence[str]) -> None:
    """Raises NasError for a choice that no file under conf/ offers, naming the nearest one."""
    for argument in arguments:
        group, _, value = argument.lstrip("+~").partition("=")
        folder = CONF / group
        if not value or "/" in group or "." in group or not (folder.is_dir() or group == "experiment"):
            continue
        choices = [path.stem for path in folder.glob("*.yaml")]
        for name in value.split(","):
            if name.strip("'\"[] ") == "null":
                raise NasError(f"{argument}: leave {group} out, or take it away by ~{group}")
            if name.strip("'\"[] ") not in choices:
                raise renamed(group, name.strip("'\"[] ")) or unknown(group, name, choices)


def _parses(argument: str) -> bool:
    try:
        OverridesParser.create().parse_override(argument)
    except (HydraException, ValueError):
        return False
    return True


def _unreadable(argument: str, error: Exception) -> NasError:
    key, equals, value = argument.partition("=")
    if not equals:
        return NasError(f"'{argument}' is not an override: write key=value (GROUP=NAME, seed=1, space.channels=8)")
    if re.search(r"[^\w.@/+~-]", key) or not key.strip("+~"):
        return NasError(f"'{argument}' is not an override: '{key}' is no key")
    hint = f'put quotes within quotes: "{key}={quote(value)}"'
    if value[:1] in tuple("[{("):
        hint = "see that its brackets, commas and quotes match"
    return NasError(f"'{argument}' cannot be read ({one_line(error).partition(' See ')[0]}): {hint}")
