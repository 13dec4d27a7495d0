"""Passes of a step: the images of a batch in parts, whose gradients are accumulated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nas.architecture.cell import Architecture, EdgeWeights
from nas.gradients.base import Batch, grad_or_zeros

Part = tuple[Batch, float]
"""Part of a batch, and its share of the images."""


def split_batch(batch: Batch, size: int | None) -> Iterator[Part]:
    """Yield the parts of a batch, of ``size`` images each; the whole batch if ``size`` is None."""
    x, target = batch
    if size is None or len(x) <= size:
        yield batch, 1.0
        return
    for images, labels in zip(x.split(size), target.split(size), strict=True):
        yield (images, labels), len(images) / len(x)


def join_passes(losses: Sequence[Tensor], logits: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the loss and the logits [B, classes] of a batch from the weighted losses and the logits of its passes."""
    if len(losses) == 1:
        return losses[0], logits[0]
    return torch.stack(list(losses)).sum(), torch.cat(list(logits))


class AccumulatedLoss(NamedTuple):
    """Loss of a batch that was evaluated in several passes."""

    value: Tensor
    """The loss, whose graph has only the architecture: its gradient is that of a single pass."""
    logits: Tensor
    """Logits [B, classes] without a graph."""


def accumulate_loss(
    network: Callable[[Tensor, Architecture], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    arch: Architecture,
    parts: Iterable[Part],
) -> AccumulatedLoss:
    """Evaluate a loss in several passes under one architecture.

    Each pass is differentiated with respect to the mixing weights before the next one, so that the memory is that of a
    single pass. The inner product of the accumulated gradient with the mixing weights then has the gradient of the
    loss in the parameters of the architecture. It has no second derivative.

    Args:
        network: computes the logits of images under an architecture.
        loss: computes the loss of logits and labels, a mean over images.
        arch: the architecture.
        parts: parts of the batch, at least one.
    """
    leaves = {name: _leaf(weights) for name, weights in arch.items()}
    inputs, mixing = _tensors(leaves), _tensors(arch)
    gradients = [torch.zeros_like(tensor) for tensor in inputs]
    values, logits = [], []
    for (x, target), share in parts:
        output = network(x, leaves)
        value = share * loss(output, target)
        gradients = [a + b for a, b in zip(gradients, grad_or_zeros(value, inputs), strict=True)]
        values.append(value.detach())
        logits.append(output.detach())
    product = torch.stack([(a * b).sum() for a, b in zip(mixing, gradients, strict=True)]).sum()
    total, joined = join_passes(values, logits)
    return AccumulatedLoss(total + (product - product.detach()), joined)


def _leaf(weights: EdgeWeights) -> EdgeWeights:
    """Return the same weights as leaves of a new graph."""
    edge = None if weights.edge is None else weights.edge.detach().requires_grad_()
    return EdgeWeights(weights.op.detach().requires_grad_(), weights.active, edge)


def _tensors(arch: Architecture) -> list[Tensor]:
    return [tensor for weights in arch.values() for tensor in (weights.op, weights.edge) if tensor is not None]
