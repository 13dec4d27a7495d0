"""Number of linear regions, the measure of expressivity in TE-NAS (Chen et al., ICLR 2021)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.nn.restored_state import temporary_hooks
from nas.proxies.proxy import Batch, Proxy, stateless_forward
from nas.spaces.base import Probe
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, check_ranges

CROP_SIZE = 3
"""Side, in pixels, of the crops on which TE-NAS counts."""


@check_ranges(batch_size=COUNT, chunk=COUNT)
class LinearRegions(Proxy):
    """Number of distinct patterns of active ReLUs over a set of inputs; exact, at most the number of inputs.

    All executed ReLUs with a 4-D output count; a unit is active if its output is above 0. Batch norm uses the
    statistics of ``chunk`` inputs at a time; an incomplete last chunk is also a chunk.
    """

    name = "linear_regions"
    probe: Probe | None = "regions"

    def __init__(self, batch_size: int = 3000, chunk: int = 1000) -> None:
        self.batch_size = batch_size
        self.chunk = chunk

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        return float(count_distinct_rows(self.activation_patterns(network, batch[0])))

    def activation_patterns(self, network: nn.Module, x: Tensor) -> Tensor:
        """Return the active ReLU units, bool [inputs, units], in the order of execution."""
        rows = []
        with stateless_forward(network) as forward, torch.no_grad():
            for part in x.split(self.chunk):
                active: list[Tensor] = []

                def save_pattern(relu: nn.Module, inputs: Any, output: Tensor, active: list[Tensor] = active) -> None:
                    if output.dim() == 4:
                        active.append((output > 0).flatten(1))

                hooks = [m.register_forward_hook(save_pattern) for m in network.modules() if isinstance(m, nn.ReLU)]
                with temporary_hooks(hooks):
                    forward(part)
                rows.append(torch.cat(active, dim=1) if active else part.new_zeros(len(part), 1, dtype=torch.bool))
        return torch.cat(rows)


def count_distinct_rows(rows: Tensor) -> int:
    """Return the number of distinct rows of a bool matrix, compared as packed bits."""
    packed: NDArray[np.uint8] = np.packbits(rows.cpu().numpy(), axis=1)
    return len(np.unique(np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1])))))


def sample_crops(images: Tensor, generator: torch.Generator) -> Tensor:
    """Sample one random channel of one random 3x3 window of each image: [N, C, H, W] -> [N, 1, 3, 3].

    Raises:
        NasError: if the images are smaller than the window.
    """
    count, channels, height, width = images.shape
    if min(height, width) < CROP_SIZE:
        raise NasError(
            f"proxy=linear_regions: needs images of at least {CROP_SIZE}x{CROP_SIZE} pixels, the data set has "
            f"{height}x{width}. Use another data set or proxy."
        )
    tops, lefts, planes = (
        torch.randint(bound, (count, 1, 1), generator=generator, device=generator.device).to(images.device)
        for bound in (height - CROP_SIZE + 1, width - CROP_SIZE + 1, channels)
    )
    steps = torch.arange(CROP_SIZE, device=images.device)
    rows, columns = tops + steps[:, None], lefts + steps[None, :]
    index = torch.arange(count, device=images.device)[:, None, None]
    return images[index, planes, rows, columns][:, None]
