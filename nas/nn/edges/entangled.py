"""Weight entanglement: candidates of one kind share the kernel of the largest (TangleNAS)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.ops import OpOptions

SQUARE = re.compile(r"((?:sep|dil|nor)_|)conv_?(\d+)x\2(?:-bn-relu)?")
"""Ops whose kernels can be entangled: kind and side of the kernel."""


class EntangledEdge(MixedEdge):
    """A mixed edge whose convolutions of one kind are a single convolution (Sukthanker et al., AutoML 2024).

    A candidate with a k x k kernel uses the central part of the largest kernel of its kind. The kernel of the mixture
    is the sum of these parts, padded with zeros and multiplied by the weights of the candidates. A separable
    convolution mixes both depthwise kernels. Pointwise kernels and batch norm are those of the largest candidate.

    The output of such a convolution is not multiplied by the weights. The batch norm after it removes their common
    scale, so only their ratio has an effect. One-hot weights execute exactly the sub-kernel of a candidate.
    """

    def __init__(self, ops: Sequence[str | None], channels: int, stride: int, options: OpOptions) -> None:
        kinds: dict[str, dict[str, int]] = {}
        for op in ops:
            match = SQUARE.fullmatch(op or "")
            if match:
                kinds.setdefault(match[1], {})[match[0]] = int(match[2])
        groups = {max(group, key=group.__getitem__): group for group in kinds.values() if len(group) > 1}
        smaller = {name for largest, group in groups.items() for name in group if name != largest}
        super().__init__([None if op in smaller else op for op in ops], channels, stride, options)
        self.names = tuple(ops)
        self.groups: Mapping[str, Mapping[str, int]] = groups
        """Side of the kernel of each candidate of a kind, by the largest candidate."""

    def forward(self, x: Tensor, row: EdgeRow | None = None) -> Tensor | None:
        if row is None:
            return super().forward(x)
        entangled = {name for group in self.groups.values() for name in group}
        plain = [on and name not in entangled for name, on in zip(self.names, row.active, strict=True)]
        out = self._mixture(x, EdgeRow(row.weights, plain, None, row.memo))
        active = {n: w for n, w, on in zip(self.names, row.weights, row.active, strict=True) if on and n in entangled}
        for largest, group in self.groups.items():
            weights = {side: active[name] for name, side in group.items() if name in active}
            if weights:
                op = self[largest]
                term = functional_call(op, entangled_weights(op, group[largest], weights), (x,))
                out = term if out is None else out + term
        return out if out is None or row.scale is None else out * row.scale


def entangled_weights(op: nn.Module, largest: int, weights: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Return the kernels and biases of a mixture by their names in ``op``.

    Args:
        op: the candidate with the largest kernel.
        largest: side of its kernel.
        weights: scalar weight of each candidate by the side of its kernel.
    """
    kernels: dict[str, Tensor] = {}
    for name, conv in op.named_modules():
        if isinstance(conv, nn.Conv2d) and conv.kernel_size[0] == largest:
            scale = torch.zeros_like(conv.weight[0, 0])
            for side, weight in weights.items():
                margin = (largest - side) // 2
                scale = scale + weight * nn.functional.pad(scale.new_ones(side, side), [margin] * 4)
            kernels[f"{name}.weight"] = conv.weight * scale
            if conv.bias is not None:
                kernels[f"{name}.bias"] = conv.bias * torch.stack(list(weights.values())).sum()
    return kernels
