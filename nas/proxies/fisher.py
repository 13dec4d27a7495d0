"""Fisher information of channels (Turner et al., ICLR 2020), in the version of zero-cost-nas."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.proxies.proxy import Batch, LayerwiseProxy, stateless_forward, weight_layers
from nas.utils.ranges import COUNT, check_ranges


@check_ranges(batch_size=COUNT)
class Fisher(LayerwiseProxy):
    """Sum over output channels of half the mean over images of (sum over pixels of a * dL/da)^2; a is the output.

    Each channel is counted once per weight, as in zero-cost-nas.
    """

    name = "fisher"

    def __init__(self, batch_size: int = 64) -> None:
        self.batch_size = batch_size

    def layer_scores(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        layers = weight_layers(network)
        outputs: dict[str, Tensor] = {}

        def save_output(name: str) -> Any:
            def hook(layer: nn.Module, inputs: Any, output: Tensor) -> None:
                outputs[name] = output

            return hook

        handles = [layer.register_forward_hook(save_output(name)) for name, layer in layers.items()]
        try:
            with stateless_forward(network) as forward:
                loss = F.cross_entropy(forward(batch[0]), batch[1])
                grads = torch.autograd.grad(loss, list(outputs.values()), allow_unused=True)
        finally:
            for handle in handles:
                handle.remove()
        scores = {name: torch.zeros((), device=batch[0].device) for name in layers}
        for (name, output), grad in zip(outputs.items(), grads, strict=True):
            if grad is not None:
                product = (output.detach() * grad).flatten(2).sum(dim=2) if output.dim() > 2 else output.detach() * grad
                scores[name] = 0.5 * product.square().mean(dim=0).sum() * layers[name].weight[0].numel()
        return scores
