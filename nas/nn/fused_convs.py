"""Fused execution of convolutions that read the same tensor: one kernel for many edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.nn.depthwise import DepthwiseConv2d, depthwise_conv2d
from nas.nn.low_rank import LowRankUpdate
from nas.nn.memory_format import is_channels_last
from nas.nn.ops import DilatedConv, FactorizedReduce, ReluConvNorm, SeparableConv
from nas.nn.pooling import SharedReLU

CONV_OPS: Sequence[type[nn.Module]] = (ReluConvNorm, FactorizedReduce, DilatedConv, SeparableConv)

DEPTHWISE = CONV_OPS.index(DilatedConv)
"""Index of the first op that begins with a depthwise and a pointwise convolution."""

LANES = 16
"""Number of float32 values in a vector of a CPU."""

PLAIN_LAYERS = (nn.ReLU, SharedReLU, nn.Conv2d, DepthwiseConv2d, LowRankUpdate)


class EdgeOp(NamedTuple):
    """An op on an edge that leaves a node.

    ``row`` and ``column`` locate it in the table of the cell, and ``target`` is the node at the end of the edge.
    ``convs`` and ``norms`` are its convolutions and batch norms in the order of execution.
    """

    row: int
    column: int
    target: int
    op: nn.Module
    convs: tuple[nn.Conv2d, ...]
    norms: tuple[nn.BatchNorm2d, ...]

    @classmethod
    def of(cls, row: int, column: int, target: int, op: nn.Module) -> EdgeOp:
        """Collect the convolutions and batch norms of ``op``."""
        modules = list(op.modules())
        convs = tuple(m for m in modules if isinstance(m, nn.Conv2d))
        return cls(row, column, target, op, convs, tuple(m for m in modules if isinstance(m, nn.BatchNorm2d)))

    @property
    def kind(self) -> tuple[int, int]:
        """Sort key that ops with a common convolution share: class and kernel. Separable convolutions are last."""
        return CONV_OPS.index(type(self.op)), self.convs[0].kernel_size[0]


def can_convolve(op: nn.Module) -> bool:
    """Return whether ``convolve`` supports an op: a convolution of ``nas.nn.ops`` with plain batch norms."""
    if type(op) not in CONV_OPS:  # the class of a custom op may execute its layers in another way
        return False
    layers = [m for m in op.modules() if not list(m.children())]
    return all(type(m) in PLAIN_LAYERS or is_plain_norm(m) for m in layers)


def is_plain_norm(module: nn.Module) -> bool:
    """Return whether ``fused_batch_norm`` supports a module; it does not support SyncBatchNorm, for example."""
    return type(module) is nn.BatchNorm2d and module.momentum is not None


def sort_for_convolve(ops: Sequence[EdgeOp]) -> list[EdgeOp]:
    """Sort ops as ``convolve`` needs them, by kind and target."""
    return sorted(ops, key=lambda op: (op.kind, op.target))


def convolve(x: Tensor, ops: Sequence[EdgeOp], scale: Tensor) -> Iterator[tuple[list[EdgeOp], Tensor]]:
    """Execute ``ops`` on ``x`` [B, C, H, W] and yield them with their weighted outputs [B, ops * C, H/s, W/s].

    The outputs are concatenated along the channels. The scale multiplies the weight and bias of the last batch norm,
    which avoids a weighted copy of the features.

    Args:
        x: features [B, C, H, W].
        ops: sorted by ``sort_for_convolve`` and of one stride.
        scale: [ops * C], the weight of each op repeated for each channel.
    """
    x = F.relu(x)
    families = [list(group) for _, group in groupby(ops, key=_family)]
    scales = scale.split([len(family) * (scale.numel() // len(ops)) for family in families])
    for family, family_scale in zip(families, scales, strict=True):
        if isinstance(family[-1].op, SeparableConv):
            yield from _separable(x, family, family_scale)
        else:
            yield family, fused_batch_norm(_first_convs(x, family), [op.norms[0] for op in family], family_scale)


def _family(op: EdgeOp) -> tuple[int, int]:
    """Sort key that ops with a common first batch norm share."""
    index, kernel = op.kind
    return (DEPTHWISE, 0) if index >= DEPTHWISE else (index, kernel)


def _separable(x: Tensor, ops: Sequence[EdgeOp], scale: Tensor) -> Iterator[tuple[list[EdgeOp], Tensor]]:
    """Execute dilated and separable convolutions on ``x`` after the ReLU, as ``convolve`` does."""
    width = scale.numel() // len(ops)
    kinds = [list(group) for _, group in groupby(ops, key=lambda op: op.kind)]
    groups = [group for group in kinds if isinstance(group[0].op, SeparableConv)]
    single, twice = list(ops[: len(ops) - sum(map(len, groups))]), list(chain(*groups))
    end = len(single) * width
    first = torch.cat([scale[:end], torch.ones_like(scale[end:])]) if single else None
    y = fused_batch_norm(_first_convs(x, ops), [op.norms[0] for op in ops], first)
    # a split, because the backward pass of a slice copies into zeros
    (*outputs,) = y.split(([end] if single else []) + [len(group) * width for group in groups], dim=1)
    if single:
        yield single, outputs.pop(0)
    parts = [_conv(F.relu(part), [op.convs[2] for op in group]) for part, group in zip(outputs, groups, strict=True)]
    z = _conv(_cat(parts), [op.convs[3] for op in twice])
    yield twice, fused_batch_norm(z, [op.norms[1] for op in twice], scale[end:])


def fused_batch_norm(y: Tensor, norms: Sequence[nn.BatchNorm2d], scale: Tensor | None = None) -> Tensor:
    """Apply several batch norms to their concatenated features as one, and update the running statistics of each.

    Args:
        y: features [B, C of all norms, H, W].
        norms: in the order of the channels.
        scale: [C of all norms], multiplies the outputs.
    """
    first = norms[0]
    weight, bias = None, None
    if first.affine:
        weight, bias = torch.cat([n.weight for n in norms]), torch.cat([n.bias for n in norms])
        if scale is not None:
            weight, bias = weight * scale, bias * scale
    elif scale is not None:
        weight, bias = scale, torch.zeros_like(scale)
    if first.running_mean is None:
        return F.batch_norm(y, None, None, weight, bias, True, 0.0, first.eps)
    means, variances = _running_statistics(norms)
    mean, variance = torch.cat(means), torch.cat(variances)
    assert first.momentum is not None
    y = F.batch_norm(y, mean, variance, weight, bias, first.training, first.momentum, first.eps)
    if first.training:
        sizes = [n.num_features for n in norms]
        torch._foreach_copy_(means + variances, [*mean.split(sizes), *variance.split(sizes)])
        _count_batch(norms)
    return y


def shared_batch_norm(y: Tensor, norms: Sequence[nn.BatchNorm2d]) -> list[Tensor]:
    """Return the outputs of ``norms``, which have no parameters, for the same features ``y`` [B, C, H, W]."""
    first = norms[0]
    if len(norms) == 1 or not (first.training or first.running_mean is None):
        return [norm(y) for norm in norms]
    if first.running_mean is None:
        return [F.batch_norm(y, None, None, None, None, True, 0.0, first.eps)] * len(norms)
    assert first.momentum is not None
    mean, variance = torch.empty_like(first.running_mean), torch.empty_like(first.running_mean)
    out = F.batch_norm(y, mean.zero_(), variance.zero_(), None, None, True, 1.0, first.eps)
    for running, batch in zip(_running_statistics(norms), (mean, variance), strict=True):
        torch._foreach_lerp_(running, [batch] * len(norms), first.momentum)
    _count_batch(norms)
    return [out] * len(norms)


def _running_statistics(norms: Sequence[nn.BatchNorm2d]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the running means and variances of batch norms that track them."""
    return _buffers(norms, "running_mean"), _buffers(norms, "running_var")


def _count_batch(norms: Sequence[nn.BatchNorm2d]) -> None:
    torch._foreach_add_(_buffers(norms, "num_batches_tracked"), 1)


def _buffers(norms: Sequence[nn.BatchNorm2d], name: str) -> list[Tensor]:
    """Return a buffer of all norms; read from the dictionary, which takes a quarter of the time of an attribute."""
    return [buffer for n in norms if (buffer := n._buffers[name]) is not None]


def _first_convs(x: Tensor, ops: Sequence[EdgeOp]) -> Tensor:
    """Apply ops up to their first batch norm, [B, ops * C, H/s, W/s]: ops of one family."""
    if isinstance(ops[0].op, FactorizedReduce):
        return _factorized_reduce(x, ops)
    groups = [[op.convs[0] for op in group] for _, group in groupby(ops, key=lambda op: op.kind)]
    if isinstance(ops[0].op, ReluConvNorm):
        return _conv(x, groups[0])
    repeated = {count: _repeat(x, count) for count in {len(convs) for convs in groups}}
    return _conv(_cat([_conv(repeated[len(convs)], convs) for convs in groups]), [op.convs[1] for op in ops])


def _conv(x: Tensor, convs: Sequence[nn.Conv2d]) -> Tensor:
    """Apply convolutions of one shape as one: each to all of ``x``, or each to its own part of the channels."""
    first = convs[0]
    groups = x.shape[1] // first.in_channels
    weight = first.weight if len(convs) == 1 else torch.cat([conv.weight for conv in convs])
    bias = first.bias
    if bias is not None and len(convs) > 1:
        bias = torch.cat([conv.bias for conv in convs])  # type: ignore[misc]
    if groups > 1 and first.groups == 1 and first.kernel_size == (1, 1) and first.stride == (1, 1):
        return _grouped_pointwise(x, weight.view(groups, -1, first.in_channels), bias)
    if isinstance(first, DepthwiseConv2d):
        return depthwise_conv2d(x, weight, first.stride[0], first.dilation[0])
    return F.conv2d(x, weight, bias, first.stride, first.padding, first.dilation, groups * first.groups)


def _grouped_pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply pointwise convolutions ``weight`` [groups, O, I] to groups of channels.

    A CPU convolves groups of few channels slowly. Channels-last features are convolved in groups of at least ``LANES``
    channels, whose weights are block diagonal. Other features are multiplied by matrices.
    """
    if is_channels_last(x):
        blocks = _block_diagonal(weight)
        return F.conv2d(x, blocks.flatten(0, 1)[..., None, None], bias, groups=len(blocks))
    y = (weight @ x.reshape(len(x), len(weight), weight.shape[2], -1)).view(len(x), -1, *x.shape[2:])
    return y if bias is None else y + bias[:, None, None]


def _block_diagonal(weight: Tensor) -> Tensor:
    """Join matrices [groups, O, I] to block-diagonal ones of at least ``LANES`` columns, [groups/k, k * O, k * I]."""
    groups, rows, columns = weight.shape
    size = next((size for size in range(1, groups) if groups % size == 0 and size * columns >= LANES), groups)
    if size == 1:
        return weight
    parts = weight.view(-1, size, rows, columns)
    blocks = torch.diag_embed(parts.movedim(1, -1), dim1=1, dim2=3)
    return blocks.reshape(-1, size * rows, size * columns)


def _factorized_reduce(x: Tensor, ops: Sequence[EdgeOp]) -> Tensor:
    shifted = F.pad(x, (-1, x.shape[3] % 2, -1, x.shape[2] % 2))
    sides = [_conv(side, [op.convs[i] for op in ops]) for i, side in enumerate((x, shifted))]
    if len(ops) == 1:
        return torch.cat(sides, dim=1)
    halves = [side.split(side.shape[1] // len(ops), dim=1) for side in sides]
    return torch.cat([half for pair in zip(*halves, strict=True) for half in pair], dim=1)


def _repeat(x: Tensor, times: int) -> Tensor:
    """Repeat the channels of ``x``, in its memory format."""
    return x.repeat(1, times, 1, 1) if times > 1 and not is_channels_last(x) else _cat([x] * times)


def _cat(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)
