"""Reading other people's pickles without running anything that they name."""

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

BROKEN = (
    *(EOFError, OSError, pickle.UnpicklingError, ValueError, TypeError, LookupError, AttributeError, AssertionError),
    *(ArithmeticError, struct.error, MemoryError, RuntimeError, zlib.error),
)
"""What reading a file that is cut off, spoiled or made up may raise: a pickle also chooses what it calls with what."""

NOWHERE = 2**32 - 1


class _Number:
    """A numpy dtype of one number; its order of bytes comes as its state."""

    def __init__(self, code: str, *flags: Any) -> None:
        if not (isinstance(code, str) and len(code) == 2 and code[0] in "fiub" and code[1] in "1248"):
            raise ValueError(f"a number of type {code!r}")
        self.code = code
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">", "=", "|"):
            raise ValueError(f"a number with bytes in order {state[1]!r}")
        self.order = state[1]


def _scalar(kind: _Number, data: bytes) -> Any:
    """A numpy scalar as a Python number."""
    order = kind.order.replace("|", "=")
    (value,) = np.frombuffer(data, np.dtype(f"{order}{kind.code}"))
    return value.item()


def _bytes(text: str, encoding: str) -> bytes:
    """How protocols before the third wrote bytes."""
    if encoding != "latin1":
        raise ValueError(f"bytes in encoding {encoding!r}")
    return text.encode("latin1")


def _dropped(*parts: Any) -> None:
    """A tensor: benchmarks are about numbers."""


CONTAINERS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind for kind in (dict, list, tuple, set, frozenset, int, float, str, bool, complex)
}
ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("numpy", "dtype"): _Number,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _bytes,
    ("torch._utils", "_rebuild_tensor_v2"): _dropped,
    ("torch._utils", "_rebuild_parameter"): _dropped,
    **{("torch", f"{kind}Storage"): _dropped for kind in ("Float", "Double", "Half", "Long", "Int", "Bool", "Byte")},
    **{(module, name): kind for module in ("builtins", "__builtin__") for name, kind in CONTAINERS.items()},
}
"""The only names that a pickle may refer to, with what stands for them."""


def allowed(module: str, name: str, where: str) -> Callable[..., Any]:
    """What a pickle gets for a name. Raises NasError for one that is not known to be harmless."""
    found = ALLOWED.get((module, name))
    if found is None:
        raise NasError(f"{where} names {module}.{name}, which no benchmark needs: refused, nothing of it was run")
    return found


class Plain(pickle.Unpickler):
    """Reads containers, numbers and text; tensors come as None."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        super().__init__(file)
        self.where = where

    def find_class(self, module_name: str, global_name: str) -> Any:
        return allowed(module_name, global_name, self.where)

    def persistent_load(self, pid: Any) -> None:
        """A tensor's storage."""


class Memo:
    """What a pickle may refer to again, as a list of places: equal texts, which are most of it, take one."""

    def __init__(self) -> None:
        self._places = array("I")
        self._objects: list[Any] = []
        self._texts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __setitem__(self, key: int, value: Any) -> None:
        place = self._texts.setdefault(value, len(self._objects)) if type(value) is str else len(self._objects)
        if place == len(self._objects):
            self._objects.append(value)
        if key >= len(self._places):
            if key > len(self._places) + 1000:
                raise pickle.UnpicklingError(f"entry {key} of the memo after {len(self._places)} entries")
            self._places.extend([NOWHERE] * (key - len(self._places) + 1))
        self._places[key] = place

    def __getitem__(self, key: int) -> Any:
        if not 0 <= key < len(self._places) or self._places[key] == NOWHERE:
            raise KeyError(key)
        return self._objects[self._places[key]]


# The one of the standard library that is written in Python: it can be told of each dictionary.
PYTHONS: Any = pickle._Unpickler


class Streaming(PYTHONS):
    """The same for files that hold all architectures in one pickle: shows each dictionary to ``finished``.

    It is called with every dictionary when items were added, so that those no longer needed can be emptied: a pickle
    keeps all of its objects until it ends.
    """

    def __init__(self, file: IO[bytes], where: str, finished: Callable[[dict[Any, Any]], None]) -> None:
        super().__init__(file)
        self.memo = Memo()
        self.where = where
        self.finished = finished

    def find_class(self, module: str, name: str) -> Any:
        return allowed(module, name, self.where)

    def persistent_load(self, pid: Any) -> None:
        """A tensor's storage."""

    def _setitem(self) -> None:
        PYTHONS.load_setitem(self)
        self._show()

    def _setitems(self) -> None:
        PYTHONS.load_setitems(self)
        self._show()

    def _show(self) -> None:
        if isinstance(self.stack[-1], dict):
            self.finished(self.stack[-1])

    dispatch = {**PYTHONS.dispatch, pickle.SETITEM[0]: _setitem, pickle.SETITEMS[0]: _setitems}
