"""The condition number of the neural tangent kernel, as TE-NAS measures trainability (Chen et al., ICLR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nas.scores.score import Batch, Score, measured
from nas.spaces.space import Probe

Rows = Literal["auto", "loop", "batched"]


class Ntk(Score):
    """Largest by smallest eigenvalue of G G^T; row i of G is the gradient of the sum of image i's logits.

    The gradient is with respect to the parameters with "weight" in their name (batch norm's too, no biases) that
    take part; in training mode batch norm couples the images. ``rows`` says how G is computed: one backward pass an
    image ("loop"), all at once ("batched"), or what is faster on the device ("auto"). ``float64`` is the precision
    of G G^T and its eigenvalues. Infinite where the smallest eigenvalue is not positive: the authors' code then gives
    a huge or a negative number.
    """

    name = "ntk"
    higher_is_better = False
    least = 2
    probe: Probe | None = "ntk"

    def __init__(self, batch_size: int = 32, rows: Rows = "auto", float64: bool = True) -> None:
        self.batch_size = batch_size
        self.rows = rows
        self.float64 = float64

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        return condition(self.kernel(network, batch[0]))

    def kernel(self, network: nn.Module, x: Tensor) -> Tensor:
        """G G^T [images, images]."""
        weights = [p for name, p in network.named_parameters() if "weight" in name]
        with measured(network) as forward:
            logits = forward(x)
            found = gradient_rows(logits.sum(dim=1), weights, self.rows)
        if self.float64:
            found = found.double()
        return found @ found.T


def gradient_rows(values: Tensor, weights: Sequence[Tensor], rows: Rows = "auto") -> Tensor:
    """The gradients of ``values`` [N] with respect to the weights that they depend on, flattened: [N, numbers].

    The graph of ``values`` is used up.
    """
    if not values.requires_grad:
        return values.new_zeros(len(values), 1)
    first = torch.autograd.grad(values[0], weights, retain_graph=True, allow_unused=True)
    used = [weight for weight, grad in zip(weights, first, strict=True) if grad is not None]
    if not used:
        return values.new_zeros(len(values), 1)
    if rows == "batched" or (rows == "auto" and values.is_cuda):
        basis = torch.eye(len(values), dtype=values.dtype, device=values.device)
        grads = torch.autograd.grad(values, used, basis, is_grads_batched=True)
        return torch.cat([grad.flatten(1) for grad in grads], dim=1)
    found = values.new_empty(len(values), sum(weight.numel() for weight in used))
    for i, value in enumerate(values):
        grads = torch.autograd.grad(value, used, retain_graph=i + 1 < len(values))
        torch.cat([grad.reshape(-1) for grad in grads], out=found[i])
    return found


def condition(kernel: Tensor) -> float:
    """Largest by smallest eigenvalue of a symmetric matrix; infinite where it is not positive definite."""
    if not bool(kernel.isfinite().all()):
        return float("inf")
    eigenvalues = torch.linalg.eigvalsh(kernel)
    least, most = eigenvalues[[0, -1]].tolist()
    return most / least if least > 0 else float("inf")
