"""Which entries of each cell's table are still candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.cell import Cell


class Masks(nn.Module):
    """One bool buffer [edges, ops] a cell type; True where the op may still be chosen.

    The exclusions of a space, ops pruned in stages and edges that are decided are all entries of it. It also
    keeps each table as Python lists, so that a forward pass never reads it back from the device.
    """

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        super().__init__()
        for name, cell in cells.items():
            self.register_buffer(name, cell.allowed())
        self.cell_names = tuple(cells)
        self._lists: dict[str, list[list[bool]]] = {}
        self._full: dict[str, bool] = {}
        self._refresh()
        self.register_load_state_dict_post_hook(lambda module, keys: module._refresh())

    def table(self, name: str) -> Tensor:
        """The mask of a cell type as a tensor [edges, ops]."""
        found = getattr(self, name)
        assert isinstance(found, Tensor)
        return found

    def lists(self, name: str) -> list[list[bool]]:
        """The mask of a cell type as lists; not to be changed."""
        return self._lists[name]

    def full(self, name: str) -> bool:
        """Whether no entry of the cell type is masked."""
        return self._full[name]

    def restrict(self, name: str, keep: Tensor) -> None:
        """Masks every entry of a cell type where ``keep`` [edges, ops] is False. What is masked stays so."""
        with torch.no_grad():
            self.table(name).logical_and_(keep.to(self.table(name).device))
        self._refresh()

    def _refresh(self) -> None:
        for name in self.cell_names:
            self._lists[name] = self.table(name).tolist()
            self._full[name] = all(all(row) for row in self._lists[name])

    def forward(self, *args: Any) -> None:
        raise TypeError("masks are read, not called")
