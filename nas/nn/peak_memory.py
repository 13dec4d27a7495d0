"""Peak memory of the tensors that a computation allocates."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode


class _LiveStorages(TorchDispatchMode):
    """Count the bytes of the storages that ops return, from their allocation until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen: weakref.WeakKeyDictionary[UntypedStorage, None] = weakref.WeakKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        storages = [tensor.untyped_storage() for tensor in _tensors(outputs)]
        new = [storage for storage in storages if storage not in self._seen]
        if new:
            known = {tensor.untyped_storage().data_ptr() for tensor in _tensors((args, kwargs))}
            for storage in new:
                self._allocate(storage, storage.data_ptr() not in known)
        return outputs

    def _allocate(self, storage: UntypedStorage, counts: bool) -> None:
        self._seen[storage] = None
        size = storage.nbytes() if counts else 0
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.live -= size


def measure_peak(compute: Callable[[], object]) -> int:
    """Return the maximum number of bytes that tensors of ``compute`` take at the same time.

    Forward and backward passes count. Tensors that existed before and temporary memory within an op do not.
    """
    storages = _LiveStorages()
    with storages:
        compute()
    return storages.peak


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))
