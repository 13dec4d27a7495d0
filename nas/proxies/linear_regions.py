"""The number of linear regions, as TE-NAS measures expressivity (Chen et al., ICLR 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.proxies.proxy import Batch, Proxy, measured
from nas.spaces.base import Probe
from nas.utils.errors import NasError

SIDE = 3
"""Of the crops on which TE-NAS counts."""


class LinearRegions(Proxy):
    """How many different patterns of active ReLUs a set of inputs has; exact, at most the number of inputs.

    Every ReLU with a 4-D input that is executed counts, a unit is on where its output is above 0. Batch norm uses
    the statistics of ``chunk`` inputs at a time; a last chunk that is not full is a chunk too.
    """

    name = "linear_regions"
    probe: Probe | None = "regions"

    def __init__(self, batch_size: int = 3000, chunk: int = 1000) -> None:
        if chunk < 1:
            raise NasError(f"linear_regions: chunk={chunk}: give a whole number of inputs, at least 1")
        self.batch_size = batch_size
        self.chunk = chunk

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        return float(distinct(self.patterns(network, batch[0])))

    def patterns(self, network: nn.Module, x: Tensor) -> Tensor:
        """The ReLUs that are on, bool [inputs, units], in the order of execution."""
        rows = []
        with measured(network) as forward, torch.no_grad():
            for part in x.split(self.chunk):
                on: list[Tensor] = []

                def keep(relu: nn.Module, inputs: Any, output: Tensor, on: list[Tensor] = on) -> None:
                    if output.dim() == 4:
                        on.append((output > 0).flatten(1))

                hooks = [m.register_forward_hook(keep) for m in network.modules() if isinstance(m, nn.ReLU)]
                try:
                    forward(part)
                finally:
                    for hook in hooks:
                        hook.remove()
                rows.append(torch.cat(on, dim=1) if on else part.new_zeros(len(part), 1, dtype=torch.bool))
        return torch.cat(rows)


def distinct(rows: Tensor) -> int:
    """The number of different rows of a bool matrix, compared as packed bits."""
    packed: NDArray[np.uint8] = np.packbits(rows.cpu().numpy(), axis=1)
    return len(np.unique(np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1])))))


def crops(images: Tensor, generator: torch.Generator) -> Tensor:
    """Of each image [N, C, H, W] one random channel of one random 3x3 window: [N, 1, 3, 3]."""
    count, channels, height, width = images.shape
    if min(height, width) < SIDE:
        raise NasError(
            f"linear regions are counted on crops of {SIDE}x{SIDE} pixels, these images have {height}x{width}: choose "
            "another data set, or a method and score without linear_regions"
        )
    tops, lefts, planes = (
        torch.randint(bound, (count, 1, 1), generator=generator, device=generator.device).to(images.device)
        for bound in (height - SIDE + 1, width - SIDE + 1, channels)
    )
    steps = torch.arange(SIDE, device=images.device)
    rows, columns = tops + steps[:, None], lefts + steps[None, :]
    index = torch.arange(count, device=images.device)[:, None, None]
    return images[index, planes, rows, columns][:, None]
