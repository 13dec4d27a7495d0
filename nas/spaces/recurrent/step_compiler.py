"""Compilation of recurrent cells by ``torch.compile``: the code of one time step, shared by all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nas.spaces.recurrent.cell import RecurrentCell

MAX_STRUCTURES = 8
"""Largest number of compiled mixtures of ops. A mixture that changes in each step is executed eagerly after them."""
MAX_GRAPHS = 64
"""Largest number of graphs: one per structure, number of columns and kind of step."""


class StepCompiler:
    """Execution of the time steps of recurrent cells by code that ``torch.compile`` generates.

    A time step is one graph. The first time step of a chunk runs eagerly, because its hidden state has no gradient and
    would need another graph. Evaluation, passes without gradients, and architectures of single ops run eagerly, too.

    Dropout masks are sampled outside of the graph, so random numbers are the same. Results are equal to those of eager
    execution up to rounding. Parameter names do not change.

    Args:
        backend: backend of ``torch.compile``.
    """

    def __init__(self, backend: str | Callable[..., Any] = "inductor") -> None:
        options: dict[str, Any] = {}
        if "isolate_recompiles" in inspect.signature(torch.compile).parameters:  # earlier PyTorch keeps 8 graphs
            options = {"recompile_limit": MAX_GRAPHS, "isolate_recompiles": True}
        self._step = torch.compile(_time_step, dynamic=False, backend=backend, **options)
        self._structures: set[Hashable] = set()

    def install(self, network: nn.Module) -> None:
        """Compile the time steps of all recurrent cells of a network."""
        for cell in recurrent_cells(network):
            cell.executor = self

    def accepts(self, cell: RecurrentCell, h: Tensor, plan: Any) -> bool:
        """Return whether the time step after the hidden state ``h`` [B, n] is compiled."""
        structure = cell.structure(plan)
        if structure is None or not (cell.training and h.requires_grad and torch.is_grad_enabled()):
            return False
        if structure not in self._structures and len(self._structures) < MAX_STRUCTURES:
            self._structures.add(structure)
        return structure in self._structures

    def time_step(self, cell: RecurrentCell, gate: Tensor, h: Tensor, mask: Tensor | None, plan: Any) -> Tensor:
        """Return the next hidden state [B, n]; the arguments are those of ``RecurrentCell.time_step``."""
        with copied_statistics(cell):
            out: Tensor = self._step(cell, gate, h, mask, plan)
        return out


def recurrent_cells(network: nn.Module) -> list[RecurrentCell]:
    """Return the recurrent cells of a network."""
    return [module for module in network.modules() if isinstance(module, RecurrentCell)]


@contextmanager
def copied_statistics(cell: RecurrentCell) -> Iterator[None]:
    """Let a time step update copies of the running statistics of batch norm, and store the result in their place.

    Autograd keeps the statistics of each time step for the backward pass, before which later time steps change them.
    """
    saved = [(norm, norm.running_mean, norm.running_var) for norm in cell.norms]
    try:
        for norm, mean, var in saved:
            norm.running_mean, norm.running_var = _copy(mean), _copy(var)
        yield
    finally:
        for norm, mean, var in saved:
            for statistics, updated in ((mean, norm.running_mean), (var, norm.running_var)):
                if statistics is not None and updated is not None:
                    statistics.data.copy_(updated)  # eager batch norm does not count its updates as versions either
            norm.running_mean, norm.running_var = mean, var


def _copy(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.clone()


def remove_step_compiler(network: nn.Module) -> None:
    """Undo ``StepCompiler.install``."""
    for cell in recurrent_cells(network):
        cell.executor = None


def _time_step(cell: RecurrentCell, gate: Tensor, h: Tensor, mask: Tensor | None, plan: Any) -> Tensor:
    return cell.time_step(gate, h, mask, plan)
