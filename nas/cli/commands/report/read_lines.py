"""Tolerant reading of the logs and tables of a run: damaged lines are left out and named."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.report.run import Band, Points
from nas.utils.errors import one_line
from nas.utils.is_number import is_number
from nas.utils.read_file import parse_json, read_json, read_text

STEP_METRICS = ("step/", "time/step", "memory/used")
MAX_EPOCH = 10**7


class RunFiles:
    """Files of a run directory. Each problem is added to ``problems`` as a sentence.

    Args:
        directory: the run directory.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.problems: list[str] = []

    def has(self, name: str) -> bool:
        """Return whether a file exists."""
        return (self.directory / name).is_file()

    def text(self, name: str) -> str:
        """Return the content of a file, "" if it is missing or unreadable."""
        if not (self.directory / name).exists():
            return ""
        try:
            return read_text(self.directory / name)
        except (OSError, ValueError) as error:
            self.problems.append(f"{name} cannot be read: {one_line(error)[:200]}.")
            return ""

    def json(self, name: str) -> dict[str, Any]:
        """Return the object in a JSON file, empty if it is missing or damaged."""
        if not (self.directory / name).exists():
            return {}
        try:
            content = read_json(self.directory / name)
        except (OSError, ValueError) as error:
            self.problems.append(f"{name} is damaged: {one_line(error)[:200]}.")
            return {}
        if not isinstance(content, dict):
            self.problems.append(f"{name} is damaged: it is not an object.")
            return {}
        return content

    def objects(self, name: str) -> list[dict[str, Any]]:
        """Return the objects of a file with one per line, without damaged lines."""
        lines, objects, damaged = self.text(name).split("\n"), [], []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                value = parse_json(line)
            except ValueError:
                value = None
            if isinstance(value, dict):
                objects.append(value)
            else:
                damaged.append(number)
        if damaged and damaged[-1] == len(lines):  # without a line break
            damaged.pop()
            self.problems.append(f"{name}: the last line is cut off, as after a kill; it is left out.")
        if damaged:
            listed = ", ".join(map(str, damaged[:10])) + (", ..." if len(damaged) > 10 else "")
            self.problems.append(f"{name}: damaged lines are left out: {listed}.")
        return objects

    def epochs(self, name: str) -> list[tuple[int, dict[str, Any]]]:
        """Return the objects of a log by epoch, counted from 1; the last one of several of an epoch."""
        by_epoch = {}
        for line in self.objects(name):
            epoch = line.get("epoch")
            if isinstance(epoch, int) and 0 <= epoch < MAX_EPOCH:
                by_epoch[epoch + 1] = line
        return sorted(by_epoch.items())

    def rows(self, name: str) -> list[dict[str, str]]:
        """Return the complete rows of a CSV file."""
        text = self.text(name)
        if not text.endswith("\n") and text:
            self.problems.append(f"{name}: the last row is cut off; it is left out.")
            text = text[: text.rfind("\n") + 1]
        try:
            return [
                row
                for row in csv.DictReader(io.StringIO(text))
                if None not in row and all(isinstance(value, str) for value in row.values())
            ]
        except csv.Error as error:
            self.problems.append(f"{name} is damaged: {one_line(error)[:200]}.")
            return []


def number_of(text: Any) -> float | None:
    """Return the number in a field of a table, None if there is none."""
    try:
        value = float(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if is_number(value) else None


def metric_curves(rows: list[dict[str, str]]) -> tuple[dict[str, Points], dict[str, Points]]:
    """Return the metrics of metrics.csv by epoch and by step.

    The test after a training has the number of epochs in the file. It is shown at the last epoch.
    """
    epochs: dict[str, dict[float, float]] = {}
    steps: dict[str, dict[float, float]] = {}
    for row in rows:
        epoch, step = number_of(row.get("epoch")), number_of(row.get("step"))
        for name, text in row.items():
            value = number_of(text)
            if value is None or name in ("epoch", "step"):
                continue
            if name.startswith(STEP_METRICS):
                if step is not None:
                    steps.setdefault(name, {})[step + 1] = value
            elif epoch is not None and 0 <= epoch < MAX_EPOCH:
                epochs.setdefault(name, {})[epoch + 1] = value
    last = max((max(values) for name, values in epochs.items() if name.startswith("train/")), default=math.inf)
    for name in epochs:
        if name.startswith("test/"):
            epochs[name] = {min(epoch, last): value for epoch, value in sorted(epochs[name].items())}
    return _points(epochs), _points(steps)


def history_curves(lines: list[tuple[int, dict[str, Any]]]) -> dict[str, Points]:
    """Return the metrics of the lines of a history."""
    curves: dict[str, dict[float, float]] = {}
    for epoch, line in lines:
        for name, value in line.items():
            if name != "epoch" and is_number(value):
                curves.setdefault(name, {})[float(epoch)] = float(value)
    return _points(curves)


def bands(
    rows: list[dict[str, str]], key: str, columns: tuple[str, str, str, str], shift: float = 0.0
) -> dict[str, Band]:
    """Return the bands of a table by the text in column ``key``.

    Args:
        rows: rows of the table.
        key: column with the name of a band.
        columns: columns of x, the lower, the middle and the upper curve.
        shift: number to add to x.
    """
    by_name: dict[str, Band] = {}
    for row in rows:
        values = [number_of(row.get(column)) for column in columns]
        known = [value for value in values if value is not None]
        if len(known) == len(columns) and row.get(key):
            band = by_name.setdefault(row[key], Band([], [], [], []))
            for curve, value in zip(band, (known[0] + shift, *known[1:]), strict=True):
                curve.append(value)
    return by_name


def _points(curves: Mapping[str, Mapping[float, float]]) -> dict[str, Points]:
    return {name: Points(*map(list, zip(*sorted(values.items()), strict=True))) for name, values in curves.items()}
