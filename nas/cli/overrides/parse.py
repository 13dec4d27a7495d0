"""Overrides as text: reading, merging and quoting them, before Hydra composes the configuration."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import HydraException

from nas.cli.overrides.hydra_internals import Override, parse_override
from nas.utils.errors import NasError, one_line
from nas.utils.user_path import user_path

PATHS = ("ckpt_path", "hydra.run.dir", "hydra.sweep.dir")
FILES = (
    "dataset.root",
    "dataset.class_list",
    "dataset.split",
    "dataset.subset",
    "dataset.test_split",
    "dataset.test_list",
    "paths.data",
    "paths.benchmark",
)
TEXTS = ("genotype", "weights", "init_weights", "export.file", *FILES, *PATHS)


def value_of(arguments: Sequence[str], key: str) -> str | None:
    """Return the value that the command line gives ``key``, the last one if there are several, None if none."""
    values = [a.partition("=")[2].strip("'\"") for a in arguments if a.lstrip("+").partition("=")[0] == key]
    return values[-1] if values else None


def add_or_override(argument: str) -> str:
    """Return ``+trainer.NAME=...`` as ``++trainer.NAME=...``, which also fits the options that conf/trainer lists."""
    return f"+{argument}" if argument.startswith("+trainer.") else argument


def key_of(argument: str) -> str:
    """Return the key of an override, without its prefix."""
    return argument.lstrip("+~").partition("=")[0]


def merge_overrides(saved: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return the saved overrides whose keys the command line does not give, then those of the command line.

    ``~key`` on the command line cancels a saved ``+key`` and ``+key.NAME``; nothing is left to delete then.
    """
    keys = {key_of(a) for a in given}
    removed = tuple(f"{key_of(a)}." for a in given if a.startswith("~"))
    added = {key_of(a).removesuffix("._target_") for a in saved if a.startswith("+")}
    cancelled = [a for a in saved if a.startswith("+") and removed and f"{key_of(a)}.".startswith(removed)]
    kept = [a for a in saved if key_of(a) not in keys and a not in cancelled]
    return kept + [a for a in given if not (a.startswith("~") and key_of(a) in added)]


def quote(text: str) -> str:
    """Quote ``text`` so that Hydra's grammar reads it literally."""
    mark = '"' if "'" in text and '"' not in text else "'"
    # backslashes are literal, except before a quote: there they are doubled
    return mark + re.sub(rf"(\\*)({mark}|\Z)", lambda m: 2 * m[1] + (f"\\{mark}" if m[2] else ""), text) + mark


def quote_for_shell(key: str, value: str) -> str:
    """Return an override with text as its value, in quotes for Hydra within quotes for the shell."""
    if "$" in value and not set("'\"") & set(value):
        return f"'{key}=\"{value}\"'"  # in double quotes the shell replaces variables
    override = f"{key}={quote(value)}"
    return shlex.quote(override) if set('"$`\\') & set(override) else f'"{override}"'


def in_directory(arguments: Sequence[str], directory: Path) -> list[str]:
    """Return the command line of a sweep with another directory."""
    text = str(directory)
    value = text if re.fullmatch(r"[\w./-]+", text) else quote(text)
    return [*(line for line in arguments if key_of(line) != "hydra.sweep.dir"), f"hydra.sweep.dir={value}"]


def quote_texts(argument: str) -> str:
    """Quote the value of an override if it is a genotype or a path that Hydra's grammar cannot read unquoted.

    A genotype then needs only the quotes of the shell. Commas between genotypes still make a sweep.
    """
    key, _, value = argument.partition("=")
    name = key.lstrip("+")
    if name in PATHS and value.startswith("~/"):
        value = str(user_path(value))
    literal = name == "genotype" and value[:1] in ("[", "{")  # Hydra would read it as a list or a dict
    if name not in TEXTS or not value or (_parses(f"{key}={value}") and not literal):
        return f"{key}={value}" if value else argument
    parts = re.split(r",\s*(?=Genotype\(|\|)", value) if name == "genotype" else [value]
    return f"{key}={','.join(map(quote, parts))}"


def parse(arguments: Sequence[str]) -> list[Override]:
    """Parse overrides. Raises NasError, with the way to quote it, for one that Hydra's grammar does not cover."""
    overrides = []
    for argument in arguments:
        try:
            overrides.append(parse_override(argument))
        except (HydraException, ValueError) as error:
            raise _unreadable(argument, error) from None
    return overrides


def _parses(argument: str) -> bool:
    try:
        parse_override(argument)
    except (HydraException, ValueError):
        return False
    return True


def _unreadable(argument: str, error: Exception) -> NasError:
    key, equals, value = argument.partition("=")
    if not equals:
        return NasError(f"'{argument}' is not an override. Write key=value (GROUP=NAME, seed=1, space.channels=8).")
    if re.search(r"[^\w.@/+~-]", key) or not key.strip("+~"):
        return NasError(f"'{argument}' is not an override: '{key}' is not a key.")
    hint = f"Put quotes within quotes: {quote_for_shell(key, value)}"
    if value[:1] in tuple("[{("):
        hint = "Check that its brackets, commas and quotes match."
    return NasError(f"'{argument}' cannot be read ({one_line(error).partition(' See ')[0]}). {hint}")
