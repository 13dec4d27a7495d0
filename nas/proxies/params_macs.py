"""The size of a network as a score: what every other score has to beat."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nas.nn.macs import count_macs, count_parameters
from nas.proxies.proxy import Batch, Proxy, measured
from nas.proxies.pruned import Pruned


class Params(Proxy):
    """The number of parameters, without an auxiliary head; of a pruned supernet those of what is left."""

    name = "params"
    of_signal = False
    batch_size = 1

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        return float(_executed(network, batch[0]) if isinstance(network, Pruned) else count_parameters(network))


class Macs(Proxy):
    """The multiply-adds of one image; ``bias`` counts one more an output where a layer has a bias."""

    name = "macs"
    of_signal = False
    batch_size = 1

    def __init__(self, bias: bool = False) -> None:
        self.bias = bias

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        _, channels, height, width = batch[0].shape
        return float(count_macs(network, (channels, height, width), bias=self.bias))


def _executed(network: nn.Module, images: Tensor) -> int:
    """The parameters of the modules that take part in a pass."""
    seen: set[nn.Module] = set()

    def note(module: nn.Module, inputs: Any) -> None:
        seen.add(module)

    hooks = [m.register_forward_pre_hook(note) for name, m in network.named_modules() if "auxiliary" not in name]
    try:
        with measured(network) as forward, torch.no_grad():
            forward(images[:1].repeat(2, 1, 1, 1))  # batch norm wants two numbers a channel
    finally:
        for hook in hooks:
            hook.remove()
    return sum(p.numel() for module in seen for p in module.parameters(recurse=False))
