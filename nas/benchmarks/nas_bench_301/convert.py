"""Conversion of the published surrogate models ``nb_models`` to one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from nas.benchmarks.nas_bench_301.benchmark import ACCURACY, SECONDS, VERSION
from nas.benchmarks.nas_bench_301.parquet import ENSEMBLE, to_columns
from nas.benchmarks.nas_bench_301.read_models import read_models
from nas.benchmarks.nas_bench_301.trees import Model
from nas.benchmarks.parquet_schema import FORMAT
from nas.spaces.darts.notation import NOTATION
from nas.utils.errors import NasError

ACCURACY_MODELS, TIME_MODELS = "xgb_v*", "lgb_runtime_v*"
"""Directories of the supported ensembles; the graph network ``gnn_gin`` is not supported."""


def has_models(source: Path) -> bool:
    """Return whether a directory contains published surrogate models, or is one of their ensembles."""
    return source.is_dir() and bool(source.match(ACCURACY_MODELS) or any(source.glob(ACCURACY_MODELS)))


def read_surrogates(source: Path, progress: Callable[[int, int], None]) -> tuple[pa.Table, str]:
    """Return the ensembles of a directory as a table, and a description.

    Args:
        source: directory with ``xgb_v1.0`` and ``lgb_runtime_v1.0``, or an ensemble ``xgb_v1.0`` itself.
        progress: receives the number of models of an ensemble that were read and their total.

    Raises:
        NasError: if a model cannot be read, or there are several versions.
    """
    accuracy = source if source.match(ACCURACY_MODELS) else _only(source, ACCURACY_MODELS)
    seconds = None if accuracy is source else _only(source, TIME_MODELS)
    assert accuracy is not None, "has_models was checked"
    ensembles = {ACCURACY: read_models(accuracy, progress)}
    if seconds is not None:
        ensembles[SECONDS] = read_models(seconds, progress)
    return to_table(ensembles, accuracy.name), _describe(ensembles, accuracy.name)


def to_table(ensembles: dict[str, list[Model]], source: str) -> pa.Table:
    """Return the models by ensemble as a table, with format, version, notation and constants in the metadata."""
    columns = [to_columns(models) for models in ensembles.values()]
    names = np.repeat(list(ensembles), [len(column["feature"]) for column in columns])
    content = {ENSEMBLE: pa.array(names)}
    content |= {name: pa.concat_arrays([column[name] for column in columns]) for name in columns[0]}
    constants = {
        name: {"base": [model.base for model in models], "strict": models[0].strict}
        for name, models in ensembles.items()
    }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "notation": NOTATION,
        "source": source,
        "ensembles": json.dumps(constants),
    }
    return pa.table(content).replace_schema_metadata(metadata)


def _only(source: Path, pattern: str) -> Path | None:
    directories = sorted(path for path in source.glob(pattern) if path.is_dir())
    if len(directories) > 1:
        raise NasError(f"SRC: {source} has {' and '.join(path.name for path in directories)}. Keep one of them.")
    return directories[0] if directories else None


def _describe(ensembles: dict[str, list[Model]], name: str) -> str:
    def count(models: Sequence[Model]) -> str:
        return f"{len(models)} models of {sum(len(model.trees) for model in models):,} trees"

    seconds = ensembles.get(SECONDS)
    times = f"training times by {count(seconds)}" if seconds else "no model of training times"
    return f"NAS-Bench-301, accuracies by {count(ensembles[ACCURACY])} ({name}), {times}"
