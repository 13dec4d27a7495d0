"""Gradients of the logits' sum with respect to the images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.proxies.input_gradients import input_gradients


class Constant(nn.Module):
    """Returns logits that do not depend on the images."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.bias.expand(len(x), 3)


def test_gradients_of_a_linear_network_are_sums_of_its_weights() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    images = torch.randn(4, 3, 2, 2)
    logits, gradients = input_gradients(network, images)
    assert torch.equal(logits, network(images)) and not images.requires_grad
    assert gradients is not None
    torch.testing.assert_close(gradients, network[1].weight.sum(dim=0).expand(4, 12))
    assert network[1].weight.grad is None


def test_images_without_influence_have_no_gradient() -> None:
    logits, gradients = input_gradients(Constant(), torch.randn(2, 3, 2, 2))
    assert logits.shape == (2, 3) and gradients is None
