"""Files of weights, ours and others', read without running what may be hidden in them."""

from __future__ import annotations

import argparse
import codecs
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.utils.errors import NasError, one_line

WRAPPERS = ("state_dict", "model_state", "model_state_dict", "base-model", "model", "network", "net")
"""Where published checkpoints keep the weights, beside epochs, optimizers and arguments."""

PREFIXES = ("module.", "_orig_mod.", "network.", "model.", "net.")
"""What DataParallel, torch.compile, and modules that hold the network put in front of the names of its weights."""

UNREADABLE = (RuntimeError, pickle.UnpicklingError, OSError, EOFError, ValueError, KeyError, AttributeError, TypeError)


def read_weights_file(path: Path, option: str = "weights") -> Any:
    """What a file written by ``torch.save`` holds; it is unpickled with ``weights_only``.

    Beside tensors and plain values it may hold ``argparse.Namespace`` and NumPy's numbers and arrays. ``option`` is
    what an error is said of.

    Raises:
        NasError: if there is no file, it is damaged or of another kind, or it holds any other Python object.
    """
    if not path.is_file():
        raise NasError(f"{option}: there is no file {path}; give a run directory, a model.pt or a file of weights")
    try:
        if zipfile.is_zipfile(path):
            _check_archive(path)
        with torch.serialization.safe_globals(list(_accepted())):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (*UNREADABLE, zipfile.BadZipFile, zlib.error) as error:
        foreign = re.search(r"GLOBAL (\w[\w.]*)|Unsupported (?:class|global) (\w[\w.]*)", str(error))
        if foreign is not None:
            raise NasError(
                f"{option}: {path} holds a Python object ({(foreign[1] or foreign[2]).strip('.')}) that may run "
                "anything when it is read: save the state_dict alone, torch.save(network.state_dict(), FILE), "
                "where you trust it"
            ) from None
        raise NasError(f"{option}: {path} {_what_it_is(path, error)}") from None


def extract_state_dict(value: Any, path: Path, option: str = "weights") -> tuple[dict[str, Tensor], str]:
    """The state_dict in what a checkpoint holds, and the key it was found under ("" where it is the whole).

    What wrappers put in front of all names (``PREFIXES``) is taken away; of Lightning's checkpoints, which hold the
    weights of losses and metrics too, with all that is not of the network.

    Raises NasError where there is no mapping of names to tensors.
    """
    if _is_state(value):
        return strip_prefixes(value), ""
    if isinstance(value, Mapping) and "search" in value and "pytorch-lightning_version" in value:
        raise NasError(f"{option}: {path} is the checkpoint of a search: its weights are those of a supernet")
    found = [key for key in WRAPPERS if isinstance(value, Mapping) and _is_state(value.get(key))]
    inner = [key for key in WRAPPERS if isinstance(value, Mapping) and _wraps(value.get(key))]
    if not found and inner:
        state, key = extract_state_dict(value[inner[0]], path, option)
        return state, f"{inner[0]}.{key}"
    if not found:
        held = f"a mapping with {_some(value)}" if isinstance(value, Mapping) else f"a {type(value).__name__}"
        raise NasError(
            f"{option}: {path} holds {held}, no state_dict (names and their tensors), neither by itself nor under "
            f"{', '.join(WRAPPERS)}"
        )
    state = dict(value[found[0]])
    if "pytorch-lightning_version" in value:
        parts = ({k: v for k, v in state.items() if k.startswith(prefix)} for prefix in PREFIXES)
        state = next(filter(None, parts), state)
    return strip_prefixes(state), found[0]


def strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state_dict without the prefixes that all of its names have in common."""
    prefix = next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in state)), None)
    return (
        dict(state)
        if prefix is None
        else strip_prefixes({key.removeprefix(prefix): value for key, value in state.items()})
    )


def _is_state(value: Any) -> bool:
    """Whether it is a mapping of names to tensors."""
    named = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    return named and bool(value) and all(isinstance(part, Tensor) for part in value.values())


def _wraps(value: Any) -> bool:
    return isinstance(value, Mapping) and any(_is_state(value.get(key)) for key in WRAPPERS)


def _some(value: Mapping[Any, Any]) -> str:
    names = [str(key) for key in value]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "nothing"


def _accepted() -> Iterator[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What may be in a checkpoint beside what torch takes for harmless: none of it runs anything of the file's."""
    yield argparse.Namespace
    yield codecs.encode
    yield np.ndarray
    yield np.dtype
    yield from {type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"}
    for made in (np.float64(0), np.zeros(1)):
        # one function under the names that it has in NumPy 1 and in NumPy 2
        rebuild = made.__reduce__()[0]
        assert callable(rebuild)
        for package in ("core", "_core"):
            yield rebuild, f"numpy.{package}.multiarray.{rebuild.__name__}"


def _check_archive(path: Path) -> None:
    """Raises ValueError for what torch would read without a word: another kind of archive, or spoiled bytes."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if not any(name.endswith("data.pkl") for name in names):
            raise ValueError(f"an archive of {len(names)} files that torch.save did not write")
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} does not fit")


def _what_it_is(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        head = file.read(64)
    if path.suffix == ".onnx" or (head[:1] == b"\x08" and (b"pytorch" in head or b"onnx" in head)):
        return "is an ONNX file, which holds a graph: give the model.pt that it was exported from"
    if path.suffix == ".pt2":
        return "is a program of torch.export: give the model.pt that it was exported from"
    if not head:
        return "is empty"
    if head.startswith(b"PK") and not zipfile.is_zipfile(path):
        return "is cut off: the end of the file is missing"
    if not head.startswith((b"PK", b"\x80")):
        return "is no file of torch.save"
    return f"is damaged, cut off or no file of torch.save ({one_line(error).partition('. ')[0][:160]})"
