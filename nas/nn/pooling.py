"""ReLU and pooling modules: shared ReLU and 3x3 pooling, a fast average pooling on the CPU, and global pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.nn.memory_format import is_channels_last


def on_images(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of images [B, C, H, W] to images with any leading dimensions, [..., C, H, W]."""
    if x.dim() == 4:
        return function(x)
    return function(x.flatten(0, -4)).unflatten(0, x.shape[:-3])


class GlobalPool(nn.Module):
    """Mean over all pixels, [..., C, H, W] -> [..., C], as a module, so that hooks count its operations."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 4 and is_channels_last(x):  # the gradient then has this format too
            return x.permute(0, 2, 3, 1).flatten(1, 2).mean(dim=1)
        return x.mean(dim=(-2, -1))


Memo = dict[tuple[str, int], tuple[Tensor, Tensor]]
"""Inputs and outputs of modules that are executed once for all edges that leave a node, by kind and stride."""


def compute_once(memo: Memo | None, kind: tuple[str, int], x: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``compute(x)``, from the memo if its last input of this kind was ``x``. Compiled code has no memo."""
    if memo is None or torch.compiler.is_compiling():
        return compute(x)
    source, result = memo.get(kind, (None, None))
    if source is not x or result is None:
        result = compute(x)
        memo[kind] = x, result
    return result


class SharedReLU(nn.ReLU):
    """ReLU of a node, the first layer of an op. Ops that read the same tensor share the result if a ``memo`` is set."""

    memo: Memo | None = None

    def forward(self, x: Tensor) -> Tensor:
        return compute_once(self.memo, ("relu", 1), x, super().forward)


class Pool(nn.Module):
    """Pooling, [B, C, H, W] -> [B, C, ceil(H/s), ceil(W/s)], computed once for all edges that leave a node.

    Pooling has no parameters, so edges that pool the same tensor share the result if a ``memo`` is set. The owner of
    the memo clears it after the forward pass.
    """

    def __init__(self, pool: nn.Module, kind: str, stride: int) -> None:
        super().__init__()
        self.pool = pool
        self.kind = (kind, stride)
        self.memo: Memo | None = None

    def forward(self, x: Tensor) -> Tensor:
        return compute_once(self.memo, self.kind, x, self.pool)


@contextmanager
def separate_pools(network: nn.Module) -> Iterator[None]:
    """Compute every pool of a network once per edge within a block, so that hooks see each of its calls."""
    memos = [(module, module.memo) for module in network.modules() if isinstance(module, Pool)]
    for pool, _ in memos:
        pool.memo = None
    try:
        yield
    finally:
        for pool, memo in memos:
            pool.memo = memo


class BoxSum(torch.autograd.Function):
    """Sum over 3x3 windows with zero padding, [B, C, H, W] -> [B, C, H, W]. The map is its own adjoint."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        x = F.pad(x, (1, 1, 1, 1))
        x = x[:, :, :-2] + x[:, :, 1:-1] + x[:, :, 2:]
        return x[..., :-2] + x[..., 1:-1] + x[..., 2:]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Save no tensors, because the map is linear."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return BoxSum.apply(grad)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return BoxSum.apply(tangent)


class AvgPool(nn.AvgPool2d):
    """3x3 average pooling that excludes the padding, [B, C, H, W] -> [B, C, ceil(H/s), ceil(W/s)].

    On a CPU it is computed as sums of windows, divided by the number of pixels in them. Results are equal up to
    rounding, in a third to a seventh of the time of PyTorch's own pooling. A depthwise convolution
    with ones sums features in the channels-last format; ``torch.compile`` also compiles it in a fraction of the time.
    ``BoxSum`` sums other features at stride 1.
    """

    def __init__(self, stride: int) -> None:
        super().__init__(3, stride, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or torch.compiler.is_exporting():
            return super().forward(x)
        if is_channels_last(x) and not torch.is_autocast_enabled("cpu"):
            ones, channels = x.new_ones(x.shape[1], 1, 3, 3), x.shape[1]
            return F.conv2d(x, ones, None, self.stride, 1, 1, channels) * self._counts(x).reciprocal()
        if self.stride != 1 or torch.compiler.is_compiling():
            return super().forward(x)
        sums: Tensor = BoxSum.apply(x)
        return sums / self._counts(x)

    def _counts(self, x: Tensor) -> Tensor:
        """Return the number of pixels in each window, [ceil(H/s), ceil(W/s)]."""
        rows, columns = (x.new_full((side,), 3.0) for side in x.shape[2:])
        for count in (rows, columns):
            count[0] -= 1
            count[-1] -= 1
        return rows[:: self.stride, None] * columns[:: self.stride]
