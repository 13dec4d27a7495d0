"""Correlation of input gradients (Mellor et al., 2020, first version), in the version of zero-cost-nas."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.proxies.input_gradients import input_gradients
from nas.proxies.proxy import Batch, Proxy
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
        gradients = input_gradients(network, batch[0])[1]
        return float("nan") if gradients is None else self.score_of_gradients(gradients)

    def score_of_gradients(self, rows: Tensor) -> float:
        """Return the score of input gradients [images, pixels]."""
        if len(rows) < 2:
            return float("nan")
        correlation = torch.corrcoef(rows.double())
        if not bool(correlation.isfinite().all()):
            return float("nan")
        v = torch.linalg.eigvalsh(correlation) + self.k
        return float(-(v.log() + 1 / v).sum())
