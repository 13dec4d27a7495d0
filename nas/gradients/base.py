"""What a gradient of the architecture is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

Batch = tuple[Tensor, Tensor]
Weights = Mapping[str, Tensor]
Reduce = Callable[[list[Tensor]], list[Tensor]]


class Loss(Protocol):
    """The search's loss on a batch under the present architecture, a fresh sample where it samples.

    ``weights`` replaces the supernet's parameters for this call, by name.
    """

    def __call__(self, batch: Batch, weights: Weights | None = None) -> Tensor: ...


@dataclass(frozen=True)
class BilevelStep:
    """One step of the bilevel problem: what an architecture gradient may read, and nothing of it may it write to."""

    loss: Loss
    alphas: Sequence[Tensor]
    """The architecture parameters, of which the gradient is asked."""
    weights: Weights
    """The supernet's parameters by name."""
    train: Batch
    """The batch of the weights."""
    val: Batch
    """The batch of the architecture."""
    optimizer: Optimizer
    """That of the weights."""
    reduce: Reduce
    """Averages tensors over ranks."""


class ArchGradient(Protocol):
    """d(validation loss)/d(alpha), one tensor for each of ``step.alphas``, averaged over ranks by ``step.reduce``."""

    def __call__(self, step: BilevelStep) -> list[Tensor]: ...


def slopes(loss: Tensor, inputs: Sequence[Tensor], create_graph: bool = False) -> list[Tensor]:
    """d(loss)/d(input), one tensor an input; zeros where the loss does not depend on it."""
    found = torch.autograd.grad(loss, list(inputs), create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]
