"""File of a latency table: JSON with plain values, validated on reading."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.deploy.check_model import check_options, checked_classes, checked_shape
from nas.latency.backends import DTYPES
from nas.latency.choices import KINDS
from nas.latency.parts import PartKey
from nas.latency.table import LatencySetup, LatencyTable
from nas.latency.timing import Timing
from nas.spaces.base import Space
from nas.utils.atomic_write import write_json
from nas.utils.errors import NasError, one_line
from nas.utils.read_file import read_json

FORMAT, VERSION = "nas-latency", 1
MAX_BYTES = 1 << 25
MAX_MS = 1e9
MAX_TEXT = 1000


def save_table(table: LatencyTable, space: Space, path: Path, results: Mapping[str, Any] | None = None) -> None:
    """Write a table.

    Args:
        table: measured latencies.
        space: its space, for the notation of the genotypes.
        path: file.
        results: further facts for a reader, such as errors of predictors; they are not read back.
    """
    ops = [
        {"op": key.op, "input": list(key.inputs), "output": list(key.outputs), **timing._asdict()}
        for key, timing in table.ops.items()
    ]
    networks = [{"genotype": space.native(genotype), **timing._asdict()} for genotype, timing in table.networks.items()]
    write_json(
        path,
        {
            "format": FORMAT,
            "version": VERSION,
            "unit": "ms",
            "date": table.date,
            "machine": table.machine,
            "versions": table.versions,
            "setup": dataclasses.asdict(table.setup),
            "space": table.notation,
            "shape": list(table.shape),
            "classes": table.classes,
            "network": table.network,
            "predictor": table.predictor,
            "results": results or {},
            "ops": ops,
            "networks": networks,
        },
    )


def load_table(path: Path, space: Space, option: str = "latency table") -> LatencyTable:
    """Read and validate a table.

    Args:
        path: file.
        space: search space, which parses the genotypes.
        option: key of the option that names the file, for messages.

    Raises:
        NasError: if the file cannot be read, is not a valid table, or is of another space.
    """
    try:
        content = read_json(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = one_line(error)
        raise NasError(f"{option}={path}: cannot be read ({reason}). Give a file of nas-search latency.") from None
    try:
        return _decode(content, space)
    except NasError as error:
        raise NasError(f"{option}={path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else one_line(error)
        raise NasError(
            f"{option}={path}: not a valid latency table ({reason}). Measure it by nas-search latency."
        ) from None


def _decode(content: Any, space: Space) -> LatencyTable:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"format is not '{FORMAT}'")
    if content["version"] != VERSION:
        raise ValueError(f"version {str(content['version'])[:20]}, and this version reads {VERSION}")
    if content["space"] != space.notation:
        raise NasError(f"it is of space '{str(content['space'])[:50]}', and space={space.name} is another one.")
    options = _mapping(content["network"])
    check_options(space, options, 0)
    if content["predictor"] not in KINDS:
        raise ValueError(f"predictor is not one of {', '.join(KINDS)}")
    ops: dict[PartKey, Timing] = {}
    for row in content["ops"]:
        ops[PartKey(_text(row["op"]), _sizes(row["input"]), _sizes(row["output"]))] = _timing(row)
    networks = {}
    for row in content["networks"]:
        genotype = space.parse(_text(row["genotype"]))
        space.check(genotype)
        networks[genotype] = _timing(row)
    return LatencyTable(
        space.notation,
        checked_shape(content["shape"]),
        checked_classes(content["classes"]),
        options,
        _setup(_mapping(content["setup"])),
        ops,
        networks,
        content["predictor"],
        _texts(content["machine"]),
        _texts(content["versions"]),
        _text(content["date"]),
    )


def _setup(values: Mapping[str, Any]) -> LatencySetup:
    names = [field.name for field in dataclasses.fields(LatencySetup)]
    if set(values) != set(names):
        raise ValueError(f"setup does not have the keys {', '.join(names)}")
    if values["backend"] not in ("torch", "onnxruntime") or values["statistic"] not in ("median", "low"):
        raise ValueError("setup has an unknown backend or statistic")
    if values["precision"] not in DTYPES or not isinstance(values["device"], str):
        raise ValueError("setup has an unknown precision or device")
    return LatencySetup(**values)


def _timing(row: Mapping[str, Any]) -> Timing:
    values = [row[name] for name in Timing._fields]
    if not all(type(v) in (int, float) and math.isfinite(v) and 0 < v < MAX_MS for v in values):
        raise ValueError("a latency is not a positive number of milliseconds")
    timing = Timing(*map(float, values))
    if not timing.low <= timing.median <= timing.high:
        raise ValueError("a median is outside its interval")
    return timing


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= 8 or not all(type(n) is int and n > 0 for n in value):
        raise ValueError("a shape is not a list of sizes")
    return tuple(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"a text is missing or has more than {MAX_TEXT} characters")
    return value


def _texts(value: Any) -> dict[str, str]:
    return {_text(name): _text(text) for name, text in _mapping(value).items()}


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an entry is not a mapping")
    return value
