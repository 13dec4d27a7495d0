"""MeCo (Jiang et al., NeurIPS 2023): smallest eigenvalues of the correlation of feature maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nas.nn.activation_checkpointing import cells_of
from nas.nn.cell_graph import CellGraph
from nas.nn.cell_sequence import CellSequence
from nas.nn.drop_path import DropPath
from nas.nn.edges.mixed import MixedEdge
from nas.nn.pooling import separate_pools
from nas.nn.restored_state import temporary_hooks
from nas.proxies.proxy import Batch, Proxy, stateless_forward
from nas.proxies.pruned import PrunedSupernet, unpruned
from nas.utils.ranges import CHANNELS, check_ranges


@check_ranges(channels=CHANNELS)
class Meco(Proxy):
    """Sum over all modules of the smallest eigenvalue of the correlation matrix of the channels of their output.

    One image is enough. Each module counts, containers included, as in the authors' code: a tensor counts once for each
    module that returns it, so the score depends on the nesting of modules. Modules that the authors' networks do not
    have (mixed edges, the sequence of cells, drop path, the wrapper of a pruned supernet) do not count. Correlations
    that are not finite count as 0. Outputs that are no feature maps have the share 0, and so have maps with more
    channels than pixels.

    Args:
        channels: number of channels that are sampled per output, whose eigenvalue is multiplied by the share of sampled
            channels (MeCo-opt has 8); None: all channels.
    """

    name = "meco"
    batch_size = 1

    def __init__(self, channels: int | None = None) -> None:
        self.channels = channels

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        found = self.module_scores(network, batch[0], generator)
        return float(torch.stack([value for _, value in found]).sum()) if found else float("nan")

    def sample_channels(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Return the sampled channels of an output with ``count`` channels, None for all."""
        if self.channels is None or self.channels >= count:
            return None
        return torch.randperm(count, generator=generator)[: self.channels]

    def module_scores(self, network: nn.Module, x: Tensor, generator: torch.Generator) -> list[tuple[str, Tensor]]:
        """Return the name and the share (float64) of each executed module, in the order in which they end."""
        found: list[tuple[str, Tensor]] = []
        cells = cells_of(unpruned(network))
        names = {
            module: name
            for name, module in network.named_modules()
            if not isinstance(module, MixedEdge | CellSequence | DropPath | PrunedSupernet)
            and (module in cells or not isinstance(module, CellGraph))
        }

        def measure(module: nn.Module, inputs: Any, output: Any) -> None:
            output = output[max(output)] if isinstance(output, dict) else output  # the last node of a cell graph
            maps = output[0].detach()
            rows = maps.flatten(1) if maps.dim() > 1 else maps[:, None]
            count = len(rows)
            index = self.sample_channels(count, generator)
            rows = rows if index is None else rows[index.to(rows.device)]
            found.append((names[module], smallest_eigenvalue(rows) * (count / len(rows))))

        hooks = [module.register_forward_hook(measure) for module in names]
        with temporary_hooks(hooks), separate_pools(network), stateless_forward(network) as forward, torch.no_grad():
            forward(x[:1])
        return found


def smallest_eigenvalue(rows: Tensor) -> Tensor:
    """Return the smallest eigenvalue (float64) of the correlation of rows [c, n]; correlations of constants are 0."""
    if rows.shape[1] < 2:
        return torch.zeros((), dtype=torch.float64, device=rows.device)
    correlation = torch.corrcoef(rows.double()).reshape(len(rows), len(rows))
    return torch.linalg.eigvalsh(correlation.nan_to_num(0.0, 0.0, 0.0))[0]
