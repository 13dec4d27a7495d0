"""Safe reading of weight files, ours and published ones, without running any code in them."""

from __future__ import annotations

import argparse
import codecs
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.utils.errors import NasError, one_line
from nas.utils.torch_file import check_tensors, check_torch_file, describe_damage

WRAPPERS = (
    *("state_dict", "model_state", "model_state_dict", "base-model", "model", "network", "net"),
    *("state_dict_ema", "ema_state_dict", "model_ema", "weights"),
)
"""Keys of the weights in published checkpoints, which also hold epochs, optimizers and arguments."""

PREFIXES = ("module.", "_orig_mod.", "network.", "model.", "net.")
"""Prefixes of DataParallel, torch.compile and wrapper modules before the names of the weights."""

UNREADABLE = (
    *(RuntimeError, pickle.UnpicklingError, OSError, EOFError, ValueError, LookupError, AttributeError, TypeError),
    *(MemoryError, ArithmeticError, ImportError, AssertionError, struct.error, zipfile.BadZipFile, zlib.error),
)


def read_weights_file(path: Path, option: str = "weights") -> Any:
    """Return the content of a file written by ``torch.save``, unpickled with ``weights_only``.

    Besides tensors and plain values, the file may contain ``argparse.Namespace``, NumPy numbers and NumPy arrays.

    Args:
        path: the file.
        option: name of the option with the path, for error messages.

    Raises:
        NasError: if the file is missing, damaged or of another kind, or contains any other Python object.
    """
    if not path.is_file():
        problem = "not a regular file" if path.exists() else "no such file"
        raise NasError(
            f"{option}={path}: {problem}. Set {option} to the directory of a training, its model.pt, or a file of "
            "weights."
        )
    try:
        check_torch_file(path)
        with torch.serialization.safe_globals(list(_safe_globals())):
            content = torch.load(path, map_location="cpu", weights_only=True)
        check_tensors(content)
        return content
    except UNREADABLE as error:
        foreign = re.search(r"GLOBAL (\w[\w.]*)|Unsupported (?:class|global) (\w[\w.]*)", str(error))
        if foreign is not None:
            raise NasError(
                f"{option}={path}: contains a Python object ({(foreign[1] or foreign[2]).strip('.')}), which could run "
                "any code when loaded. If you trust the file, save the state_dict alone: "
                "torch.save(network.state_dict(), FILE)."
            ) from None
        raise NasError(f"{option}={path}: {_diagnose(path, error, option)}.") from None


def extract_state_dict(content: Any, path: Path, option: str = "weights") -> tuple[dict[str, Tensor], str]:
    """Return the state_dict in the content of a checkpoint, and its key ("" if the content is the state_dict).

    Common prefixes of the names (``PREFIXES``) are removed. From checkpoints of Lightning, which also hold the weights
    of losses and metrics, only the network is returned.

    Raises:
        NasError: if there is no mapping of names to tensors.
    """
    if _is_state_dict(content):
        return strip_prefixes(content), ""
    if isinstance(content, Mapping) and "search" in content and "pytorch-lightning_version" in content:
        raise NasError(
            f"{option}={path}: it is the checkpoint of a search, which has the weights of a supernet. Set {option} "
            "to the directory of a training."
        )
    keys = [key for key in WRAPPERS if isinstance(content, Mapping) and _is_state_dict(content.get(key))]
    nested = [key for key in WRAPPERS if isinstance(content, Mapping) and _contains_state_dict(content.get(key))]
    if not keys and nested:
        state, key = extract_state_dict(content[nested[0]], path, option)
        return state, f"{nested[0]}.{key}"
    if not keys:
        kind = f"a mapping with {_names(content)}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise NasError(
            f"{option}={path}: contains {kind}, but no state_dict (names with tensors), also not under "
            f"{', '.join(WRAPPERS)}. Save the state_dict alone."
        )
    state = dict(content[keys[0]])
    if "pytorch-lightning_version" in content:
        parts = ({k: v for k, v in state.items() if k.startswith(prefix)} for prefix in PREFIXES)
        state = next(filter(None, parts), state)
    return strip_prefixes(state), keys[0]


def strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state_dict without the prefixes (``PREFIXES``) common to all names."""
    prefix = next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in state)), None)
    if prefix is None:
        return dict(state)
    return strip_prefixes({key.removeprefix(prefix): value for key, value in state.items()})


def _is_state_dict(value: Any) -> bool:
    named = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    return named and bool(value) and all(isinstance(part, Tensor) for part in value.values())


def _contains_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and any(_is_state_dict(value.get(key)) for key in WRAPPERS)


def _names(value: Mapping[Any, Any]) -> str:
    names = [str(key) for key in value]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "no entries"


def _safe_globals() -> Iterator[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Yield the classes and functions that a checkpoint may use in addition to those of torch; all are harmless."""
    yield argparse.Namespace
    yield codecs.encode
    yield np.ndarray
    yield np.dtype
    yield from {type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"}
    for value in (np.float64(0), np.zeros(1)):
        # The same function under its names in NumPy 1 and NumPy 2.
        rebuild = value.__reduce__()[0]
        assert callable(rebuild)
        for package in ("core", "_core"):
            yield rebuild, f"numpy.{package}.multiarray.{rebuild.__name__}"


def _diagnose(path: Path, error: Exception, option: str) -> str:
    """Return the problem of a file that cannot be read."""
    with path.open("rb") as file:
        head = file.read(64)
    if path.suffix == ".onnx" or (head[:1] == b"\x08" and (b"pytorch" in head or b"onnx" in head)):
        return (
            f"it is an ONNX file, and weights are read from files of torch.save. Set {option} to the model.pt of "
            "the training"
        )
    if path.suffix == ".pt2":
        return (
            f"it is a program of torch.export, and weights are read from files of torch.save. Set {option} to the "
            "model.pt of the training"
        )
    text = one_line(error).partition(". ")[0][:160]
    return describe_damage(path) or f"damaged, truncated or not a file of torch.save ({text})"
