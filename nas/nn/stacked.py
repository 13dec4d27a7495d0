"""Joint execution of several networks of one structure, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import Architecture, EdgeWeights
from nas.nn.cell_graph import CellGraph
from nas.nn.depthwise import DepthwiseConv2d, depthwise_conv2d
from nas.nn.drop_path import DropPath
from nas.nn.pooling import AvgPool, GlobalPool, SharedReLU, on_images
from nas.nn.stacked_parameters import SharedParameter, join_blocks
from nas.utils.errors import NasError

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class StackedLayer(nn.Module):
    """Layers of one kind, one from each of S networks.

    Its parameters and buffers are those of the networks, joined in the first dimension. The tensors of the given layers
    become views of them.

    Args:
        layers: the layer of each network.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, layers: Sequence[Any]) -> None:
        super().__init__()
        self.like: list[Any] = [layers[0]]  # in a list, so that it is no submodule
        self.count = len(layers)
        self.shared: list[SharedParameter] = []
        for name in ("weight", "bias"):
            parts: list[Any] = [getattr(layer, name, None) for layer in layers]
            common = None if parts[0] is None else nn.Parameter(_join(parts))
            self.register_parameter(name, common)
            if common is not None:
                self.shared.append(SharedParameter(common, parts))
        for name in STATISTICS:
            parts = [getattr(layer, name, None) for layer in layers]
            self.register_buffer(name, None if parts[0] is None else _join(parts))


class StackedConv(StackedLayer):
    """Convolutions as one grouped convolution, [B, S C, H, W] -> [B, S C', H', W']."""

    def forward(self, x: Tensor) -> Tensor:
        conv = self.like[0]
        if isinstance(conv, DepthwiseConv2d):
            return depthwise_conv2d(x, self.weight, conv.stride[0], conv.dilation[0])
        geometry = (conv.stride, conv.padding, conv.dilation, self.count * conv.groups)
        return F.conv2d(x, self.weight, self.bias, *geometry)


class StackedNorm(StackedLayer):
    """Batch norms as one batch norm, [B, S C, H, W] -> [B, S C, H, W]."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        norm, mean = self.like[0], self.running_mean
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        batch = self.training or mean is None
        return F.batch_norm(x, mean, self.running_var, self.weight, self.bias, batch, norm.momentum, norm.eps)


class StackedLinear(StackedLayer):
    """Linear layers as one batched product, [B, S, C] -> [B, S, C']."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.transpose(0, 1) @ self.weight.unflatten(0, (self.count, -1)).transpose(1, 2)
        return (y if self.bias is None else y + self.bias.view(self.count, 1, -1)).transpose(0, 1)


class OnChannels(nn.Module):
    """Layers for [B, S C, H, W], which are given [B, S, C, H, W].

    Args:
        layers: the layers. A ``SharedReLU`` at the start has the input of the node, so that other ops can share it.
        count: S, the number of networks.
    """

    def __init__(self, layers: Sequence[nn.Module], count: int) -> None:
        super().__init__()
        split = int(isinstance(layers[0], SharedReLU))
        self.first, self.others = nn.Sequential(*layers[:split]), nn.Sequential(*layers[split:])
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.others(self.first(x).flatten(1, 2))
        return y.unflatten(1, (self.count, -1))


class OnImages(nn.Module):
    """Layer without parameters for images, which accepts images with any leading dimensions."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return on_images(self.layer, x)


ON_CHANNELS: Mapping[type[nn.Module], type[StackedLayer]] = {
    nn.Conv2d: StackedConv,
    DepthwiseConv2d: StackedConv,
    nn.BatchNorm2d: StackedNorm,
}
STACKED: Mapping[type[nn.Module], type[StackedLayer]] = {**ON_CHANNELS, nn.Linear: StackedLinear}
ON_IMAGES = (AvgPool, nn.AvgPool2d, nn.MaxPool2d)
UNCHANGED = (nn.Identity, nn.ReLU, SharedReLU, GlobalPool, DropPath)
"""Layers without parameters that accept images with any leading dimensions."""
CHANNELWISE = (*ON_CHANNELS, *ON_IMAGES, nn.Identity, nn.ReLU, SharedReLU)
"""Layers that can follow each other in ``OnChannels``."""


class StackedNetworks:
    """Networks of one structure that are executed together.

    The parameters and buffers of the networks become views of common tensors, so that steps on a single network and
    steps on all of them change the same values. A node computes its ReLU once for all ops.

    Args:
        networks: the networks, on one device and in one dtype.
        skeleton: a further network of the same structure, whose layers are replaced by stacked ones.

    Raises:
        NasError: if a layer does not support joint execution.
    """

    def __init__(self, networks: Sequence[nn.Module], skeleton: nn.Module) -> None:
        _check_layers(networks[0])
        self.network = skeleton
        self.count = len(networks)
        self.layers: list[StackedLayer] = []
        self._trained: bool | None = None
        for module in skeleton.modules():
            if isinstance(module, CellGraph):
                module.share_relus()
        self._replace(networks)
        self.blocks = join_blocks([shared for layer in self.layers for shared in layer.shared])
        """The parameters of all networks, in blocks of parameters of one size."""

    def _replace(self, networks: Sequence[nn.Module]) -> None:
        """Replace the layers of the skeleton."""
        chains: list[str] = []
        for name, layer in networks[0].named_modules():
            if chains and name.startswith(chains[-1] + "."):
                continue
            new: nn.Module
            own: Any = self.network.get_submodule(name)
            if type(layer) is nn.Sequential and len(layer) and all(type(part) in CHANNELWISE for part in layer):
                others: list[Any] = [network.get_submodule(name) for network in networks]
                chain = zip(own, *others, strict=True)
                new = OnChannels([self._stacked(first, parts) for first, *parts in chain], self.count)
                chains.append(name)
            elif type(layer) in STACKED:
                new = self._stacked(own, [network.get_submodule(name) for network in networks])
                new = OnChannels([new], self.count) if type(layer) in ON_CHANNELS else new
            elif type(layer) in ON_IMAGES:
                new = OnImages(layer)
            else:
                continue
            parent, _, child = name.rpartition(".")
            self.network.get_submodule(parent)._modules[child] = new

    def _stacked(self, own: nn.Module, layers: Sequence[nn.Module]) -> nn.Module:
        """Return the stacked layer of the layers of networks; the layer of the skeleton if it has no parameters."""
        if type(own) not in STACKED:
            return own
        self.layers.append(STACKED[type(own)](layers))
        return self.layers[-1]

    def __call__(
        self, images: Sequence[Tensor], archs: Sequence[Architecture], trained: bool = True
    ) -> tuple[Tensor, ...]:
        """Return the logits [B, classes] of each network for its own images and architecture.

        Args:
            images: [B, C, H, W] of each network.
            archs: one architecture per network; all execute the same ops.
            trained: compute gradients of the parameters; False: only of the architectures.
        """
        if trained is not self._trained:
            for layer in self.layers:
                layer.requires_grad_(trained)
            self._trained = trained
        logits: Tensor = self.network(torch.stack(list(images), dim=1), stack_architectures(archs))
        return logits.unbind(1)

    def distribute_gradients(self, members: Sequence[int]) -> None:
        """Move the gradients of the common parameters to the parameters of networks.

        Args:
            members: the positions of the networks that took part in the backward pass.
        """
        for layer in self.layers:
            for common, parts in layer.shared:
                grad, common.grad = common.grad, None
                grads = None if grad is None else grad.chunk(self.count)
                for member in members if grads is not None else ():
                    assert grads is not None
                    part, found = parts[member], grads[member].view_as(parts[member])
                    part.grad = found if part.grad is None else part.grad + found


def stack_architectures(archs: Sequence[Architecture]) -> Architecture:
    """Return one architecture whose weights have the shape [S, 1, 1, 1], for tensors [B, S, C, H, W]."""
    stacked: Architecture = {}
    for name, first in archs[0].items():
        op = torch.stack([arch[name].op for arch in archs], dim=-1)
        edges = [edge for arch in archs if (edge := arch[name].edge) is not None]
        edge = torch.stack(edges, dim=-1)[..., None, None, None] if edges else None
        stacked[name] = EdgeWeights(op[..., None, None, None], first.active, edge)
    return stacked


def check_stacked(build: Callable[[], nn.Module], shape: Sequence[int], archs: Sequence[Architecture]) -> None:
    """Raise NasError if joint execution changes the outputs of networks.

    Args:
        build: function that builds a network with random weights.
        shape: (C, H, W) of an image.
        archs: one architecture per network.
    """
    networks = [build() for _ in archs]
    images = [torch.randn(2, *shape) for _ in archs]
    stacked = StackedNetworks(networks, build())
    # with gradients, because some edges are random only in training
    expected = [network(x, arch) for network, x, arch in zip(networks, images, archs, strict=True)]
    outputs: Sequence[Tensor] = ()
    with suppress(RuntimeError, TypeError, ValueError, IndexError, AttributeError):
        outputs = stacked(images, archs)
    same = len(outputs) == len(expected) and all(
        one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-4)
        for one, other in zip(outputs, expected, strict=True)
    )
    if not same:
        raise NasError(f"the layers of {type(networks[0]).__name__} are not independent of leading dimensions")


def _join(parts: Sequence[Tensor]) -> Tensor:
    """Join tensors in their first dimension, and turn them into views of the result; scalars become a vector."""
    joined = torch.stack([part.detach() for part in parts])
    for part, view in zip(parts, joined, strict=True):
        part.data = view
    return joined if joined.dim() == 1 else joined.flatten(0, 1)


def _check_layers(network: nn.Module) -> None:
    for name, layer in network.named_modules():
        if not _is_supported(layer):
            raise NasError(f"the layer {name} ({type(layer).__name__}) cannot be executed for several networks at once")


def _is_supported(layer: nn.Module) -> bool:
    kind = type(layer)
    if kind not in STACKED and next(layer.parameters(recurse=False), None) is not None:
        return False
    if next(layer.children(), None) is not None or isinstance(layer, nn.ModuleDict | nn.ModuleList | nn.Sequential):
        return True
    if isinstance(layer, nn.BatchNorm2d) and layer.momentum is None:
        return False
    if isinstance(layer, nn.Conv2d) and layer.padding_mode != "zeros":
        return False
    if isinstance(layer, DropPath) and layer.probability > 0:  # all networks would drop the same images
        return False
    return kind in STACKED or kind in (*ON_IMAGES, *UNCHANGED)
