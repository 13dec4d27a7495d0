"""Correlation of input gradients (Mellor et al., 2020, first version), as zero-cost-nas uses it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.proxies.proxy import Batch, Proxy, measured


class JacobCov(Proxy):
    """-sum(log(v + k) + 1 / (v + k)) over the eigenvalues v of the correlation of the images' gradients.

    The gradient is that of the sum of all logits; in training mode batch norm couples the images. NaN where a
    gradient is constant, as where the input does not reach the output.
    """

    name = "jacob_cov"
    least = 2

    def __init__(self, batch_size: int = 64, k: float = 1e-5) -> None:
        self.batch_size = batch_size
        self.k = k

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        x = batch[0].detach().clone().requires_grad_()
        with measured(network) as forward:
            logits = forward(x)
            (jacobian,) = torch.autograd.grad(logits.sum(), x, allow_unused=True)
        if jacobian is None:
            return float("nan")
        return self.of_rows(jacobian.flatten(1))

    def of_rows(self, rows: Tensor) -> float:
        """The score of gradients [images, pixels]."""
        if len(rows) < 2:
            return float("nan")
        correlation = torch.corrcoef(rows.double())
        if not bool(correlation.isfinite().all()):
            return float("nan")
        v = torch.linalg.eigvalsh(correlation) + self.k
        return float(-(v.log() + 1 / v).sum())
