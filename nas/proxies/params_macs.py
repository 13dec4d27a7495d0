"""Size of a network as a proxy: the baseline for all other proxies."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nas.nn.macs import count_macs, count_parameters
from nas.nn.restored_state import temporary_hooks
from nas.proxies.proxy import Batch, Proxy, stateless_forward
from nas.proxies.pruned import PrunedSupernet


class Params(Proxy):
    """Number of parameters without an auxiliary head; of a pruned supernet, those of its remaining ops."""

    name = "params"
    needs_signal = False
    batch_size = 1

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        if isinstance(network, PrunedSupernet):
            return float(_executed_parameters(network, batch[0]))
        return float(count_parameters(network))


class Macs(Proxy):
    """Multiply-adds of one image; ``bias`` adds one per output of a layer with a bias."""

    name = "macs"
    needs_signal = False
    batch_size = 1

    def __init__(self, bias: bool = False) -> None:
        self.bias = bias

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        _, channels, height, width = batch[0].shape
        return float(count_macs(network, (channels, height, width), bias=self.bias))


def _executed_parameters(network: nn.Module, images: Tensor) -> int:
    """Count the parameters of the modules that a forward pass executes."""
    executed: set[nn.Module] = set()

    def record(module: nn.Module, inputs: Any) -> None:
        executed.add(module)

    hooks = [m.register_forward_pre_hook(record) for name, m in network.named_modules() if "auxiliary" not in name]
    with temporary_hooks(hooks), stateless_forward(network) as forward, torch.no_grad():
        forward(images[:1].repeat(2, 1, 1, 1))  # batch norm needs two values per channel
    return sum(p.numel() for module in executed for p in module.parameters(recurse=False))
