"""Parameters of several networks of one structure, in blocks for steps on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class SharedParameter(NamedTuple):
    """Parameter of a stacked layer, with the parameters of the networks."""

    common: nn.Parameter
    """The parameters of S networks, joined in the first dimension."""
    parts: list[nn.Parameter]
    """The parameter of each network, a view of ``common``."""


class ParameterBlock(NamedTuple):
    """K shared parameters of one size, for S networks with n values each."""

    values: Tensor
    """[K, S, n], which all parameters are views of."""
    shared: list[SharedParameter]

    def take_gradient(self) -> Tensor | None:
        """Remove the gradients of the common parameters, and return them, [K, S, n]; None if one is missing."""
        grads = [common.grad for common, _ in self.shared]
        found = [grad for grad in grads if grad is not None]
        if len(found) < len(grads):
            return None
        for common, _ in self.shared:
            common.grad = None
        return torch.stack([grad.reshape(self.values.shape[1:]) for grad in found])


def join_blocks(shared: Sequence[SharedParameter]) -> list[ParameterBlock]:
    """Move shared parameters into blocks, with separate ones for vectors, which may have no weight decay."""
    groups: dict[tuple[object, ...], list[SharedParameter]] = {}
    for one in shared:
        common = one.common
        key = (common.numel(), common.dim() > 1, common.dtype, common.device)
        groups.setdefault(key, []).append(one)
    blocks = []
    for members in groups.values():
        count = len(members[0].parts)
        values = torch.stack([common.detach().view(count, -1) for common, _ in members])
        for (common, parts), rows in zip(members, values, strict=True):
            common.data = rows.view(common.shape)
            for part, row in zip(parts, rows, strict=True):
                part.data = row.view(part.shape)
        blocks.append(ParameterBlock(values, members))
    return blocks
