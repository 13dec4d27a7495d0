"""Options of ``nas-search latency``: its own keys, options of the networks, and overrides of space and data set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml

from nas.latency.choices import FOLDS, KINDS, MIN_RUNS, PRECISIONS, Backend, Kind, Statistic
from nas.utils.errors import NasError, unknown
from nas.utils.program import program
from nas.utils.ranges import COUNT, COUNT_OR_ZERO, SEED, Range, check
from nas.utils.tool_parser import ToolParser
from nas.utils.user_path import user_path

if TYPE_CHECKING:  # the help needs no torch
    from nas.latency.table import LatencySetup

OPTIONS = f"""values of KEY=VALUE:
  device=cpu           device of PyTorch: cpu, cuda, cuda:1
  backend=torch        torch or onnxruntime (extra export)
  batch=1              images per pass
  precision=32         {", ".join(PRECISIONS)}
  threads=1            threads of the CPU; null: choice of the runtime
  runs=100 warmup=3    timed passes of each op and network, and passes before them
  statistic=median     median, or low: the 10 % quantile, on a machine with other programs
  networks=50          random networks to fit and test the predictor, at least {FOLDS}
  predictor=null       sum, ridge; null: the predictor with the lower error on held-out networks
  seed=0               seed of the random networks
  output=FILE          table (default: latency-SPACE-DEVICE-BACKEND.json); its picture is FILE with suffix .png
  overwrite=false      true: replace an existing table
  network.NAME=VALUE   option of the final networks, such as network.channels=8; default: published size
  space=... dataset=... and any other override of search.py that belongs to them"""
DESCRIPTION = """Measure the latency of each op of a space and of random whole networks on this machine, and write a
table from which the latency of any genotype of the space is predicted."""
RANGES: dict[str, Range] = {
    **{"batch": COUNT, "runs": Range(MIN_RUNS, 10**6, whole=True), "warmup": COUNT_OR_ZERO, "threads": COUNT},
    **{"networks": Range(FOLDS, 10**5, whole=True), "seed": SEED},
}
CHOICES: dict[str, Sequence[str]] = {
    "backend": get_args(Backend),
    "precision": PRECISIONS,
    "statistic": get_args(Statistic),
    "predictor": KINDS,
}
NULLABLE = ("threads", "predictor", "output")


@dataclass
class Options:
    """Values of the command's own keys, options of the networks, and remaining overrides."""

    values: dict[str, Any]
    network: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    config_dir: str | None = None

    @property
    def setup(self) -> LatencySetup:
        """Conditions of the measurement."""
        from nas.latency.table import LatencySetup

        names = LatencySetup.__dataclass_fields__
        return LatencySetup(**{name: value for name, value in self.values.items() if name in names})

    @property
    def predictor(self) -> Kind | None:
        """Kind of the predictor, None to select it."""
        kind: Kind | None = self.values["predictor"]
        return kind

    def output(self, space: str) -> Path:
        """Return the path of the table."""
        device, backend, given = self.values["device"], self.values["backend"], self.values["output"]
        name = f"latency-{space}-{device.replace(':', '')}-{backend}.json"
        return Path(name) if given is None else user_path(str(given))


DEFAULTS: dict[str, Any] = {
    **{"device": "cpu", "backend": "torch", "batch": 1, "precision": "32", "threads": 1, "runs": 100, "warmup": 3},
    **{"statistic": "median", "networks": 50, "predictor": None, "seed": 0, "output": None, "overwrite": False},
}


def parse_options(arguments: Sequence[str]) -> Options:
    """Parse the arguments. Raises NasError for a value that a key does not accept."""
    parser = ToolParser(
        f"{program('search')} latency",
        description=DESCRIPTION,
        epilog=OPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("arguments", nargs="*", metavar="KEY=VALUE", help="options of the measurement, listed below")
    parser.add_argument("-cd", "--config-dir", metavar="DIR", help="directory of the user's configuration files")
    given = parser.parse(arguments)
    options = Options(dict(DEFAULTS), config_dir=given.config_dir)
    for argument in given.arguments:
        key, _, text = argument.partition("=")
        if key in DEFAULTS:
            options.values[key] = _value(key, text)
        elif key.startswith("network."):
            options.network[key.removeprefix("network.")] = _yaml(argument, text)
        else:
            options.overrides.append(argument)
    return options


def _value(key: str, text: str) -> Any:
    value = _yaml(f"{key}={text}", text)
    if value is None and key in NULLABLE:
        return None
    if key in CHOICES:
        if str(value) not in CHOICES[key]:
            raise unknown(key, str(value), CHOICES[key])
        return str(value)
    if key in RANGES:
        if value is None:
            raise NasError(f"{key}=null: use {RANGES[key]}.")
        check(key, value, RANGES[key])
    elif key == "overwrite" and not isinstance(value, bool):
        raise NasError(f"{key}={text}: use true or false.")
    return text if key in ("device", "output") else value


def _yaml(argument: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise NasError(f"{argument}: the value is no number, word or list. Correct it.") from None
