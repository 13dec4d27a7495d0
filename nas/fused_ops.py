"""Convolutions that read one tensor, executed together: one kernel for many edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.ops import DilatedConv, FactorizedReduce, ReluConvNorm, SeparableConv


class Term(NamedTuple):
    """An op on its way from a node: the edge's row and the op's column in the table, and the node it leads to."""

    row: int
    column: int
    target: int
    op: nn.Module


def known(op: nn.Module) -> bool:
    """Whether ``convolve`` can execute an op: a convolution of ``nas.ops`` whose batch norms are plain ones."""
    if not isinstance(op, ReluConvNorm | SeparableConv | DilatedConv | FactorizedReduce):
        return False
    return all(type(m) in (nn.ReLU, nn.Conv2d) or plain_norm(m) for m in op.modules() if not list(m.children()))


def plain_norm(module: nn.Module) -> bool:
    """Whether a module is a batch norm that ``batch_norms`` can execute: SyncBatchNorm, for one, is not."""
    return type(module) is nn.BatchNorm2d and module.momentum is not None


def in_order(terms: Sequence[Term]) -> list[Term]:
    """``terms`` as ``convolve`` wants them: by kind of op, those that are done after one half first."""
    return sorted(terms, key=lambda term: (_kind(term.op), term.target))


def convolve(x: Tensor, terms: Sequence[Term], scale: Tensor) -> Iterator[tuple[list[Term], Tensor]]:
    """All ``terms`` of ``x`` [B, C, H, W], weighted: terms and their outputs side by side, [B, terms * C, H/s, W/s].

    ``terms`` are ``in_order`` and of one stride; ``scale`` [terms * C] holds the weight of each term once a channel. It
    is a factor of the last batch norm's own, so that no weighted copy of the features is made.
    """
    x = F.relu(x)
    twice = [term for term in terms if isinstance(term.op, SeparableConv)]
    once = list(terms[: len(terms) - len(twice)])
    made = [_first(x, [term.op for term in some]) for _, some in groupby(terms, key=lambda term: _kind(term.op)[0])]
    norms = [_norm_of(term.op, 0) for term in terms]
    width = scale.numel() // len(terms)
    ends = len(once) * width
    first = torch.cat([scale[:ends], torch.ones_like(scale[ends:])]) if twice else scale
    y = batch_norms(_join(made), norms, first if once else None)
    if once:
        yield once, y[:, :ends] if twice else y
    if twice:
        z = F.relu(y[:, ends:] if once else y)
        halves = [[_convs(term.op)[2:] for term in some] for _, some in groupby(twice, key=lambda t: _kind(t.op))]
        parts = z.split([len(some) * width for some in halves], dim=1)
        z = _join([_convolved(part, [d for d, _ in some]) for part, some in zip(parts, halves, strict=True)])
        z = _convolved(z, [point for some in halves for _, point in some])
        yield twice, batch_norms(z, [_norm_of(term.op, 1) for term in twice], scale[ends:])


def batch_norms(y: Tensor, norms: Sequence[nn.BatchNorm2d], scale: Tensor | None = None) -> Tensor:
    """The batch norms of features side by side, as one; their running statistics are updated as by themselves.

    ``y`` is [B, C of all, H, W], ``scale`` [C of all] multiplies the outputs.
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
    means, variances = _running(norms)
    mean, variance = torch.cat(means), torch.cat(variances)
    assert first.momentum is not None
    y = F.batch_norm(y, mean, variance, weight, bias, first.training, first.momentum, first.eps)
    if first.training:
        sizes = [n.num_features for n in norms]
        torch._foreach_copy_(means + variances, [*mean.split(sizes), *variance.split(sizes)])
        _count(norms)
    return y


def shared_norm(y: Tensor, norms: Sequence[nn.BatchNorm2d]) -> list[Tensor]:
    """What each of ``norms``, which have no parameters, makes of the same ``y`` [B, C, H, W]."""
    first = norms[0]
    if len(norms) == 1 or not (first.training or first.running_mean is None):
        return [norm(y) for norm in norms]
    if first.running_mean is None:
        return [F.batch_norm(y, None, None, None, None, True, 0.0, first.eps)] * len(norms)
    assert first.momentum is not None
    mean, variance = torch.empty_like(first.running_mean), torch.empty_like(first.running_mean)
    out = F.batch_norm(y, mean.zero_(), variance.zero_(), None, None, True, 1.0, first.eps)
    for old, new in zip(_running(norms), (mean, variance), strict=True):
        torch._foreach_lerp_(old, [new] * len(norms), first.momentum)
    _count(norms)
    return [out] * len(norms)


def _running(norms: Sequence[nn.BatchNorm2d]) -> tuple[list[Tensor], list[Tensor]]:
    """The running means and variances of batch norms that track them."""
    means = [n.running_mean for n in norms if n.running_mean is not None]
    return means, [n.running_var for n in norms if n.running_var is not None]


def _count(norms: Sequence[nn.BatchNorm2d]) -> None:
    torch._foreach_add_([n.num_batches_tracked for n in norms if n.num_batches_tracked is not None], 1)


def _kind(op: nn.Module) -> tuple[int, int]:
    """What ops have in common that are one convolution: its form and its kernel. Those with a second half come last."""
    form = [ReluConvNorm, FactorizedReduce, DilatedConv, SeparableConv].index(type(op))
    return form, 0 if isinstance(op, FactorizedReduce) else _convs(op)[0].kernel_size[0]


def _convs(op: nn.Module) -> list[nn.Conv2d]:
    return [module for module in op.op if isinstance(module, nn.Conv2d)]  # type: ignore[union-attr]


def _norm_of(op: nn.Module, half: int) -> nn.BatchNorm2d:
    found = [module for module in op.modules() if isinstance(module, nn.BatchNorm2d)]
    return found[half]


def _first(x: Tensor, ops: Sequence[nn.Module]) -> Tensor:
    """The first convolutions of ops of one form, sorted by kernel: [B, ops * C, H/s, W/s] before batch norm."""
    if isinstance(ops[0], FactorizedReduce):
        return _reduced(x, [op for op in ops if isinstance(op, FactorizedReduce)])
    made = []
    for _, some in groupby(ops, key=_kind):
        convs = [_convs(op) for op in some]
        wide = x if isinstance(ops[0], ReluConvNorm) or len(convs) == 1 else x.repeat(1, len(convs), 1, 1)
        made.append(_convolved(wide, [found[0] for found in convs]))
    y = _join(made)
    return y if isinstance(ops[0], ReluConvNorm) else _convolved(y, [_convs(op)[1] for op in ops])


def _convolved(x: Tensor, convs: Sequence[nn.Conv2d]) -> Tensor:
    """Convolutions of one shape as one: all of the same ``x``, or each of its own part of the channels of ``x``."""
    first = convs[0]
    apart = x.shape[1] // first.in_channels
    weight = first.weight if len(convs) == 1 else torch.cat([conv.weight for conv in convs])
    bias = first.bias
    if bias is not None and len(convs) > 1:
        bias = torch.cat([conv.bias for conv in convs])  # type: ignore[misc]
    if apart > 1 and first.groups == 1 and first.kernel_size == (1, 1) and first.stride == (1, 1):
        return _matmul(x, weight.view(apart, -1, first.in_channels), bias)
    return F.conv2d(x, weight, bias, first.stride, first.padding, first.dilation, apart * first.groups)


def _matmul(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Pointwise convolutions side by side; as grouped ones they are several times slower on a CPU."""
    y = (weight @ x.reshape(len(x), len(weight), weight.shape[2], -1)).view(len(x), -1, *x.shape[2:])
    return y if bias is None else y + bias[:, None, None]


def _reduced(x: Tensor, ops: Sequence[FactorizedReduce]) -> Tensor:
    shifted = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, 1:, 1:]
    sides = _convolved(x, [op.conv_1 for op in ops]), _convolved(shifted, [op.conv_2 for op in ops])
    if len(ops) == 1:
        return torch.cat(sides, dim=1)
    halves = [side.split(side.shape[1] // len(ops), dim=1) for side in sides]
    return torch.cat([half for pair in zip(*halves, strict=True) for half in pair], dim=1)


def _join(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)
