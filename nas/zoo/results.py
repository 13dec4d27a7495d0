"""Published results of neural architecture search and our measurements of them, read from a file of the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import date
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from nas.utils.errors import NasError

FILE = "results.yaml"
KINDS = ("search", "training", "proxy")
DIRECTIONS = ("higher", "lower")

Interval = tuple[Decimal, Decimal]


@dataclass(frozen=True)
class Metric:
    """A quantity that results are compared by; ``direction`` names the better side, "higher" or "lower"."""

    name: str
    title: str
    unit: str
    direction: str


@dataclass(frozen=True)
class Published:
    """A published figure: mean and standard deviation over ``runs``; ``source`` is a key of :func:`load_sources`."""

    value: Decimal
    source: str
    spread: Decimal | None = None
    runs: int | None = None


@dataclass(frozen=True)
class Measured:
    """A figure measured with this code: mean and standard deviation over ``runs``, or a 95 % interval."""

    value: Decimal
    date: date
    spread: Decimal | None = None
    interval: Interval | None = None
    runs: int | None = None
    seeds: str | None = None
    hardware: str | None = None


@dataclass(frozen=True)
class Result:
    """One figure of a search, of a training, or of a zero-cost proxy.

    Decimals keep the digits of their source. ``dataset`` is the data set of the figure, ``search_dataset`` that of the
    search. ``experiment`` names the settings of a search, ``protocol`` those of the training. None means unknown.
    """

    kind: str
    space: str
    dataset: str
    metric: Metric
    label: str | None = None
    method: str | None = None
    proxy: str | None = None
    variant: str | None = None
    genotype: str | None = None
    search_dataset: str | None = None
    experiment: str | None = None
    protocol: str | None = None
    published: Published | None = None
    ours: Measured | None = None
    command: str | None = None
    note: str | None = None

    @property
    def name(self) -> str:
        """The name to print: the label, else the method, the proxy or the genotype."""
        return self.label or self.method or self.proxy or self.genotype or ""


def load_results(file: Path | None = None) -> tuple[Result, ...]:
    """Load all results in the order of the file.

    Args:
        file: another file of the same format. None: the file in the package.

    Raises:
        NasError: a row has an unknown field, a missing field, a wrong type or an unknown name, or repeats another.
    """
    content, metrics = _content(file), load_metrics(file)
    loaded = [
        _result(row, f"results[{index}]", metrics, content["sources"]) for index, row in enumerate(content["results"])
    ]
    seen: dict[tuple[Any, ...], int] = {}
    for index, result in enumerate(loaded):
        first = seen.setdefault(_key(result), index)
        if first != index:
            raise NasError(f"{FILE}: results[{index}]: repeats results[{first}]. Remove it or give it a variant.")
    return tuple(loaded)


def load_metrics(file: Path | None = None) -> dict[str, Metric]:
    """Load the metrics by name, also those without a result."""
    rows = _content(file)["metrics"]
    metrics = {name: _build(Metric, {"name": name, **row}, f"metrics.{name}") for name, row in rows.items()}
    for metric in metrics.values():
        _one_of(metric.direction, DIRECTIONS, f"metrics.{metric.name}", "direction")
    return metrics


def load_sources(file: Path | None = None) -> dict[str, str]:
    """Load the sources: short name to paper, repository or data file."""
    return {name: str(text) for name, text in _content(file)["sources"].items()}


class _DecimalLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A YAML loader that keeps the digits of a number: 94.30 stays 94.30."""


_DecimalLoader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: Decimal(loader.construct_scalar(node)))


def _content(file: Path | None) -> dict[str, Any]:
    text = (resources.files("nas.zoo").joinpath(FILE) if file is None else file).read_text(encoding="utf-8")
    return _parsed(text)


@lru_cache(maxsize=1)
def _parsed(text: str) -> dict[str, Any]:
    try:
        content = yaml.load(text, _DecimalLoader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise NasError(f"{FILE}: not valid YAML: {' '.join(str(error).split())}") from None
    for part, kind in (("metrics", dict), ("sources", dict), ("results", list)):
        if not isinstance(content, dict) or not isinstance(content.get(part), kind):
            raise NasError(f"{FILE}: {part} is missing or of the wrong type. Write metrics, sources and results.")
    return content


def _result(row: Any, where: str, metrics: Mapping[str, Metric], sources: Mapping[str, str]) -> Result:
    if not isinstance(row, dict):
        raise NasError(f"{FILE}: {where}: not a mapping of fields. Write one field per line.")
    values = dict(row)
    values["metric"] = metrics[_one_of(row.get("metric"), metrics, where, "metric")]
    for part, kind in (("published", Published), ("ours", Measured)):
        if row.get(part) is not None:
            values[part] = _build(kind, row[part], f"{where}.{part}")
    result = _build(Result, values, where)
    _one_of(result.kind, KINDS, where, "kind")
    if result.published is None and result.ours is None:
        raise NasError(f"{FILE}: {where}: no figure. Add published or ours.")
    if result.published is not None:
        _one_of(result.published.source, sources, where, "published.source")
    if not result.name:
        raise NasError(f"{FILE}: {where}: no name. Add method, proxy, genotype or label.")
    return result


def _build(kind: type[Any], row: Any, where: str) -> Any:
    """Build a dataclass from a row, with the types of its fields checked."""
    known = {field.name: field for field in fields(kind)}
    if not isinstance(row, Mapping):
        raise NasError(f"{FILE}: {where}: not a mapping. Write {{{', '.join(known)}}}.")
    for name in row:
        if name not in known:
            raise NasError(f"{FILE}: {where}: unknown field '{name}'. Use {', '.join(known)}.")
    values = {name: _typed(row[name], str(known[name].type), f"{where}.{name}") for name in row}
    missing = [name for name, field in known.items() if field.default is MISSING and values.get(name) is None]
    if missing:
        raise NasError(f"{FILE}: {where}: {', '.join(missing)} missing. Add it.")
    return kind(**values)


def _typed(value: Any, annotation: str, where: str) -> Any:
    """Check a value against a field's annotation; whole numbers become decimals where decimals are expected."""
    expected = annotation.removesuffix(" | None")
    if value is None and expected != annotation:
        return None
    if expected == "Decimal" and type(value) is int:
        return Decimal(value)
    if expected == "Interval" and isinstance(value, list) and len(value) == 2:
        low, high = (_typed(end, "Decimal", where) for end in value)
        return (low, high)
    types = {"str": str, "int": int, "Decimal": Decimal, "date": date, "Metric": Metric}
    types |= {"Published": Published, "Measured": Measured}
    if type(value) is not types.get(expected):
        raise NasError(f"{FILE}: {where}: {value!r} is not of type {expected.lower()}. Correct it.")
    return value


def _one_of(value: Any, choices: Any, where: str, field: str) -> Any:
    if value not in choices:
        raise NasError(f"{FILE}: {where}.{field}: unknown name {value!r}. Use {', '.join(choices)}.")
    return value


def _key(result: Result) -> tuple[Any, ...]:
    source = result.published.source if result.published is not None else None
    return (
        *(result.kind, result.name, result.variant, result.genotype, result.space, result.dataset),
        *(result.search_dataset, result.experiment, result.protocol, result.metric.name, source),
    )
