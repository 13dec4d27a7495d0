"""Interface of architecture gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from nas.utils.errors import NasError

Batch = tuple[Any, Tensor]
"""Images [B, C, H, W] and labels [B], or a ``Chunk`` of text and the following tokens [T*B]."""
Weights = Mapping[str, Tensor]
"""Network parameters by name."""
Reduce = Callable[[list[Tensor]], list[Tensor]]
"""Averages tensors over the ranks of a distributed search."""


class Loss(Protocol):
    """The architecture loss of a batch, under a new sample of the relaxation per call."""

    def __call__(self, batch: Batch, weights: Weights | None = None) -> Tensor:
        """Return the loss, with ``weights`` in place of the supernet's parameters if given."""
        ...


def grad_or_zeros(loss: Tensor, inputs: Sequence[Tensor], create_graph: bool = False) -> list[Tensor]:
    """Return d(loss)/d(input) for each input, zeros if the loss does not depend on it."""
    if not loss.requires_grad:
        return [torch.zeros_like(x) for x in inputs]
    grads = torch.autograd.grad(loss, list(inputs), create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, grads, strict=True)]


@dataclass(frozen=True)
class BilevelStep:
    """Read-only inputs of an architecture gradient."""

    loss: Loss
    alphas: Sequence[Tensor]
    """Architecture parameters to differentiate with respect to."""
    weights: Weights
    """Parameters of the supernet by name."""
    train: Batch
    """Batch of the weight step."""
    val: Batch
    """Batch of the architecture step."""
    optimizer: Optimizer
    """Optimizer of the weights."""
    reduce: Reduce
    grad: Callable[[Tensor, Sequence[Tensor]], list[Tensor]] = grad_or_zeros
    """Function that differentiates a loss."""


class ArchGradient(Protocol):
    """Computes d(validation loss)/d(alpha)."""

    def __call__(self, step: BilevelStep) -> list[Tensor]:
        """Return one gradient per tensor of ``step.alphas``, averaged over ranks by ``step.reduce``."""
        ...


def check_gradients(gradient: object, grads: object, alphas: Sequence[Tensor]) -> None:
    """Raise NasError unless ``grads`` has one tensor for each of ``alphas``, of its shape."""
    shapes = [tuple(alpha.shape) for alpha in alphas]
    returned: object = type(grads).__name__
    if isinstance(grads, (list, tuple)):
        returned = [tuple(grad.shape) if isinstance(grad, Tensor) else type(grad).__name__ for grad in grads]
    if returned != shapes:
        raise NasError(
            f"method.arch_step.gradient={type(gradient).__name__}: it returned {returned}, and the shapes of "
            f"step.alphas are {shapes}. Return a list with one gradient per tensor."
        )


def nested_gradients(gradient: object) -> list[object]:
    """Return a gradient and those that it wraps, as ``Clipped`` wraps another one, from the outermost inwards."""
    wrapped = getattr(gradient, "gradient", None)
    return [gradient] if wrapped is None else [gradient, *nested_gradients(wrapped)]


@contextmanager
def frozen(tensors: Iterable[Tensor]) -> Iterator[None]:
    """Set ``requires_grad`` of leaf tensors to False within the context.

    A compiled pass within it then computes none of their gradients.
    """
    changed = [tensor for tensor in tensors if tensor.requires_grad]
    for tensor in changed:
        tensor.requires_grad_(False)
    try:
        yield
    finally:
        for tensor in changed:
            tensor.requires_grad_(True)
