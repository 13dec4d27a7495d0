"""Norm of the weights as a proxy: a measure of width and depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.proxies.proxy import Batch, LayerwiseProxy, weight_layers


class L2Norm(LayerwiseProxy):
    """Sum of the norms of the weights of convolutions and linear layers (Abdelfattah et al., ICLR 2021).

    It needs no data. An initialization determines it by the sizes of the layers, up to small random differences.
    """

    name = "l2_norm"
    needs_signal = False
    batch_size = 1

    def layer_scores(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {name: layer.weight.detach().norm() for name, layer in weight_layers(network).items()}
