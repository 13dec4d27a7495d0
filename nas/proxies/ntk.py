"""The condition number of the neural tangent kernel, as TE-NAS measures trainability (Chen et al., ICLR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nas.proxies.proxy import Batch, Proxy, measured
from nas.spaces.base import Probe

Rows = Literal["auto", "loop", "batched"]
WIDE, NARROW = 72 * 72, 256
"""How many images, counted once for each backward pass that they are in, are worth one pass on a GPU and on a CPU."""


class Ntk(Proxy):
    """Largest by smallest eigenvalue of G G^T; row i of G is the gradient of the sum of image i's logits.

    The gradient is with respect to the parameters with "weight" in their name (batch norm's too, no biases) that
    take part; in training mode batch norm couples the images. ``rows`` says how G is computed: one backward pass an
    image ("loop"), all at once ("batched"), or so many at once as is fast on the device ("auto"). ``float64`` is the
    precision of G G^T and its eigenvalues. Infinite where the smallest eigenvalue is not positive: the authors' code
    then gives a huge or a negative number.
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
    count, size = len(values), _at_once(values, rows)
    basis = torch.eye(count, dtype=values.dtype, device=values.device)
    found = []
    for i in range(0, count, size):
        towards = basis[i : i + size] if size > 1 else basis[i]
        grads = torch.autograd.grad(
            values, weights, towards, retain_graph=i + size < count, allow_unused=True, is_grads_batched=size > 1
        )
        used = [grad.reshape(min(size, count - i), -1) for grad in grads if grad is not None]
        if not used:
            return values.new_zeros(count, 1)
        found.append(torch.cat(used, dim=1))
    return torch.cat(found)


def _at_once(values: Tensor, rows: Rows) -> int:
    """How many images' backward passes are one."""
    count = len(values)
    if rows == "auto":
        return max(1, min(count, WIDE // count)) if values.is_cuda else count if count**2 <= NARROW else 1
    return 1 if rows == "loop" else count


def condition(kernel: Tensor) -> float:
    """Largest by smallest eigenvalue of a symmetric matrix; infinite where it is not positive definite.

    Computed on the CPU: for a matrix as small as a batch LAPACK takes about a millisecond, less than a GPU's solver,
    and the matrix is the only thing that is transferred.
    """
    kernel = kernel.cpu()
    if not bool(kernel.isfinite().all()):
        return float("inf")
    eigenvalues = torch.linalg.eigvalsh(kernel)
    least, most = eigenvalues[[0, -1]].tolist()
    return most / least if least > 0 else float("inf")
