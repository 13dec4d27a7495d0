"""Checks of untrusted files of ``torch.save``: declared sizes, checksums and tensors."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

RATIO, SLACK = 4, 1 << 24
"""Bound of declared bytes: RATIO times the bytes of the file, plus SLACK. ``torch.save`` does not compress."""
MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of a file without a zip archive
ITEM_BYTES = {
    **dict.fromkeys(("Double", "Long", "ComplexFloat"), 8),
    **dict.fromkeys(("Float", "Int", "QInt32"), 4),
    **dict.fromkeys(("Half", "BFloat16", "Short"), 2),
    "ComplexDouble": 16,
}
_Unpickler: Any = pickle._Unpickler  # the pure-Python unpickler, whose opcodes can be overridden


def check_torch_file(path: Path) -> None:
    """Compare the declared sizes of a file with its content before torch reads it; no code of the file is run.

    Raises:
        ValueError, zipfile.BadZipFile, pickle.UnpicklingError and others: if the file is not of ``torch.save``, is
            damaged, or declares more bytes than it has: torch would allocate them, or read beyond the end.
    """
    size = path.stat().st_size
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            if _Scan(file, {}, size).load() != MAGIC:
                raise ValueError("not a file of torch.save")
            for _ in range(3):  # protocol, system, content
                _Scan(file, {}, size).load()
        return
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        declared = sum(entry.file_size for entry in archive.infolist())
        if declared > RATIO * size + SLACK:
            raise ValueError(f"{declared:,} bytes declared in a file of {size:,}")
        pickles = [name for name in sizes if name.endswith("data.pkl")]
        if not pickles:
            raise ValueError(f"an archive of {len(sizes)} files that torch.save did not write")
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} does not match")
        for name in pickles:
            folder = name.removesuffix("data.pkl") + "data/"
            records = {key.removeprefix(folder): n for key, n in sizes.items() if key.startswith(folder)}
            with archive.open(name) as content:
                _Scan(content, records, 0).load()


def describe_damage(path: Path) -> str | None:
    """Return the problem of a file that is empty, truncated or of another kind, None if its start does not show it."""
    with path.open("rb") as file:
        head = file.read(2)
    if not head:
        return "the file is empty"
    if head == b"PK":
        return None if zipfile.is_zipfile(path) else "the file is truncated"
    return None if head.startswith(b"\x80") else "not a file of torch.save"


def check_tensors(content: Any) -> None:
    """Raise ValueError for a tensor in nested containers that is larger than its storage, or not a plain CPU tensor.

    A tensor with strides of 0 takes one number in a file and any amount of memory when it is copied.
    """
    seen: set[int] = set()
    left, total, stored = [content], 0, 0
    while left:
        value = left.pop()
        if isinstance(value, Tensor):
            if value.layout != torch.strided or value.device.type != "cpu" or value.is_nested or value.is_quantized:
                raise ValueError("a tensor that is sparse, quantized, nested or without data")
            storage = value.untyped_storage()
            total += value.numel() * value.element_size()
            if value.numel() * value.element_size() > storage.nbytes():
                raise ValueError(f"a tensor of {tuple(value.shape)} in a storage of {storage.nbytes():,} bytes")
            if (key := storage.data_ptr()) not in seen:
                seen.add(key)
                stored += storage.nbytes()
        elif isinstance(value, Mapping | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            left += [*value.keys(), *value.values()] if isinstance(value, Mapping) else list(value)
    if total > RATIO * stored + SLACK:
        raise ValueError(f"tensors of {total:,} bytes in storages of {stored:,} bytes")


class _Opaque:
    """Replacement for every object of a pickle that is no container, number or text."""

    name = ""

    def __new__(cls, *args: Any, **options: Any) -> _Opaque:
        return super().__new__(cls)

    def __call__(self, *args: Any, **options: Any) -> _Opaque:
        return self

    def __setstate__(self, state: Any) -> None: ...
    def __setitem__(self, key: Any, value: Any) -> None: ...
    def append(self, value: Any) -> None: ...
    def extend(self, values: Any) -> None: ...
    def add(self, value: Any) -> None: ...


def _checking_keys(operation: Callable[[Any], None], keys: slice) -> Callable[[Any], None]:
    """Return an operation of the unpickler that first checks the keys at the positions ``keys`` of its stack."""

    def checked(scan: Any) -> None:
        for key in scan.stack[keys]:
            _check_key(key)
        operation(scan)

    return checked


def _check_key(key: Any, depth: int = 0) -> None:
    """Raise ValueError for a deeply nested key: its hash would take exponential time if it repeats its parts."""
    if isinstance(key, tuple | frozenset):
        if depth > 2 or len(key) > 100:
            raise ValueError("a nested key of a mapping")
        for part in key:
            _check_key(part, depth + 1)


class _Scan(_Unpickler):
    """Unpickler that checks the sizes of storages and the keys of mappings.

    Args:
        file: the pickle.
        records: bytes of the record of each storage, in a zip archive.
        limit: bytes of all storages together, in a file without an archive.
    """

    def __init__(self, file: IO[bytes], records: Mapping[str, int], limit: int) -> None:
        super().__init__(file)
        self.records = records
        self.left = limit
        self.counted: set[str] = set()

    def find_class(self, module: str, name: str) -> type[_Opaque]:
        return type("_Named", (_Opaque,), {"name": name})

    def persistent_load(self, pid: Any) -> _Opaque:
        kind, key, numel = pid[1], str(pid[2])[:100], pid[4]
        nbytes = numel * ITEM_BYTES.get(getattr(kind, "name", "").removesuffix("Storage"), 1)
        held = self.records.get(key, 0) if self.records or not self.left else self.left
        if type(numel) is not int or not 0 <= nbytes <= held:
            raise ValueError(f"a storage declares {nbytes:,} bytes and holds {held:,}")
        if not self.records and key not in self.counted:
            self.counted.add(key)
            self.left -= nbytes
        return _Opaque()

    dispatch = {
        **_Unpickler.dispatch,
        pickle.SETITEM[0]: _checking_keys(_Unpickler.load_setitem, slice(-2, -1)),
        pickle.SETITEMS[0]: _checking_keys(_Unpickler.load_setitems, slice(None, None, 2)),
        pickle.DICT[0]: _checking_keys(_Unpickler.load_dict, slice(None, None, 2)),
        pickle.ADDITEMS[0]: _checking_keys(_Unpickler.load_additems, slice(None)),
        pickle.FROZENSET[0]: _checking_keys(_Unpickler.load_frozenset, slice(None)),
    }
