"""Architecture gradient with a clipped norm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nas.gradients.base import Batch, BilevelStep, Weights
from nas.gradients.clipped import Clipped


@pytest.mark.parametrize("norm", [0.1, 100.0])
def test_clipped_gradient_matches_torch_clipping(norm: float) -> None:
    alphas = [nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(5))]

    def loss(batch: Batch, weights: Weights | None = None) -> Tensor:
        return torch.stack([a.pow(3).sum() for a in alphas]).sum()

    batch = torch.zeros(1), torch.zeros(1)
    step = BilevelStep(loss, alphas, {}, batch, batch, torch.optim.SGD(alphas, lr=0.1), lambda tensors: tensors)
    found = Clipped(norm)(step)
    loss(batch).backward()
    nn.utils.clip_grad_norm_(alphas, norm)
    for got, alpha in zip(found, alphas, strict=True):
        torch.testing.assert_close(got, alpha.grad)
