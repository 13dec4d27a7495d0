"""Masks: the remaining candidates of each cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.cell import Cell


class Masks(nn.Module):
    """One bool buffer [edges, ops] per cell type, True for the ops that may still be chosen.

    Exclusions of the space, ops pruned in stages and edges that are fixed are all masked entries. The masks are also
    stored as Python lists, so that a forward pass needs no device synchronization.
    """

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        super().__init__()
        for name, cell in cells.items():
            self.register_buffer(name, cell.allowed())
        self.cell_names = tuple(cells)
        self._lists: dict[str, list[list[bool]]] = {}
        self._full: dict[str, bool] = {}
        self._refresh()
        self.register_load_state_dict_post_hook(_refresh_lists)

    def table(self, name: str) -> Tensor:
        """Return the mask of a cell type as a tensor [edges, ops]."""
        table = getattr(self, name)
        assert isinstance(table, Tensor)
        return table

    def lists(self, name: str) -> list[list[bool]]:
        """Return the mask of a cell type as lists, which must not be changed."""
        return self._lists[name]

    def full(self, name: str) -> bool:
        """Return whether every entry of the cell type remains."""
        return self._full[name]

    def restrict(self, name: str, keep: Tensor) -> None:
        """Mask every entry of a cell type where ``keep`` [edges, ops] is False. Masked entries never return."""
        with torch.no_grad():
            self.table(name).logical_and_(keep.to(self.table(name).device))
        self._refresh()

    def _refresh(self) -> None:
        for name in self.cell_names:
            self._lists[name] = self.table(name).tolist()
            self._full[name] = all(all(row) for row in self._lists[name])

    def forward(self, *args: Any) -> None:
        raise TypeError("Masks is not callable; use its methods")


def _refresh_lists(module: nn.Module, incompatible_keys: Any) -> None:
    """Update the lists after tensors were loaded. Unlike a lambda, a function of a module can be pickled."""
    assert isinstance(module, Masks)
    module._refresh()
