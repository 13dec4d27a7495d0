"""Condition number of the neural tangent kernel, the measure of trainability in TE-NAS (Chen et al., ICLR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nas.proxies.proxy import Batch, Proxy, stateless_forward
from nas.spaces.base import Probe
from nas.utils.ranges import COUNT, check_ranges

Rows = Literal["auto", "loop", "batched"]
MAX_BATCHED_GPU, MAX_BATCHED_CPU = 72 * 72, 256
"""Maximum of images times batched backward passes: from there on, separate passes are faster."""


@check_ranges(batch_size=COUNT)
class Ntk(Proxy):
    """Condition number of G G^T; row i of G is the gradient of the sum of image i's logits.

    The gradient is with respect to executed parameters with "weight" in their name, including those of batch norm,
    without biases. Batch norm in training mode couples the images. The score is infinite if the smallest eigenvalue is
    not positive; the authors' code then returns a huge or a negative number.

    Args:
        batch_size: number of images.
        rows: computation of G: one backward pass per image ("loop"), all at once ("batched"), or as many at once as is
            fast on the device ("auto").
        float64: whether G G^T and its eigenvalues have double precision.
    """

    name = "ntk"
    higher_is_better = False
    min_images = 2
    probe: Probe | None = "ntk"

    def __init__(self, batch_size: int = 32, rows: Rows = "auto", float64: bool = True) -> None:
        self.batch_size = batch_size
        self.rows = rows
        self.float64 = float64

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        return condition_number(self.kernel(network, batch[0]))

    def kernel(self, network: nn.Module, x: Tensor) -> Tensor:
        """Return G G^T [images, images]."""
        weights = [p for name, p in network.named_parameters() if "weight" in name]
        with stateless_forward(network) as forward:
            logits = forward(x)
            gradients = per_sample_gradients(logits.sum(dim=1), weights, self.rows)
        if self.float64:
            gradients = gradients.double()
        return gradients @ gradients.T


def per_sample_gradients(values: Tensor, weights: Sequence[Tensor], rows: Rows = "auto") -> Tensor:
    """Return the flattened gradients [N, P] of values [N] with respect to the weights that they depend on.

    The graph of ``values`` is freed.
    """
    if not values.requires_grad:
        return values.new_zeros(len(values), 1)
    count, size = len(values), _passes_per_batch(values, rows)
    basis = torch.eye(count, dtype=values.dtype, device=values.device)
    gradients = []
    for i in range(0, count, size):
        direction = basis[i : i + size] if size > 1 else basis[i]
        grads = torch.autograd.grad(
            values, weights, direction, retain_graph=i + size < count, allow_unused=True, is_grads_batched=size > 1
        )
        used = [grad.reshape(min(size, count - i), -1) for grad in grads if grad is not None]
        if not used:
            return values.new_zeros(count, 1)
        gradients.append(torch.cat(used, dim=1))
    return torch.cat(gradients)


def _passes_per_batch(values: Tensor, rows: Rows) -> int:
    """Return the number of backward passes that are computed at once."""
    count = len(values)
    if rows == "auto":
        if values.is_cuda:
            return max(1, min(count, MAX_BATCHED_GPU // count))
        return count if count**2 <= MAX_BATCHED_CPU else 1
    return 1 if rows == "loop" else count


def condition_number(kernel: Tensor) -> float:
    """Return the ratio of the largest to the smallest eigenvalue of a symmetric matrix; infinite unless it is positive.

    Computed on the CPU: for a matrix of the size of a batch, LAPACK takes about a millisecond, less than a GPU's
    solver, and only the matrix is transferred.
    """
    kernel = kernel.cpu()
    if not bool(kernel.isfinite().all()):
        return float("inf")
    eigenvalues = torch.linalg.eigvalsh(kernel)
    smallest, largest = eigenvalues[[0, -1]].tolist()
    return largest / smallest if smallest > 0 else float("inf")
