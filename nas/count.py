"""The size of a network: its parameters, and the multiply-adds of one image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.spaces.space import Shape

COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def parameters(network: nn.Module, auxiliary: bool = False) -> int:
    """The number of parameters; those with "auxiliary" in their names, used in training only, where asked for."""
    return sum(p.numel() for name, p in network.named_parameters() if auxiliary or "auxiliary" not in name)


def macs(network: nn.Module, shape: Shape, bias: bool = False) -> int:
    """The multiply-adds that the convolutions and linear layers of a genotype's network spend on one image (C, H, W).

    Layers are counted as they are executed, in evaluation mode, so without the auxiliary head. Batch norm,
    activations, pooling and sums count nothing. ``bias`` adds one for each output element of a layer with a
    bias: the rule of AutoDL-Projects, by which the figures of NAS-Bench-201 were made. The network keeps its
    mode, its buffers and its device, and the global random state stays as it was.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, COUNTED)
        # of the weight's dimensions the first one is that of the output: the rest is summed over
        total += output.numel() * layer.weight[0].numel()
        if bias and layer.bias is not None:
            total += output.numel()

    like = next(network.parameters())
    image = torch.zeros(1, *shape, dtype=like.dtype, device=like.device)
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    modes = [(module, module.training) for module in network.modules()]
    hooks = [module.register_forward_hook(count) for module, _ in modes if isinstance(module, COUNTED)]
    try:
        network.eval()
        with torch.no_grad(), torch.random.fork_rng([like.device] if like.is_cuda else []):
            functional_call(network, buffers, (image,))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    return total
