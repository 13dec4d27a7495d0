"""Command ``nas-search data``: list data sets and benchmark tables, and download those that are public."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from omegaconf.errors import OmegaConfBaseException

from nas.cli.commands.data.catalog import CATALOG
from nas.cli.commands.data.get import get
from nas.cli.commands.data.listing import header, rows
from nas.cli.commands.data.status import DAMAGED, readable, status_of
from nas.cli.interrupt import INTERRUPTED
from nas.cli.overrides.compose import compose_job
from nas.cli.overrides.hydra_internals import split_arguments
from nas.cli.overrides.parse import quote
from nas.utils.errors import NasError, one_line, unknown
from nas.utils.one_line_errors import one_line_errors
from nas.utils.program import program
from nas.utils.user_path import user_path

PATHS = ("paths.data", "paths.benchmark")
ACTIONS = ("get",)


def usage() -> str:
    """Return the help of the command."""
    command = f"{program('search')} data"
    return "\n".join(
        [
            f"usage: {command} [get NAME ...] [paths.data=DIR] [paths.benchmark=DIR]",
            "",
            "List all data sets and benchmark tables: available files, checksums, licenses",
            "and sources. With get, download NAME into paths.data (tables:",
            "paths.benchmark), verified by its checksum. An interrupted download is resumed.",
            "Existing files are never overwritten.",
            "",
            f"NAME: {', '.join(name for name, entry in CATALOG.items() if entry.downloadable)}",
            "",
            f"  {command}",
            f"  {command} get cifar10 splits paths.data=~/data",
        ]
    )


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if any(word in ("-h", "--help", "help") for word in words):
            print(usage())
            return 0
        names, data, benchmark = _parse(words)
        if names is None:
            return _list(data, benchmark, " ".join([f"{program('search')} data get {{name}}", *words]))
        with _log_to_stdout():
            get(names, data, benchmark)
    except KeyboardInterrupt:
        print("error: interrupted. Run the same command again to resume.", file=sys.stderr)
        return INTERRUPTED
    return 0


@contextmanager
def _log_to_stdout() -> Iterator[None]:
    """Print the log messages of the package, as Hydra does for other commands."""
    logger, handler = logging.getLogger("nas"), logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _parse(words: list[str]) -> tuple[list[str] | None, Path, Path]:
    """Return the names to get (None: list all), the data directory and the benchmark directory."""
    flags, unknown_flags = split_arguments(words)
    foreign = [*unknown_flags, *(["--multirun"] if flags.multirun else []), *(["--cfg"] if flags.cfg else [])]
    if foreign:
        raise NasError(f"data: unknown option {foreign[0]}. Use get NAME, paths.data=DIR or --help.")
    overrides = [_path_override(word) for word in flags.overrides if "=" in word]
    plain = [word for word in flags.overrides if "=" not in word]
    action = plain[0] if plain else ""
    if action and action not in ACTIONS:
        if action in CATALOG:
            raise NasError(f"data {action}: is not a command. Use data get {action}.")
        raise unknown("command of data", action, ACTIONS)
    if action and not plain[1:]:
        raise NasError(f"data get: needs a name. Use data get cifar10, or another of {', '.join(CATALOG)}.")
    cfg = compose_job("search", overrides, flags)
    try:
        data, benchmark = (user_path(str(cfg.paths[key])) for key in ("data", "benchmark"))
    except OmegaConfBaseException as error:
        raise NasError(f"data: {' '.join(overrides) or 'paths'}: cannot be resolved ({one_line(error)}).") from None
    return (plain[1:] if action else None), data, benchmark


def _path_override(word: str) -> str:
    """Return the override of a path, which is taken literally: the command has no sweeps."""
    key, _, value = word.partition("=")
    if key not in PATHS:
        raise NasError(f"data: {word}: has no effect here. Use {' and '.join(PATHS)}.")
    value = value.strip("'\"")
    if value in ("", "null"):
        raise NasError(f"data: {word}: is not a directory. Set {key} to a directory, or leave it out.")
    return f"{key}={quote(value)}"


def _list(data: Path, benchmark: Path, command: str) -> int:
    """Print the table with the command that downloads an entry; exit code 1 if a file differs."""
    print(f"data sets in {readable(data)} (paths.data), tables in {readable(benchmark)} (paths.benchmark)\n")
    print("\n".join(header()))
    code = 0
    for name, entry in CATALOG.items():
        status = None if entry.note else status_of(entry, data, benchmark)
        print("\n".join(rows(name, entry, status, command)), flush=True)
        code = 1 if status is not None and status.checksum == DAMAGED else code
    print("\nYour own images: dataset=folder, dataset=hf (docs/data.md)")
    return code


if __name__ == "__main__":
    sys.exit(main())
