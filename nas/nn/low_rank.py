"""Low-rank updates of frozen kernels (LoRA)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRankUpdate(nn.Module):
    """A parametrization that adds a low-rank update to a kernel [out, in / groups, k, k].

    The update is scale / rank * (up @ down), read in row-major order in the shape of the kernel. It is zero at first.
    ``down`` is [rank * k, in * k] and ``up`` [out / groups * k, rank * k], as in loralib (Hu et al., ICLR 2022).

    Args:
        conv: the convolution, with a square kernel.
        rank: rank of the update of a kernel with k = 1.
        scale: factor of the update, ``lora_alpha`` in loralib.
        generator: CPU generator of the initial ``down``; None: the default one.
    """

    def __init__(
        self, conv: nn.Conv2d, rank: int, scale: float = 1.0, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        side, inputs, outputs = conv.kernel_size[0], conv.in_channels, conv.out_channels // conv.groups
        bound = 1 / math.sqrt(inputs * side)  # Kaiming initialization with a = sqrt(5)
        down = torch.empty(rank * side, inputs * side).uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(down.to(conv.weight))
        self.up = nn.Parameter(conv.weight.new_zeros(outputs * side, rank * side))
        self.scale = scale / rank

    def forward(self, kernel: Tensor) -> Tensor:
        return kernel + self.scale * (self.up @ self.down).view_as(kernel)


def adapt(conv: nn.Conv2d, update: LowRankUpdate) -> None:
    """Freeze the kernel of a convolution and add a trained update to it. The convolution stays the same object."""
    conv.weight.requires_grad_(False)
    conv.weight.grad = None
    parametrize.register_parametrization(conv, "weight", update)
