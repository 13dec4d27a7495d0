"""Correlation of input gradients (Mellor et al., 2020, first version), in the version of zero-cost-nas."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.proxies.proxy import Batch, Proxy, stateless_forward
from nas.utils.ranges import COUNT, POSITIVE, check_ranges


@check_ranges(batch_size=COUNT, k=POSITIVE)
class JacobCov(Proxy):
    """-sum(log(v + k) + 1 / (v + k)) over the eigenvalues v of the correlation of the images' gradients.

    The gradient is that of the sum of all logits; batch norm in training mode couples the images. The score is NaN if
    the gradient of an image is constant, for example if the output does not depend on the input.
    """

    name = "jacob_cov"
    min_images = 2

    def __init__(self, batch_size: int = 64, k: float = 1e-5) -> None:
        self.batch_size = batch_size
        self.k = k

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        x = batch[0].detach().clone().requires_grad_()
        with stateless_forward(network) as forward:
            logits = forward(x)
            (jacobian,) = torch.autograd.grad(logits.sum(), x, allow_unused=True)
        if jacobian is None:
            return float("nan")
        return self.score_of_gradients(jacobian.flatten(1))

    def score_of_gradients(self, rows: Tensor) -> float:
        """Return the score of input gradients [images, pixels]."""
        if len(rows) < 2:
            return float("nan")
        correlation = torch.corrcoef(rows.double())
        if not bool(correlation.isfinite().all()):
            return float("nan")
        v = torch.linalg.eigvalsh(correlation) + self.k
        return float(-(v.log() + 1 / v).sum())
