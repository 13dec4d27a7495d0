"""Convolutions that read one tensor, executed together: one kernel for many edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.nn.ops import DilatedConv, FactorizedReduce, ReluConvNorm, SeparableConv

FORMS: Sequence[type[nn.Module]] = (ReluConvNorm, FactorizedReduce, DilatedConv, SeparableConv)


class Term(NamedTuple):
    """An op on its way from a node: the edge's row and the op's column in the table, and the node it leads to.

    ``convs`` and ``norms`` are its convolutions and batch norms in the order of execution.
    """

    row: int
    column: int
    target: int
    op: nn.Module
    convs: tuple[nn.Conv2d, ...]
    norms: tuple[nn.BatchNorm2d, ...]

    @property
    def kind(self) -> tuple[int, int]:
        """What terms have in common that are one convolution: form and kernel. Those with a second half come last."""
        form = FORMS.index(type(self.op))
        return form, self.convs[0].kernel_size[0]


def term(row: int, column: int, target: int, op: nn.Module) -> Term:
    """The term of an op."""
    parts = list(op.modules())
    convs = tuple(m for m in parts if isinstance(m, nn.Conv2d))
    return Term(row, column, target, op, convs, tuple(m for m in parts if isinstance(m, nn.BatchNorm2d)))


def known(op: nn.Module) -> bool:
    """Whether ``convolve`` can execute an op: a convolution of ``nas.nn.ops`` whose batch norms are plain ones."""
    if not isinstance(op, ReluConvNorm | SeparableConv | DilatedConv | FactorizedReduce):
        return False
    return all(type(m) in (nn.ReLU, nn.Conv2d) or plain_norm(m) for m in op.modules() if not list(m.children()))


def plain_norm(module: nn.Module) -> bool:
    """Whether a module is a batch norm that ``batch_norms`` can execute: SyncBatchNorm, for one, is not."""
    return type(module) is nn.BatchNorm2d and module.momentum is not None


def in_order(terms: Sequence[Term]) -> list[Term]:
    """``terms`` as ``convolve`` wants them: by kind of op, those that are done after one half first."""
    return sorted(terms, key=lambda term: (term.kind, term.target))


def convolve(x: Tensor, terms: Sequence[Term], scale: Tensor) -> Iterator[tuple[list[Term], Tensor]]:
    """All ``terms`` of ``x`` [B, C, H, W], weighted: terms and their outputs side by side, [B, terms * C, H/s, W/s].

    ``terms`` are ``in_order`` and of one stride; ``scale`` [terms * C] holds the weight of each term once a channel. It
    is a factor of the last batch norm's own, so that no weighted copy of the features is made.
    """
    x = F.relu(x)
    twice = [term for term in terms if isinstance(term.op, SeparableConv)]
    once = list(terms[: len(terms) - len(twice)])
    made = [_first(x, list(some)) for _, some in groupby(terms, key=lambda term: term.kind[0])]
    width = scale.numel() // len(terms)
    ends = len(once) * width
    first = torch.cat([scale[:ends], torch.ones_like(scale[ends:])]) if twice else scale
    y = batch_norms(_join(made), [term.norms[0] for term in terms], first if once else None)
    if once:
        yield once, y[:, :ends] if twice else y
    if twice:
        z = F.relu(y[:, ends:] if once else y)
        groups = [list(some) for _, some in groupby(twice, key=lambda term: term.kind)]
        parts = z.split([len(some) * width for some in groups], dim=1)
        z = _join([_convolved(part, [t.convs[2] for t in some]) for part, some in zip(parts, groups, strict=True)])
        z = _convolved(z, [term.convs[3] for term in twice])
        yield twice, batch_norms(z, [term.norms[1] for term in twice], scale[ends:])


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


def _first(x: Tensor, terms: Sequence[Term]) -> Tensor:
    """The first convolutions of terms of one form, sorted by kernel: [B, terms * C, H/s, W/s] before batch norm."""
    dense = isinstance(terms[0].op, ReluConvNorm)
    if isinstance(terms[0].op, FactorizedReduce):
        return _reduced(x, terms)
    made = []
    for _, some in groupby(terms, key=lambda term: term.kind):
        convs = [term.convs[0] for term in some]
        made.append(_convolved(x if dense or len(convs) == 1 else x.repeat(1, len(convs), 1, 1), convs))
    return _join(made) if dense else _convolved(_join(made), [term.convs[1] for term in terms])


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


def _reduced(x: Tensor, terms: Sequence[Term]) -> Tensor:
    shifted = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, 1:, 1:]
    sides = [_convolved(side, [term.convs[i] for term in terms]) for i, side in enumerate((x, shifted))]
    if len(terms) == 1:
        return torch.cat(sides, dim=1)
    halves = [side.split(side.shape[1] // len(terms), dim=1) for side in sides]
    return torch.cat([half for pair in zip(*halves, strict=True) for half in pair], dim=1)


def _join(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)
