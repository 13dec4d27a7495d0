"""Conversion of ``transnas-bench_v10141024.pth`` to one table per space.

There is one row per architecture, in the order of the file:

- ``index``: number in the authors' interface, which counts both spaces; ``architecture``: string;
- ``TASK/SPLIT_METRIC``: value after each epoch;
- ``TASK/seconds``: seconds since the start of the training, after each epoch;
- ``TASK/info/NAME``: size, cost and time of the network.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nas.benchmarks.parquet_schema import ARCHITECTURE, FORMAT, INDEX
from nas.benchmarks.read_release import Progress, load_pickle, read_errors
from nas.benchmarks.trans_nas_bench_101.tasks import RELEASE, TASKS
from nas.spaces.notation import native_string, parse_genotype
from nas.spaces.trans_nas_bench_101 import macro_notation, micro_notation
from nas.utils.errors import NasError

VERSION = "1"
SPACES: Mapping[str, str] = {micro_notation.NOTATION: "micro", macro_notation.NOTATION: "macro"}
"""Name of each space in the published file, by notation."""
SIZES: Mapping[str, int] = {micro_notation.NOTATION: 4096, macro_notation.NOTATION: 3256}
TIME, SECONDS, INFO = "time_elapsed", "seconds", "info"
LARGEST = float(np.finfo(np.float32).max)


def to_table(content: Any, notation: str, partial: bool, progress: Progress) -> tuple[pa.Table, str]:
    """Return the architectures of a space as a table, and a description.

    Args:
        content: content of the published file.
        notation: key of ``SPACES``.
        partial: accept missing architectures, tasks of an architecture, and trainings of another length.
        progress: receives the number of tasks that were read and their total.

    Raises:
        NasError: if the content is incomplete.
        ValueError: if it has another layout.
    """
    entries = list(_entries(content, notation))
    if not entries or (len(entries) < SIZES[notation] and not partial):
        fix = ", or add --partial" if entries else ""
        raise NasError(
            f"SRC: it has {len(entries):,} of the {SIZES[notation]:,} architectures of {notation}. Download it "
            f"again{fix}."
        )
    columns: dict[str, pa.Array] = {
        INDEX: pa.array([index for index, _, _ in entries], pa.int32()),
        ARCHITECTURE: pa.array([name for _, name, _ in entries], pa.string()),
    }
    tasks = [task for task in content["task_list"] if any(task in results for _, _, results in entries)]
    if not tasks:
        raise ValueError("no results")
    for number, task in enumerate(tasks, 1):
        if task not in TASKS:
            raise ValueError(f"the task {task}")
        results = [_require_results(entry.get(task), task, name, partial) for _, name, entry in entries]
        columns |= _task_columns(task, results, content, partial)
        progress(number, len(tasks))
    metadata = {"format": FORMAT, "version": VERSION, "notation": notation, "source": RELEASE}
    described = (
        f"{len(entries):,} of {SIZES[notation]:,} architectures of TransNAS-Bench-101 ({SPACES[notation]}) on "
        f"{len(tasks)} tasks"
    )
    return pa.table(columns).replace_schema_metadata(metadata), described


def _entries(content: Any, notation: str) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Yield index, string and results of the architectures of a space."""
    names = [(space, name) for space, architectures in content["data"].items() for name in architectures]
    for index, (space, name) in enumerate(names):
        if space == SPACES[notation]:
            if not _is_name(name, notation):
                raise ValueError(f"{str(name)[:40]!r} in the space {space}")
            yield index, name, content["data"][space][name]


def _is_name(name: Any, notation: str) -> bool:
    """Return whether a value is the string of an architecture of a space."""
    try:
        genotype = parse_genotype(name)
    except NasError:
        return False
    if genotype.space != notation or native_string(genotype) != name:
        return False
    return notation != macro_notation.NOTATION or not macro_notation.find_problem(macro_notation.modules_of(genotype))


def _require_results(
    results: Mapping[str, Any] | None, task: str, name: str, partial: bool
) -> Mapping[str, Any] | None:
    if results is None and not partial:
        raise NasError(f"SRC: it has no results of {name} on {task}. Add --partial to convert the others.")
    return results


def _task_columns(
    task: str, results: Sequence[Mapping[str, Any] | None], content: Any, partial: bool
) -> dict[str, pa.Array]:
    lengths = [result["total_epochs"] for result in results if result is not None]
    if any(type(length) is not int or not 0 < length < 10_000 for length in lengths):
        raise ValueError(f"total_epochs of {task}")
    epochs = max(set(lengths), key=lengths.count)
    if set(lengths) != {epochs} and not partial:
        raise NasError(
            f"SRC: trainings on {task} have {', '.join(map(str, sorted(set(lengths))))} epochs. Add --partial "
            f"to convert those of {epochs} epochs."
        )
    kept = [result if result is not None and result["total_epochs"] == epochs else None for result in results]
    columns = {}
    metrics = content["metrics_dict"][task]
    if not set(metrics) - {TIME}:
        raise ValueError(f"no metrics of {task}")
    for metric in (*metrics, *content["info_names"]):
        if type(metric) is not str or "/" in metric or metric == SECONDS:
            raise ValueError(f"the name {metric!r}")
    for metric in metrics:
        values = np.full((len(kept), epochs), np.nan)
        for row, result in enumerate(kept):
            if result is not None:
                curve = [(_seconds if metric == TIME else _number)(value) for value in result["metrics"][metric]]
                if len(curve) != epochs:  # numpy would repeat a single value
                    raise ValueError(f"{len(curve)} values of {metric} in {epochs} epochs")
                values[row] = curve
        name = SECONDS if metric == TIME else metric
        columns[f"{task}/{name}"] = _lists(_cumulative(values) if metric == TIME else values)
    for name in content["info_names"]:
        numbers = [math.nan if result is None else _number(result["model_info"].get(name)) for result in kept]
        columns[f"{task}/{INFO}/{name}"] = pa.array(numbers, pa.float64(), from_pandas=True)
    return columns


def _lists(values: NDArray[np.float64]) -> pa.Array:
    flat = pa.array(values.astype(np.float32).ravel(), from_pandas=True)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _number(value: Any) -> float:
    """Return a finite number of 32 bits, NaN for any other number and for a missing one."""
    if value is None or value == "":
        return math.nan
    number = float(value)
    return number if abs(number) <= LARGEST else math.nan


def _seconds(value: Any) -> float:
    """Return seconds, or the seconds of a text HH:MM:SS."""
    if not isinstance(value, str):
        number = _number(value)
        if number < 0:
            raise ValueError(f"the time {value!r}")
        return number
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d)", value)
    if match is None:
        raise ValueError(f"the time {value!r}")
    hours, minutes, seconds = map(int, match.groups())
    return 3600.0 * hours + 60 * minutes + seconds


def _cumulative(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the times since the start of the training. Times that decrease are durations of epochs and are summed."""
    return values.cumsum(axis=1) if (np.diff(values, axis=1) < 0).any() else values


def check_layout(content: Any) -> None:
    """Raise ValueError if the content of a file is not that of TransNAS-Bench-101."""
    keys = ("metrics_dict", "info_names", "task_list", "data")
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing:
        raise ValueError(f"it has no {', '.join(missing)}")
    spaces = list(itertools.chain(content["data"]))
    if not set(spaces) <= set(SPACES.values()):
        raise ValueError(f"the spaces {', '.join(map(str, spaces))}")


def read_release(source: Path, notation: str | None, partial: bool, progress: Progress) -> tuple[pa.Table, str]:
    """Return a space of the published file as a table, and a description; no code of the file is run.

    Args:
        source: the file.
        notation: space to convert; the file has two.
        partial: accept missing architectures.
        progress: receives the number of tasks that were read and their total.

    Raises:
        NasError: if no space is given, or the file is damaged, incomplete or of another layout.
    """
    if notation is None or notation not in SPACES:
        raise NasError(f"--space: {source.name} has two spaces. Set --space={' or --space='.join(SPACES)}.")
    with read_errors(source):
        content = load_pickle(source)
        check_layout(content)
        return to_table(content, notation, partial, progress)
