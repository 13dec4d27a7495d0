"""ZiCo (Li et al., ICLR 2023): mean over deviation of the gradients of several batches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.proxies.proxy import Batch, LayerwiseProxy, stateless_forward, weight_layers
from nas.utils.ranges import COUNT, Range, check_ranges


@check_ranges(batch_size=COUNT, batches=Range(2, 10**6, whole=True))
class Zico(LayerwiseProxy):
    """Sum over layers of log(sum over weights of mean |g| / deviation of g), over batches.

    The deviation is that of the population. Weights whose gradient is equal in all batches do not count, and neither do
    layers without other weights. With two batches each weight counts at least 1, so the score grows with the number of
    parameters and layers. Where the gradients of the batches almost agree, float32 is imprecise. The score is NaN if a
    gradient is not finite.

    Args:
        batch_size: number of images of all batches together.
        batches: number of batches.
    """

    name = "zico"
    min_images = 2

    def __init__(self, batch_size: int = 128, batches: int = 2) -> None:
        self.batch_size = batch_size
        self.batches = batches

    def layer_scores(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        parts = zip(batch[0].tensor_split(self.batches), batch[1].tensor_split(self.batches), strict=True)
        return zico_of_batches(network, [part for part in parts if len(part[1])])


def zico_of_batches(network: nn.Module, batches: list[Batch]) -> dict[str, Tensor]:
    """Return the share of each layer for given batches."""
    weights = {name: layer.weight for name, layer in weight_layers(network).items()}
    grads: list[list[Tensor]] = []
    with stateless_forward(network) as forward:
        for x, target in batches:
            loss = F.cross_entropy(forward(x), target)
            gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
            grads.append(
                [torch.zeros_like(w) if g is None else g for w, g in zip(weights.values(), gradients, strict=True)]
            )
    shares = {}
    for name, parts in zip(weights, zip(*grads, strict=True), strict=True):
        stacked = torch.stack(parts)
        deviation = stacked.std(dim=0, correction=0)
        ratio = torch.where(deviation != 0, stacked.abs().mean(dim=0) / deviation, 0.0).sum()
        shares[name] = torch.where(ratio != 0, ratio.log(), 0.0)
    return shares
