"""Parameters, MACs and FLOPs of a network, counted by the rules of the field."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.architecture.cell import Architecture
from nas.nn.pooling import GlobalPool, Pool
from nas.nn.restored_state import temporary_hooks, training_modes_kept
from nas.utils.errors import unknown

COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
POOLS = (nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d)

Rule = Callable[[nn.Module, torch.Size, torch.Size], int]
"""Maps (layer, input shape, output shape), both without the batch dimension, to the operations of the layer."""


def count_parameters(network: nn.Module, auxiliary: bool = False) -> int:
    """Return the number of parameters, without the auxiliary head unless ``auxiliary`` is set.

    The auxiliary head is used in training only. Its parameters have "auxiliary" in their names.
    """
    return sum(p.numel() for name, p in network.named_parameters() if auxiliary or "auxiliary" not in name)


def count_macs(network: nn.Module, shape: tuple[int, ...], bias: bool = False) -> int:
    """Return the multiply-adds of the convolutions and linear layers for one image of ``shape`` (C, H, W).

    Batch norm, activations, pooling and sums are not counted. See ``count_operations`` for the details.

    Args:
        network: network of a genotype.
        shape: channels, height and width of the image.
        bias: count one more operation per output element of a layer with a bias. The figures of NAS-Bench-201 were
            made by this rule (AutoDL-Projects).
    """
    return count_operations(network, shape, "macs_bias" if bias else "macs")


def count_operations(network: nn.Module, shape: tuple[int, ...], rule: str, arch: Architecture | None = None) -> int:
    """Return the operations of a network for one input of ``shape``, such as (C, H, W), by one of ``RULES``.

    Layers are counted once per execution in evaluation mode, hence without the auxiliary head. The network may be on
    the meta device. Its training mode and buffers and the global random state remain unchanged.

    Args:
        network: any module, such as the network of a genotype or a supernet.
        shape: shape of an input without the batch dimension, such as channels, height and width of an image.
        rule: name of the rule.
        arch: architecture of a supernet, None for the network of a genotype.

    Raises:
        NasError: if the rule is unknown.
    """
    if rule not in RULES:
        raise unknown("counting rule", rule, RULES)
    operations = RULES[rule]
    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | None) -> None:
        if output is None:  # an edge without an op
            return
        # A pool that edges share is counted once per edge, as in the genotype.
        counted = layer.pool if isinstance(layer, Pool) else layer
        counts.append(operations(counted, inputs[0].shape[1:], output.shape[1:]))

    shared = {module.pool for module in network.modules() if isinstance(module, Pool)}
    leaves = [m for m in network.modules() if m not in shared and (isinstance(m, Pool) or _is_leaf(m))]
    hooks = [module.register_forward_hook(count) for module in leaves]
    with temporary_hooks(hooks), training_modes_kept(network):
        network.eval()
        try:
            run_once(network, shape, 0, arch)  # shapes without arithmetic
        except RuntimeError:  # some modules reject an empty batch
            counts.clear()
            run_once(network, shape, 1, arch)
    return sum(counts)


def run_once(network: nn.Module, shape: tuple[int, ...], batch: int, arch: Architecture | None = None) -> None:
    """Run one pass without side effects: on copies of the buffers, and on CPU tensors for a network on meta."""
    state = {name: buffer.clone() for name, buffer in network.named_buffers()}
    like = next(itertools.chain(network.parameters(), network.buffers()), torch.empty(0))
    if like.is_meta:
        state |= dict(network.named_parameters())
        state = {name: torch.empty_like(tensor, device="cpu") for name, tensor in state.items()}
    device = torch.device("cpu") if like.is_meta else like.device
    with torch.no_grad(), torch.random.fork_rng([device] if like.is_cuda else []):
        x = torch.zeros(batch, *shape, dtype=like.dtype, device=device)
        functional_call(network, state, (x,) if arch is None else (x, arch))


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None and not isinstance(module, nn.Identity)


def _macs(layer: nn.Module, x: torch.Size, output: torch.Size) -> int:
    if not isinstance(layer, COUNTED):
        return 0
    # The first dimension of the weight is that of the output. The other dimensions are summed over.
    return output.numel() * layer.weight[0].numel()


def _bias(layer: nn.Module, output: torch.Size) -> int:
    return output.numel() if isinstance(layer, COUNTED) and layer.bias is not None else 0


def _macs_bias(layer: nn.Module, x: torch.Size, output: torch.Size) -> int:
    return _macs(layer, x, output) + _bias(layer, output)


def _thop_2019(layer: nn.Module, x: torch.Size, output: torch.Size) -> int:
    if isinstance(layer, nn.BatchNorm2d):
        return 4 * x.numel()
    if isinstance(layer, nn.AvgPool2d):  # an integer kernel size counts as the side of the window, plus one division
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
    return x.numel() + output.numel() if isinstance(layer, (GlobalPool, nn.AdaptiveAvgPool2d)) else 0


RULES: Mapping[str, Rule] = {
    "macs": _macs,
    "macs_bias": _macs_bias,
    "flops": lambda layer, x, output: 2 * _macs(layer, x, output),
    "thop_2019": _thop_2019,
    "thop_2019_without_norm": _thop_2019_without_norm,
    "thop_2020": _thop_2020,
    "ptflops": _ptflops,
}
"""Rules behind published figures.

* macs: multiply-adds of convolutions and linear layers. macs_bias: one more per output of a layer with a bias
  (AutoDL-Projects, NAS-Bench-201). flops: two per multiply-add, as in PyTorch's FlopCounterMode.
* thop_2019 (0.0.31.post1910280903, NoisyDARTS a, b, e to h): macs_bias, four per element of batch norm, window side
  plus one per output of an average pool, and additions of linear layers. thop_2019_without_norm: without batch norm
  (tables of FairDARTS).
* thop_2020 (NoisyDARTS c, d, i, j): macs_bias, two per element of batch norm, one per output of an average pool.
* ptflops (ImageNet figures of P-DARTS and PC-DARTS): macs_bias, batch norm, activations and inputs of pools.
"""
