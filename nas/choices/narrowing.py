"""Narrowing of layers to their first channels, in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.pooling import (
    _AdaptiveAvgPoolNd,
    _AdaptiveMaxPoolNd,
    _AvgPoolNd,
    _MaxPoolNd,
)

from nas.utils.errors import NasError

KEEPS_ZERO = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Tanh),
    *(nn.Identity, _DropoutNd, _AvgPoolNd, _MaxPoolNd, _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd),
)
"""Layers that treat each channel alone and map zeros to zeros."""
CHANNELWISE = (*KEEPS_ZERO, nn.Sigmoid, nn.Hardsigmoid, nn.Hardtanh, nn.Softplus)
"""Layers that treat each channel alone, without parameters."""

Narrow = Callable[[int], None]


@dataclass(frozen=True)
class Plan:
    """Narrowing of a sequence of layers.

    Attributes:
        steps: functions that narrow one layer each to a number of channels.
        scaled: the layers whose cost is proportional to the number of channels.
        dense: the convolution or linear layer that creates or reads the channels.
    """

    steps: tuple[Narrow, ...]
    scaled: tuple[nn.Module, ...]
    dense: Any

    def narrow(self, width: int) -> None:
        """Narrow the layers to their first ``width`` channels."""
        for step in self.steps:
            step(width)


def plan_outputs(layer: nn.Module) -> Plan:
    """Return the plan that narrows the outputs of a layer, or of the layers of an ``nn.Sequential``.

    From the last layer backward these are activations, pooling, dropout, batch norm and depthwise convolutions, up to
    the convolution or linear layer that creates the channels.

    Raises:
        NasError: if there is another layer among them.
    """
    steps: list[Narrow] = []
    scaled: list[nn.Module] = []
    for part in reversed(list(_layers(layer))):
        if _is_depthwise(part):
            steps.append(_narrower(part, ("weight", "bias"), ("in_channels", "out_channels", "groups")))
        elif isinstance(part, _BatchNorm):
            names = ("weight", "bias", "running_mean", "running_var")
            steps.append(_narrower(part, names, ("num_features",)))
        elif _is_dense(part):
            size = "out_features" if isinstance(part, nn.Linear) else "out_channels"
            steps.append(_narrower(part, ("weight", "bias"), (size,)))
            return Plan(tuple(steps), (*scaled, part), part)
        elif not isinstance(part, CHANNELWISE):
            raise _unknown(part)
        scaled.append(part)
    raise NasError("has no convolution or linear layer that creates the channels. Add it to the layer")


def plan_inputs(layer: nn.Module) -> Plan:
    """Return the plan that narrows the inputs of a layer, or of the layers of an ``nn.Sequential``.

    The inputs may pass through layers that map zeros to zeros, such as ReLU, pooling and depthwise convolutions without
    bias, up to the convolution or linear layer that reads them.

    Raises:
        NasError: if there is another layer among them.
    """
    steps: list[Narrow] = []
    scaled: list[nn.Module] = []
    for part in _layers(layer):
        if _is_depthwise(part) and part.bias is None:
            steps.append(_narrower(part, ("weight",), ("in_channels", "out_channels", "groups")))
        elif _is_dense(part):
            size = "in_features" if isinstance(part, nn.Linear) else "in_channels"
            steps.append(_narrower(part, ("weight",), (size,), dim=1))
            return Plan(tuple(steps), (*scaled, part), part)
        elif not isinstance(part, KEEPS_ZERO):
            raise _unknown(part)
        scaled.append(part)
    raise NasError("has no convolution or linear layer in 'into' that reads the channels. Add it")


def _layers(layer: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of nested sequences in order."""
    if isinstance(layer, nn.Sequential):
        for part in layer:
            yield from _layers(part)
    else:
        yield layer


def _is_dense(part: Any) -> bool:
    plain = isinstance(part, _ConvNd) and part.groups == 1 and not part.transposed
    return plain or isinstance(part, nn.Linear)


def _is_depthwise(part: Any) -> bool:
    return isinstance(part, _ConvNd) and part.groups == part.in_channels == part.out_channels and part.groups > 1


def _narrower(part: Any, tensors: tuple[str, ...], sizes: tuple[str, ...], dim: int = 0) -> Narrow:
    """Return the function that narrows some tensors of a layer, and updates its sizes."""

    def narrow(width: int) -> None:
        for name in tensors:
            value: Tensor | None = getattr(part, name)
            if value is not None:
                kept = value.detach().narrow(dim, 0, width).clone()
                own = isinstance(value, nn.Parameter)
                setattr(part, name, nn.Parameter(kept, value.requires_grad) if own else kept)
        for name in sizes:
            setattr(part, name, width)

    return narrow


def _unknown(part: nn.Module) -> NasError:
    return NasError(
        f"cannot be narrowed at {type(part).__name__}. Use convolutions, linear layers, batch norm, activations and "
        "pooling, in an nn.Sequential"
    )
