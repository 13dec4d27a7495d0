"""Unpicklers for untrusted files: containers, numbers and text only; no code runs."""

from __future__ import annotations

import pickle
import struct
import zlib
from array import array
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from nas.utils.errors import NasError

READ_ERRORS = (
    *(EOFError, OSError, pickle.UnpicklingError, ValueError, TypeError, LookupError, AttributeError, AssertionError),
    *(ArithmeticError, struct.error, MemoryError, RuntimeError, zlib.error),
)
"""Errors that a truncated, damaged or forged file may raise: a pickle also selects the arguments of allowed calls."""

NOT_SET = 2**32 - 1


class _ScalarType:
    """Numpy dtype of a single number; its byte order arrives as pickled state."""

    def __init__(self, code: str, *flags: Any) -> None:
        if not (isinstance(code, str) and len(code) == 2 and code[0] in "fiub" and code[1] in "1248"):
            raise ValueError(f"a number of type {code!r}")
        self.code = code
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">", "=", "|"):
            raise ValueError(f"a number with bytes in order {state[1]!r}")
        self.order = state[1]


def _scalar(dtype: _ScalarType, data: bytes) -> Any:
    """Return a numpy scalar as a Python number."""
    order = dtype.order.replace("|", "=")
    (value,) = np.frombuffer(data, np.dtype(f"{order}{dtype.code}"))
    return value.item()


def _bytes(text: str, encoding: str) -> bytes:
    """Decode bytes as pickle protocols before the third store them."""
    if encoding != "latin1":
        raise ValueError(f"bytes in encoding {encoding!r}")
    return text.encode("latin1")


def _dropped(*parts: Any) -> None:
    """Replace a tensor by None."""


CONTAINERS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind for kind in (dict, list, tuple, set, frozenset, int, float, str, bool, complex)
}
ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("numpy", "dtype"): _ScalarType,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _bytes,
    ("torch._utils", "_rebuild_tensor_v2"): _dropped,
    ("torch._utils", "_rebuild_parameter"): _dropped,
    **{("torch", f"{kind}Storage"): _dropped for kind in ("Float", "Double", "Half", "Long", "Int", "Bool", "Byte")},
    **{(module, name): kind for module in ("builtins", "__builtin__") for name, kind in CONTAINERS.items()},
}
"""Replacements for the only global names that a pickle may refer to."""


def allowed_global(module: str, name: str, source: str) -> Callable[..., Any]:
    """Return the replacement for a global name. Raise NasError for any name that is not listed in ``ALLOWED``."""
    allowed = ALLOWED.get((module, name))
    if allowed is None:
        raise NasError(f"{source} refers to {module}.{name}, which no benchmark needs. Refused; no code was run.")
    return allowed


class SafeUnpickler(pickle.Unpickler):
    """Unpickler of containers, numbers and text; tensors become None.

    A damaged or forged pickle may number an object so high that this fast unpickler allocates gigabytes. Use it for
    files with a checksum, and ``StreamingUnpickler`` for any other file.
    """

    def __init__(self, file: IO[bytes], source: str) -> None:
        super().__init__(file)
        self.source = source

    def find_class(self, module_name: str, global_name: str) -> Any:
        return allowed_global(module_name, global_name, self.source)

    def persistent_load(self, pid: Any) -> None:
        """Replace the storage of a tensor by None."""


class CompactMemo:
    """Memo of an unpickler that stores equal strings, which are most of a benchmark's objects, once."""

    def __init__(self) -> None:
        self._positions = array("I")
        self._objects: list[Any] = []
        self._strings: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._positions)

    def __setitem__(self, key: int, value: Any) -> None:
        end = len(self._objects)
        position = self._strings.setdefault(value, end) if type(value) is str else end
        if position == end:
            self._objects.append(value)
        if key >= len(self._positions):
            if key > len(self._positions) + 1000:
                raise pickle.UnpicklingError(f"entry {key} of the memo after {len(self._positions)} entries")
            self._positions.extend([NOT_SET] * (key - len(self._positions) + 1))
        self._positions[key] = position

    def __getitem__(self, key: int) -> Any:
        if not 0 <= key < len(self._positions) or self._positions[key] == NOT_SET:
            raise KeyError(key)
        return self._objects[self._positions[key]]


# The pure-Python unpickler of the standard library, whose opcodes can be overridden.
PythonUnpickler: Any = pickle._Unpickler


class StreamingUnpickler(PythonUnpickler):
    """Safe unpickler for files with all architectures in one pickle.

    It calls ``on_dict`` with each dictionary after items were added. The callback can empty dictionaries that are no
    longer needed, since a pickle keeps all of its objects until it ends. Its memory is bounded by the size of the file.
    """

    def __init__(
        self, file: IO[bytes], source: str, on_dict: Callable[[dict[Any, Any]], None] = lambda value: None
    ) -> None:
        super().__init__(file)
        self.memo = CompactMemo()
        self.source = source
        self.on_dict = on_dict

    def find_class(self, module: str, name: str) -> Any:
        return allowed_global(module, name, self.source)

    def persistent_load(self, pid: Any) -> None:
        """Replace the storage of a tensor by None."""

    def _setitem(self) -> None:
        PythonUnpickler.load_setitem(self)
        self._call_back()

    def _setitems(self) -> None:
        PythonUnpickler.load_setitems(self)
        self._call_back()

    def _call_back(self) -> None:
        if isinstance(self.stack[-1], dict):
            self.on_dict(self.stack[-1])

    dispatch = {**PythonUnpickler.dispatch, pickle.SETITEM[0]: _setitem, pickle.SETITEMS[0]: _setitems}
