"""Fisher information of channels against its definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas.proxies.fisher import Fisher


def test_fisher_is_a_sum_over_channels_of_means_over_images() -> None:
    """A 1x1 convolution, averaged over pixels, on three images of two classes, channel by channel in plain numbers.

    The gradient of the mean loss with respect to a pixel is (p - onehot) / (images * pixels).
    """
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 2, 1, bias=False).double()
    network = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    x, y = torch.randn(3, 3, 2, 2, dtype=torch.float64), [0, 1, 1]
    outputs = torch.einsum("oi,nihw->nohw", conv.weight.detach()[:, :, 0, 0], x).flatten(2).tolist()
    total = 0.0
    for channel in range(2):
        squares = []
        for image, label in zip(outputs, y, strict=True):
            logits = [sum(pixels) / 4 for pixels in image]
            p = math.exp(logits[channel]) / sum(math.exp(value) for value in logits)
            gradient = (p - (channel == label)) / (3 * 4)
            squares.append(sum(pixel * gradient for pixel in image[channel]) ** 2)
        total += 0.5 * sum(squares) / len(squares)
    found = Fisher()(network, (x, torch.tensor(y)), torch.Generator())
    assert found == pytest.approx(3 * total, rel=1e-9), "each channel counts once per weight"
