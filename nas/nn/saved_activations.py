"""Memory of the activations that a forward pass keeps for the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from nas.nn.activation_checkpointing import cells_of


class SavedActivations(NamedTuple):
    """Bytes that a forward pass keeps: as it is, and with activation checkpointing of the cells."""

    plain: int
    checkpointed: int


class _Record:
    """Storages that are saved during a forward pass, by address."""

    def __init__(self, ignored: Iterable[Tensor]) -> None:
        self.ignored = set(map(_address, ignored))
        self.saved: dict[int, int] = {}
        self.cells: dict[int, nn.Module | None] = {}
        self.inputs: dict[int, int] = {}
        self._current: nn.Module | None = None
        self._alive: list[Tensor] = []  # so that no two storages have the same address

    def pack(self, tensor: Tensor) -> Tensor:
        key = _address(tensor)
        if key and key not in self.ignored and key not in self.saved:
            self._alive.append(tensor)
            self.saved[key] = tensor.untyped_storage().nbytes()
            self.cells[key] = self._current
        return tensor

    def enter(self, cell: nn.Module, args: tuple[Any, ...]) -> None:
        for tensor in _tensors(args):
            self._alive.append(tensor)
            self.inputs[_address(tensor)] = tensor.untyped_storage().nbytes()
        self._current = cell

    def leave(self, cell: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._current = None

    def total(self) -> SavedActivations:
        sizes: dict[nn.Module | None, int] = {}
        for key, size in self.saved.items():
            if key not in self.inputs:
                sizes[self.cells[key]] = sizes.get(self.cells[key], 0) + size
        outside = sizes.pop(None, 0) + sum(self.inputs.values())
        return SavedActivations(sum(self.saved.values()), outside + max(sizes.values(), default=0))


def measure_saved_activations(
    network: nn.Module, forward: Callable[[], object], buffers: Iterable[Tensor] = ()
) -> SavedActivations:
    """Run ``forward`` with gradients, and count the tensors that ``network`` saves for the backward pass.

    Each storage counts once; parameters, buffers and ``buffers`` in place of them do not count. With checkpointing
    the inputs of all cells are kept, and the activations of one cell at a time.
    """
    record = _Record([*network.parameters(), *network.buffers(), *buffers])
    cells = cells_of(network)
    hooks = [cell.register_forward_pre_hook(record.enter) for cell in cells]
    hooks += [cell.register_forward_hook(record.leave) for cell in cells]
    try:
        with torch.enable_grad(), saved_tensors_hooks(record.pack, lambda tensor: tensor):
            forward()
    finally:
        for hook in hooks:
            hook.remove()
    return record.total()


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
