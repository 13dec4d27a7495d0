"""Random command lines: valid ones with a mistake in them."""

from __future__ import annotations

import json
import math
import random
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf

from nas.cli.overrides.conf_dir import CONF
from tests.campaign.kills import CELL, DATA, ENAS, NETWORK, SMALL
from tests.campaign.processes import Command, run

QUICK = ("epochs=1", "callbacks.cell_plots=null")
BASES = (
    Command("search", ("method=gdas", *SMALL, *DATA, *QUICK)),
    Command("search", ("method=darts", *SMALL, *DATA, *QUICK)),
    Command("search", ("method=drnas", *SMALL, *DATA, *QUICK)),
    Command("search", ("method=enas", *ENAS, *SMALL, *DATA, *QUICK)),
    Command("search", ("method=regularized_evolution", *SMALL, *DATA, "proxy=params", "method.budget.queries=12")),
    Command("search", ("method=bohb", *SMALL, *DATA, "proxy=macs", "method.budget.queries=12")),
    Command("search", ("mode=rank_proxies", "proxy=params", *SMALL, *DATA, "ranking.count=5")),
    Command("train", (CELL, *DATA, *NETWORK, "epochs=1")),
    Command("train", (CELL, *DATA, *NETWORK, "epochs=1", "ema=0.9", "training.drop_path=0.1")),
)
VALUES = (
    *("-1", "0", "1", "2", "0.5", "1.5", "-0.5", "nan", "inf", "-inf", "1e-30", "true", "null", "[]", "{}", "[0]"),
    *(
        "[1,2]",
        "[nan]",
        "{a:1}",
        "x",
        "''",
        "a b",
        "'a,b'",
        "é",
        "ΔΩ",
        "${seed}",
        "${nope}",
        "${oc.env:HOME}",
        "(",
        "[1,",
    ),
    *(
        "1,2",
        "range(3)",
        "'",
        '"',
        "\\",
        "=",
        "==",
        "a=b",
        "./x",
        "/",
        "*",
        "\t",
        "a\nb",
        "x" * 300,
        "0x10",
        "1_0",
        "%s",
        "{}{}",
    ),
)
AMOUNT = re.compile(
    r"epochs|size|count|queries|repet|samples|batches|steps|workers|devices|nodes|resamples|repeats|runs"
)
"""Keys of an amount of work, for which a huge value is valid and takes forever."""
FLAGS = ("--cfg", "--hlep", "-x", "--config-name=none", "--multirun", "--info=all", "-cd=none", "--package=_global_")
MEMORY = 12 << 30  # bytes of address space, so that an absurd size fails instead of filling the machine


def command_line(generator: random.Random) -> Command:
    """Return a valid command line with one or two random changes."""
    command = generator.choice(BASES)
    for _ in range(generator.choice((1, 1, 1, 2))):
        command = generator.choice(CHANGES)(command, generator)
    return command


def answer(command: Command, folder: Path) -> str | None:
    """Run a command line and return the fault if it is neither refused in one line nor ends with finite figures."""
    ended = run(command.plus("hydra.run.dir=run"), folder, "line", _limit_memory)
    problem = ended.problem()
    if problem is not None or ended.code:
        return problem
    summary = folder / "run" / "summary.json"
    if not summary.is_file():
        return None  # help, --cfg, or a directory of another name
    return next(
        (f"{key} is {value}" for key, value in _numbers(json.loads(summary.read_text())) if not finite(value)), None
    )


def finite(value: float) -> bool:
    """Return whether a number is finite."""
    return math.isfinite(value)


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _numbers(part, f"{key}.{name}")
    elif isinstance(value, list):
        for part in value:
            yield from _numbers(part, key)
    elif isinstance(value, float):
        yield key, value


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def keys_of(job: str, arguments: tuple[str, ...]) -> list[str]:
    """Return the dotted keys of all values of a configuration."""
    with initialize_config_dir(str(CONF), version_base="1.3", job_name=job):
        chosen = [part for part in arguments if part.partition("=")[0] in ("method", "mode", "dataset")]
        try:
            cfg = compose(job, chosen)
        except HydraException:  # an earlier change has mistyped one of them
            cfg = compose(job)
    found: list[str] = []

    def walk(value: Any, key: str) -> None:
        if isinstance(value, dict) and value:
            for name, part in value.items():
                walk(part, f"{key}.{name}" if key else str(name))
        else:
            found.append(key)

    walk(OmegaConf.to_container(cfg, resolve=False), "")
    return found


def _typing_error(text: str, generator: random.Random) -> str:
    place = generator.randrange(len(text)) if text else 0
    change = generator.choice(("drop", "double", "swap", "case", "insert"))
    if change == "drop":
        return text[:place] + text[place + 1 :]
    if change == "double":
        return text[: place + 1] + text[place:]
    if change == "swap":
        return text[:place] + text[place : place + 2][::-1] + text[place + 2 :]
    if change == "case":
        return text[:place] + text[place : place + 1].swapcase() + text[place + 1 :]
    return text[:place] + generator.choice("x.=/ +~'[{$,:") + text[place:]


def _mistype(command: Command, generator: random.Random) -> Command:
    parts = list(command.arguments)
    place = generator.randrange(len(parts))
    parts[place] = _typing_error(parts[place], generator)
    return Command(command.job, tuple(parts))


def _replace_value(command: Command, generator: random.Random) -> Command:
    parts = list(command.arguments)
    place = generator.randrange(len(parts))
    parts[place] = f"{parts[place].partition('=')[0]}={generator.choice(VALUES)}"
    return Command(command.job, tuple(parts))


def _set_any_key(command: Command, generator: random.Random) -> Command:
    key = generator.choice([key for key in keys_of(command.job, command.arguments) if "_target_" not in key])
    value = generator.choice(VALUES)
    if generator.random() < 0.15 and not AMOUNT.search(key):
        value = "1000000000"
    prefix = generator.choice(("", "", "", "", "+", "++", "~"))
    return command.plus(f"~{key}" if prefix == "~" else f"{prefix}{key}={value}")


def _drop_or_double(command: Command, generator: random.Random) -> Command:
    parts = list(command.arguments)
    part = generator.choice(parts)
    if generator.random() < 0.5 and not part.startswith(("dataset", "space", "network", "epochs")):
        parts.remove(part)
    else:
        parts.insert(generator.randrange(len(parts)), part)
    return Command(command.job, tuple(parts))


def _add_flag(command: Command, generator: random.Random) -> Command:
    return Command(command.job, (generator.choice(FLAGS), *command.arguments))


CHANGES = (_mistype, _mistype, _replace_value, _set_any_key, _set_any_key, _set_any_key, _drop_or_double, _add_flag)
