"""The size of a network: its parameters, and the operations that one image costs, by the rules of the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.nn.ops import GlobalPool, Pool
from nas.spaces.base import Shape
from nas.utils.errors import unknown

COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
POOLS = (nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d)

Rule = Callable[[nn.Module, torch.Size, torch.Size], int]
"""(layer, the shapes of its input and output without the batch) -> the operations that the layer is said to spend."""


def parameters(network: nn.Module, auxiliary: bool = False) -> int:
    """The number of parameters; those with "auxiliary" in their names, used in training only, where asked for."""
    return sum(p.numel() for name, p in network.named_parameters() if auxiliary or "auxiliary" not in name)


def macs(network: nn.Module, shape: Shape, bias: bool = False) -> int:
    """The multiply-adds that the convolutions and linear layers of a genotype's network spend on one image (C, H, W).

    Batch norm, activations, pooling and sums count nothing. ``bias`` adds one for each output element of a layer with
    a bias: the rule of AutoDL-Projects, by which the figures of NAS-Bench-201 were made. See ``operations``.
    """
    return operations(network, shape, "macs_bias" if bias else "macs")


def operations(network: nn.Module, shape: Shape, rule: str) -> int:
    """What one image (C, H, W) costs in a genotype's network by one of ``RULES``.

    Layers are counted as they are executed, in evaluation mode, so without the auxiliary head. The network keeps its
    mode, its buffers and its device (which may be meta), and the global random state stays as it was. Raises NasError
    for an unknown rule.
    """
    if rule not in RULES:
        raise unknown("counting rule", rule, RULES)
    count = RULES[rule]
    found: list[int] = []

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | None) -> None:
        if output is None:  # an edge without an op
            return
        # what shares its result among edges is counted once an edge, as it is written
        found.append(count(layer.pool if isinstance(layer, Pool) else layer, inputs[0].shape[1:], output.shape[1:]))

    modes = [(module, module.training) for module in network.modules()]
    shared = {module.pool for module in network.modules() if isinstance(module, Pool)}
    leaves = [module for module, _ in modes if module not in shared and (isinstance(module, Pool) or _is_leaf(module))]
    hooks = [module.register_forward_hook(add) for module in leaves]
    try:
        network.eval()
        try:
            _run(network, shape, batch=0)  # shapes without arithmetic
        except RuntimeError:  # not every module takes an empty batch
            found.clear()
            _run(network, shape, batch=1)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    return sum(found)


def _run(network: nn.Module, shape: Shape, batch: int) -> None:
    """One pass that leaves no trace: on copies of the buffers, and on empty tensors where there are only meta ones."""
    state = {name: buffer.clone() for name, buffer in network.named_buffers()}
    like = next(network.parameters())
    if like.is_meta:
        state |= dict(network.named_parameters())
        state = {name: torch.empty_like(tensor, device="cpu") for name, tensor in state.items()}
    device = torch.device("cpu") if like.is_meta else like.device
    with torch.no_grad(), torch.random.fork_rng([device] if like.is_cuda else []):
        functional_call(network, state, (torch.zeros(batch, *shape, dtype=like.dtype, device=device),))


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None and not isinstance(module, nn.Identity)


def _macs(layer: nn.Module, x: torch.Size, output: torch.Size) -> int:
    if not isinstance(layer, COUNTED):
        return 0
    # of the weight's dimensions the first one is that of the output: the rest is summed over
    return output.numel() * layer.weight[0].numel()


def _bias(layer: nn.Module, output: torch.Size) -> int:
    return output.numel() if isinstance(layer, COUNTED) and layer.bias is not None else 0


def _macs_bias(layer: nn.Module, x: torch.Size, output: torch.Size) -> int:
    return _macs(layer, x, output) + _bias(layer, output)


def _thop_2019(layer: nn.Module, x: torch.Size, output: torch.Size) -> int:
    if isinstance(layer, nn.BatchNorm2d):
        return 4 * x.numel()
    if isinstance(layer, nn.AvgPool2d):  # the length of the window's side, where that is one number, and a division
        kernel = layer.kernel_size
        return output.numel() * ((kernel if isinstance(kernel, int) else kernel[0] * kernel[1]) + 1)
    if isinstance(layer, nn.Linear):
        return 2 * _macs(layer, x, output) - output.numel() + _bias(layer, output)
    return _macs_bias(layer, x, output) + _global_pool(layer, x, output)


def _thop_2019_without_norm(layer: nn.Module, x: torch.Size, output: torch.Size) -> int:
    return 0 if isinstance(layer, nn.BatchNorm2d) else _thop_2019(layer, x, output)


def _thop_2020(layer: nn.Module, x: torch.Size, output: torch.Size) -> int:
    if isinstance(layer, nn.BatchNorm2d):
        return 2 * x.numel()
    if isinstance(layer, nn.AvgPool2d):
        return output.numel()
    if isinstance(layer, nn.Linear):
        return _macs(layer, x, output)
    return _macs_bias(layer, x, output) + _global_pool(layer, x, output)


def _ptflops(layer: nn.Module, x: torch.Size, output: torch.Size) -> int:
    if isinstance(layer, nn.BatchNorm2d):
        return (2 if layer.affine else 1) * x.numel()
    if isinstance(layer, (nn.ReLU, GlobalPool, *POOLS)):
        return x.numel()
    return _macs_bias(layer, x, output)


def _global_pool(layer: nn.Module, x: torch.Size, output: torch.Size) -> int:
    return x.numel() + output.numel() if isinstance(layer, GlobalPool) else 0


RULES: Mapping[str, Rule] = {
    "macs": _macs,
    "macs_bias": _macs_bias,
    "flops": lambda layer, x, output: 2 * _macs(layer, x, output),
    "thop_2019": _thop_2019,
    "thop_2019_without_norm": _thop_2019_without_norm,
    "thop_2020": _thop_2020,
    "ptflops": _ptflops,
}
"""The rules by which published figures were made.

* macs: multiply-adds of convolutions and linear layers; macs_bias: one more an output where there is a bias
  (AutoDL-Projects, NAS-Bench-201); flops: two for each multiply-add, as PyTorch's own counter has it
* thop_2019 (0.0.31.post1910280903, NoisyDARTS a, b, e to h): and four an element of batch norm, the side of the window
  plus one an output of an average pool, additions of linear layers; without_norm: as FairDARTS' tables count
* thop_2020 (NoisyDARTS c, d, i, j): two an element of batch norm, one an output of an average pool
* ptflops (ImageNet figures of P-DARTS and PC-DARTS): batch norm, activations and the inputs of pools as well
"""
