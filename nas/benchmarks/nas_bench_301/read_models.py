"""Reader of the published surrogate models: pickled boosters, of which no code is run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from nas.benchmarks.nas_bench_301.encoding import NAMES
from nas.benchmarks.nas_bench_301.lightgbm_model import read_lightgbm
from nas.benchmarks.nas_bench_301.trees import Model
from nas.benchmarks.nas_bench_301.xgboost_model import read_xgboost
from nas.benchmarks.safe_unpickle import READ_ERRORS, SafeUnpickler
from nas.utils.errors import NasError, one_line

MODEL_FILES = ("surrogate_model.model", "surrogate_model.json")
"""A pickled booster, or the JSON file of ``xgboost.Booster.save_model``."""
CONFIG_FILE = "model_config.json"
MAX_BYTES = 1 << 31
"""Limit of the size of one model."""


class _Booster:
    """State of a pickled booster."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = dict(state)


def _bytes(data: bytes | str = b"", encoding: str = "latin-1") -> bytes:
    """Replace a bytearray, whose content older pickle protocols store as text."""
    return data.encode(encoding) if isinstance(data, str) else bytes(data)


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("xgboost.core", "Booster"): _Booster,
    ("lightgbm.basic", "Booster"): _Booster,
    ("builtins", "bytearray"): _bytes,
    ("copy_reg", "_reconstructor"): lambda kind, base, state: kind(),
    ("copyreg", "_reconstructor"): lambda kind, base, state: kind(),
    ("builtins", "object"): object,
}


class _BoosterUnpickler(SafeUnpickler):
    """Unpickler of a booster as its plain state."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        allowed = _ALLOWED.get((module_name, global_name))
        return allowed if allowed is not None else super().find_class(module_name, global_name)


def read_models(directory: Path, progress: Callable[[int, int], None]) -> list[Model]:
    """Return the models of an ensemble such as ``xgb_v1.0``, in the order of their paths.

    Args:
        directory: directory that contains one directory per model.
        progress: receives the number of models that were read and their total.

    Raises:
        NasError: if there are no models, or a model cannot be read or takes other features than the published ones.
    """
    paths = sorted((path for name in MODEL_FILES for path in directory.rglob(name)), key=_by_number)
    if not paths:
        raise NasError(f"SRC: {directory} has no {' or '.join(MODEL_FILES)} in it")
    models = []
    for number, path in enumerate(paths):
        _check_encoding(path.with_name(CONFIG_FILE))
        models.append(_read(path))
        progress(number + 1, len(paths))
    if len({model.strict for model in models}) != 1:
        raise NasError(f"SRC: {directory} mixes models of XGBoost and LightGBM")
    return models


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Order ensemble_member_10 after ensemble_member_9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _check_encoding(path: Path) -> None:
    """Refuse models of the path encoding."""
    try:
        config = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError:
        raise NasError(f"{path} is damaged: not JSON") from None
    if not isinstance(config, dict) or config.get("param:bananas_enc"):
        raise NasError(f"{path}: models of the path encoding (param:bananas_enc) are not supported")


def _read(path: Path) -> Model:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("it is larger than 2 GiB")
        with path.open("rb") as file:
            model = read_xgboost(file.read()) if path.suffix == ".json" else _unpickle(file, path)
    except NasError:
        raise
    except READ_ERRORS as error:
        raise NasError(f"{path} is damaged or of another format ({one_line(error) or type(error).__name__})") from None
    if model.features != len(NAMES) or not model.trees:
        raise NasError(
            f"{path} is a model of {len(model.trees)} trees and {model.features} features. Those of NAS-Bench-301 have "
            f"{len(NAMES)} features."
        )
    return model


def _unpickle(file: IO[bytes], path: Path) -> Model:
    booster = _BoosterUnpickler(file, str(path)).load()
    handle = booster.state.get("handle", booster.state.get("_handle")) if isinstance(booster, _Booster) else None
    if isinstance(handle, str):
        best = booster.state.get("best_iteration")
        return read_lightgbm(handle, best if type(best) is int and best > 0 else None)
    if not isinstance(handle, bytes):
        raise ValueError("not a booster of XGBoost or LightGBM")
    return read_xgboost(handle)
