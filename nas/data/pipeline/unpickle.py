"""Safe unpickling of published arrays: no code of the file is ever run."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from nas.utils.errors import NasError, one_line

_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError, OverflowError),
    *(MemoryError, RecursionError, RuntimeError),
)


def unpickle_arrays(content: bytes, path: Path, encoding: str, verified: bool = True) -> Any:
    """Unpickle NumPy arrays, strings, numbers and containers of them.

    Args:
        content: content of the file.
        path: path of the file, for error messages.
        encoding: encoding of strings written by Python 2.
        verified: whether the content has the published checksum. False: use the unpickler in Python, because a wrong
            number of an object in a damaged file makes the fast unpickler allocate gigabytes.

    Raises:
        NasError: if the file is not a pickle, or holds any other class or function.
    """
    try:
        kind = _ArrayUnpickler if verified else _BoundedArrayUnpickler
        return kind(io.BytesIO(content), encoding=encoding).load()
    except _UNREADABLE as error:
        raise NasError(f"{path}: not a pickle of arrays ({one_line(error) or type(error).__name__}).") from error


class _OnlyArrays:
    """Mixin that resolves only the globals of NumPy arrays and bytes."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            # Taken from an array, since NumPy 2 moved this function and warns if it is imported by its old name.
            ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("_codecs", "encode"): _latin1_bytes,  # Python 3 pickles bytes this way for readers of Python 2
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it contains {module}.{name}; only arrays and plain values are allowed")
        return allowed[module, name]


class _ArrayUnpickler(_OnlyArrays, pickle.Unpickler):
    """Fast unpickler of arrays."""


class _BoundedArrayUnpickler(_OnlyArrays, pickle._Unpickler):
    """Unpickler of arrays whose memory is bounded by the size of the file."""


def _latin1_bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it contains text with encoding {encoding}; only bytes as latin1 are allowed")
    return text.encode("latin1")
