"""Activation checkpointing: cells keep their inputs for the backward pass and compute their activations again."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from nas.nn.edges.mixed import EdgeRow


class CheckpointedForward:
    """Replacement of the ``forward`` of a cell, as an attribute of the instance: parameters keep their names.

    The recomputation equals the first computation bit for bit. It uses the same random numbers and the parameters of
    the first computation, which ``functional_call`` may have replaced. It updates copies of the running statistics of
    batch norm. Caches in the rows of the architecture have the content that they had before the first computation.
    """

    def __init__(self, cell: nn.Module) -> None:
        self.cell = cell
        self._recomputes = False

    def __call__(self, *args: Any) -> Any:
        if self._recomputes or not torch.is_grad_enabled():
            return type(self.cell).forward(self.cell, *args)
        state: dict[str, Tensor] = {**dict(self.cell.named_parameters()), **dict(self.cell.named_buffers())}
        buffers = [name for name, _ in self.cell.named_buffers()]
        before = _copy_rows(args)
        computed = False

        def compute(*given: Any) -> Any:
            nonlocal computed
            if not computed:
                computed = True
                return type(self.cell).forward(self.cell, *given)
            return self._recompute({**state, **{name: state[name].clone() for name in buffers}}, _copy_rows(before))

        # an early stop would skip the end of a cell, which clears the cache of its pools
        return checkpoint(compute, *args, use_reentrant=False, early_stop=False)

    def _recompute(self, state: dict[str, Tensor], args: Sequence[Any]) -> Any:
        self._recomputes = True
        try:
            return functional_call(self.cell, state, tuple(args))
        finally:
            self._recomputes = False


def cells_of(network: nn.Module) -> list[nn.Module]:
    """Return the cells or blocks of a network in order: the members of its module lists."""
    return [cell for part in network.children() if isinstance(part, nn.ModuleList) for cell in part]


def checkpoint_cells(network: nn.Module) -> None:
    """Checkpoint the activations of all cells of a network in passes with gradients."""
    for cell in cells_of(network):
        if not isinstance(vars(cell).get("forward"), CheckpointedForward):
            cell.forward = CheckpointedForward(cell)


def keep_activations(network: nn.Module) -> None:
    """Undo ``checkpoint_cells``."""
    for cell in cells_of(network):
        if isinstance(vars(cell).get("forward"), CheckpointedForward):
            del cell.forward


def _copy_rows(args: Iterable[Any]) -> list[Any]:
    """Return arguments with copies of their rows, which share one copy of their common cache."""
    copied: list[Any] = []
    for arg in args:
        if isinstance(arg, list) and arg and isinstance(arg[0], EdgeRow):
            memo, arg = dict(arg[0].memo), [copy.copy(row) for row in arg]
            for row in arg:
                row.memo = memo
        copied.append(arg)
    return copied
