"""Wider partial edges with inherited weights, for the stages of progressive DrNAS (Net2Wider)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.nn.edges.mixed import module_key
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.ops import FactorizedReduce
from nas.utils.errors import NasError


class ChannelCopies(NamedTuple):
    """Sources of the channels of a widened tensor.

    ``outputs`` and ``inputs`` are, for each new output and input channel, the old channel that it copies. ``divisor``
    divides each new input channel.
    """

    outputs: Tensor
    inputs: Tensor | None = None
    divisor: Tensor | None = None

    def __call__(self, old: Tensor) -> Tensor:
        """Return the widened tensor. The map is linear, so it applies to weights and to their momentum."""
        new = old[self.outputs.to(old.device)]
        if self.inputs is not None:
            new = new[:, self.inputs.to(old.device)]
        if self.divisor is not None:
            new = new / self.divisor.to(old)[:, None, None]
        return new


WideningPlan = Mapping[str, ChannelCopies]
"""The copies of each widened tensor, by its name in the state_dict."""


def sample_copies(old: int, new: int, generator: torch.Generator) -> Tensor:
    """Return the old channel that each of ``new`` channels copies: all ``old`` channels, then uniform samples."""
    return torch.cat([torch.arange(old), torch.randint(old, (new - old,), generator=generator)])


def plan_widening(old: nn.Module, new: nn.Module, generator: torch.Generator, rescale: bool = False) -> WideningPlan:
    """Plan how the tensors of the supernet ``new`` that are wider derive from those of the supernet ``old``.

    As published, copies are not rescaled, so a dense convolution counts a copied input twice. ``rescale`` divides the
    copies by their number (Net2Wider, Chen et al., ICLR 2016), and an op maps copied inputs to copied outputs. In both
    cases an edge computes another function, because channels that bypassed its ops no longer do. Each batch norm
    follows the channels of the convolution before it.
    """
    plan: dict[str, ChannelCopies] = {}
    for path, edge in old.named_modules():
        if isinstance(edge, PartialChannels):
            wide_edge = new.get_submodule(path)
            assert isinstance(wide_edge, PartialChannels)
            for name, op in edge.items():
                wide = wide_edge[name]
                inputs = sample_copies(edge.op_channels, wide_edge.op_channels, generator)
                plan |= {
                    f"{path}.{module_key(name)}.{key}": copies
                    for key, copies in _op(op, wide, inputs, generator, rescale)
                }
    return plan


def copy_widened(plan: WideningPlan, old: nn.Module, new: nn.Module) -> None:
    """Copy the tensors of ``old`` into ``new``, widened according to the plan."""
    before = old.state_dict()
    for name, tensor in new.state_dict().items():
        value = plan[name](before[name]) if name in plan else before[name]
        if value.shape != tensor.shape:
            raise NasError(f"'{name}' of shape {tuple(value.shape)} cannot be widened to {tuple(tensor.shape)}")
        tensor.copy_(value)


def _op(
    old: nn.Module, new: nn.Module, inputs: Tensor, generator: torch.Generator, rescale: bool
) -> Iterator[tuple[str, ChannelCopies]]:
    """Yield the copies of all tensors of one op whose input channels are copies ``inputs``."""
    if isinstance(old, FactorizedReduce) and isinstance(new, FactorizedReduce):
        # The batch norm follows the concatenation of the two convolutions.
        first = sample_copies(old.conv_1.out_channels, new.conv_1.out_channels, generator)
        second = sample_copies(old.conv_2.out_channels, new.conv_2.out_channels, generator)
        yield from _conv("conv_1", first, inputs, rescale)
        yield from _conv("conv_2", second, inputs, rescale)
        yield from _norm("bn", torch.cat([first, second + old.conv_1.out_channels]))
        return
    for name, module in new.named_modules():
        before = old.get_submodule(name)
        if isinstance(module, nn.Conv2d) and isinstance(before, nn.Conv2d):
            if module.groups > 1:  # depthwise; the old convolution may have one channel and so look dense
                yield from _norm(name, inputs)
                continue
            outputs = sample_copies(before.out_channels, module.out_channels, generator)
            yield from _conv(name, outputs, inputs, rescale)
            inputs = outputs
        elif isinstance(module, nn.BatchNorm2d):
            yield from _norm(name, inputs)


def _conv(name: str, outputs: Tensor, inputs: Tensor, rescale: bool) -> Iterator[tuple[str, ChannelCopies]]:
    divisor = inputs.bincount()[inputs] if rescale else None
    yield f"{name}.weight", ChannelCopies(outputs, inputs, divisor)
    yield f"{name}.bias", ChannelCopies(outputs)


def _norm(name: str, channels: Tensor) -> Iterator[tuple[str, ChannelCopies]]:
    """Yield the copies of the tensors with one entry per channel."""
    for tensor in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{tensor}", ChannelCopies(channels)
