"""More channels through the ops of partial edges, with the weights that a supernet has (DrNAS' progressive stages)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.ops import FactorizedReduce
from nas.utils.errors import NasError


class Copies(NamedTuple):
    """Which old output and input channel each new one of a tensor is a copy of, and what the inputs are divided by."""

    outputs: Tensor
    inputs: Tensor | None = None
    divisor: Tensor | None = None

    def __call__(self, old: Tensor) -> Tensor:
        """The tensor of the wider op; it is linear, so that it carries weights and their momentum alike."""
        new = old[self.outputs.to(old.device)]
        if self.inputs is not None:
            new = new[:, self.inputs.to(old.device)]
        if self.divisor is not None:
            new = new / self.divisor.to(old)[:, None, None]
        return new


Plan = Mapping[str, Copies]


def grow(old: int, new: int, generator: torch.Generator) -> Tensor:
    """For each of ``new`` channels the old one it copies: the old ones themselves, then some drawn from them."""
    return torch.cat([torch.arange(old), torch.randint(old, (new - old,), generator=generator)])


def widening(old: nn.Module, new: nn.Module, generator: torch.Generator, rescale: bool = False) -> Plan:
    """By name, how the tensors of the supernet ``new`` that are wider come from those of ``old``.

    As published, copies are as strong as their originals: a dense convolution whose inputs are copied adds them twice.
    With ``rescale`` it divides them by their number (Net2Wider, Chen et al., ICLR 2016), and an op maps copied
    inputs to copied outputs. An edge computes another function in either case: channels that bypassed its ops
    no longer do. Each batch norm follows the channels of the convolution before it.
    """
    plan: dict[str, Copies] = {}
    for path, edge in old.named_modules():
        if isinstance(edge, PartialChannels):
            other = new.get_submodule(path)
            assert isinstance(other, PartialChannels)
            for name, op in edge.items():
                wide = other.get_submodule(name)
                inputs = grow(edge.processed, other.processed, generator)
                plan |= {f"{path}.{name}.{key}": copies for key, copies in _op(op, wide, inputs, generator, rescale)}
    return plan


def carry(plan: Plan, old: nn.Module, new: nn.Module) -> None:
    """Fills ``new`` with the tensors of ``old``, widened where the plan says so."""
    before = old.state_dict()
    for name, tensor in new.state_dict().items():
        value = plan[name](before[name]) if name in plan else before[name]
        if value.shape != tensor.shape:
            raise NasError(f"'{name}' of shape {tuple(value.shape)} cannot be widened to {tuple(tensor.shape)}")
        tensor.copy_(value)


def _op(
    old: nn.Module, new: nn.Module, inputs: Tensor, generator: torch.Generator, rescale: bool
) -> Iterator[tuple[str, Copies]]:
    """The copies of all tensors of one op whose input channels are ``inputs``."""
    if isinstance(old, FactorizedReduce) and isinstance(new, FactorizedReduce):
        # two convolutions side by side: the batch norm sees the channels of the first, then those of the second
        first = grow(old.conv_1.out_channels, new.conv_1.out_channels, generator)
        second = grow(old.conv_2.out_channels, new.conv_2.out_channels, generator)
        yield from _conv("conv_1", first, inputs, rescale)
        yield from _conv("conv_2", second, inputs, rescale)
        yield from _norm("bn", torch.cat([first, second + old.conv_1.out_channels]))
        return
    for name, module in new.named_modules():
        before = old.get_submodule(name)
        if isinstance(module, nn.Conv2d) and isinstance(before, nn.Conv2d):
            if module.groups > 1:  # depthwise: the old one may have a single channel, which looks dense
                yield from _norm(name, inputs)
                continue
            outputs = grow(before.out_channels, module.out_channels, generator)
            yield from _conv(name, outputs, inputs, rescale)
            inputs = outputs
        elif isinstance(module, nn.BatchNorm2d):
            yield from _norm(name, inputs)


def _conv(name: str, outputs: Tensor, inputs: Tensor, rescale: bool) -> Iterator[tuple[str, Copies]]:
    divisor = inputs.bincount()[inputs] if rescale else None
    yield f"{name}.weight", Copies(outputs, inputs, divisor)
    yield f"{name}.bias", Copies(outputs)


def _norm(name: str, channels: Tensor) -> Iterator[tuple[str, Copies]]:
    """Whatever a module has one of for each channel."""
    for tensor in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{tensor}", Copies(channels)
