"""Recurrent cells of DARTS: highway connections between nodes, unrolled over the time steps of a chunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, CellGenotype
from nas.nn.variational_dropout import LockedDropout

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: Mapping[str, Activation] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}


class TimeStepExecutor(Protocol):
    """Alternative execution of the time steps of a cell, for example by compiled code."""

    def accepts(self, cell: RecurrentCell, h: Tensor, plan: Any) -> bool:
        """Return whether it executes the time step after the hidden state ``h``."""
        ...

    def time_step(self, cell: RecurrentCell, gate: Tensor, h: Tensor, mask: Tensor | None, plan: Any) -> Tensor:
        """Return the result of ``cell.time_step``."""
        ...


class RecurrentCell(nn.Module, ABC):
    """A cell with hidden states of size n, [T, B, n] -> [T, B, n].

    Node 0 combines input x and hidden state h: s_0 = h + sigmoid(c) * (tanh(u) - h), where [c, u] is a linear map of
    x and h. A candidate of node i is s_j + sigmoid(c) * (f(u) - s_j) for an earlier node s_j and an activation f.
    Here [c, u] is a linear map of s_j that all candidates of the node share. There are no biases. The next hidden state
    is the output, a mean over nodes.

    In training, the inputs and the states that enter a linear map are dropped with masks [B, n], sampled once per
    chunk (Liu et al., ICLR 2019; quark0/darts, rnn/model.py).

    Args:
        size: n.
        nodes: number of nodes after node 0.
        input_dropout: dropout of the inputs.
        hidden_dropout: dropout of hidden states and nodes.
    """

    executor: TimeStepExecutor | None = None
    """Executor of time steps; None: the cell executes them itself."""

    def __init__(self, size: int, nodes: int, input_dropout: float, hidden_dropout: float) -> None:
        super().__init__()
        self.input = nn.Linear(size, 2 * size, bias=False)
        self.hidden = nn.Linear(size, 2 * size, bias=False)
        self.nodes = nn.ModuleList(nn.Linear(size, 2 * size, bias=False) for _ in range(nodes))
        self.input_dropout = LockedDropout(input_dropout)
        self.hidden_dropout = LockedDropout(hidden_dropout)

    def forward(self, x: Tensor, h: Tensor, arch: Architecture | None = None) -> Tensor:
        """Return the hidden states [T, B, n] after each input of ``x`` [T, B, n], beginning with ``h`` [B, n]."""
        gates = self.input(self.input_dropout(x).flatten(0, 1)).unflatten(0, x.shape[:2])
        mask, plan = self.hidden_dropout.mask(h), self.plan(arch, h)
        states = []
        for gate in gates.unbind(0):
            if self.executor is not None and self.executor.accepts(self, h, plan):
                h = self.executor.time_step(self, gate, h, mask, plan)
            else:
                h = self.time_step(gate, h, mask, plan)
            states.append(h)
        return torch.stack(states)

    def time_step(self, gate: Tensor, h: Tensor, mask: Tensor | None, plan: Any) -> Tensor:
        """Return the next hidden state [B, n]; ``gate`` [B, 2n] is the part of node 0 that depends on the input."""
        return self.step(gate + self.hidden(masked(h, mask)), h, mask, plan)

    @property
    def norms(self) -> list[nn.BatchNorm1d]:
        """The batch norms of the cell."""
        return []

    @abstractmethod
    def step(self, gate: Tensor, h: Tensor, mask: Tensor | None, plan: Any) -> Tensor:
        """Return the next hidden state [B, n].

        Args:
            gate: [c, u] of node 0, [B, 2n].
            h: the hidden state [B, n].
            mask: dropout mask [B, n] of the inputs of linear maps, None without dropout.
            plan: the result of ``plan``.
        """

    def plan(self, arch: Architecture | None, like: Tensor) -> Any:
        """Return the part of a step that is common to all time steps of a chunk."""
        return None

    def structure(self, plan: Any) -> Hashable | None:
        """Return the key of the code of a step under ``plan``, None for a plan that is not compiled."""
        return ()


class GenotypeCell(RecurrentCell):
    """The cell of a genotype. The arguments are those of ``RecurrentCell``, and the genotype."""

    def __init__(self, size: int, genotype: CellGenotype, input_dropout: float, hidden_dropout: float) -> None:
        super().__init__(size, len(genotype.links), input_dropout, hidden_dropout)
        self.links = sorted(genotype.links, key=lambda link: link.target)
        self.output = genotype.output

    def step(self, gate: Tensor, h: Tensor, mask: Tensor | None, plan: Any) -> Tensor:
        states = [highway(gate, h, torch.tanh)]
        for linear, (op, source, _) in zip(self.nodes, self.links, strict=True):
            state = states[source]
            states.append(highway(linear(masked(state, mask)), state, ACTIVATIONS[op]))
        return torch.stack([states[node] for node in self.output]).mean(dim=0)


def highway(gate: Tensor, state: Tensor, activation: Activation) -> Tensor:
    """Return s + sigmoid(c) * (f(u) - s) of a state [..., n] and its gate [c, u], [..., 2n]."""
    c, u = gate.to(state.dtype).chunk(2, dim=-1)
    return torch.lerp(state, activation(u), torch.sigmoid(c))


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return ``x`` times a mask, or ``x`` without one."""
    return x if mask is None else x * mask
