"""Fisher information of channels (Turner et al., ICLR 2020), as zero-cost-nas sums it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.proxies.proxy import Batch, LayerwiseProxy, measured, weighted


class Fisher(LayerwiseProxy):
    """Per output channel half the mean over images of (sum over pixels of a * dL/da)^2; a is the layer's output.

    In the sum each channel counts as often as it has weights, as in zero-cost-nas.
    """

    name = "fisher"

    def __init__(self, batch_size: int = 64) -> None:
        self.batch_size = batch_size

    def layers(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        layers = weighted(network)
        seen: dict[str, Tensor] = {}

        def keep(name: str) -> Any:
            def hook(layer: nn.Module, inputs: Any, output: Tensor) -> None:
                seen[name] = output

            return hook

        handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
        try:
            with measured(network) as forward:
                loss = F.cross_entropy(forward(batch[0]), batch[1])
                grads = torch.autograd.grad(loss, list(seen.values()), allow_unused=True)
        finally:
            for handle in handles:
                handle.remove()
        found = {name: torch.zeros((), device=batch[0].device) for name in layers}
        for (name, output), grad in zip(seen.items(), grads, strict=True):
            if grad is not None:
                product = (output.detach() * grad).flatten(2).sum(dim=2) if output.dim() > 2 else output.detach() * grad
                found[name] = 0.5 * product.square().mean(dim=0).sum() * layers[name].weight[0].numel()
        return found
