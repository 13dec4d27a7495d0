"""Choice of the number of channels between two layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import Cell, Link
from nas.choices.choice_module import ChoiceModule, ModuleCost, single_row
from nas.choices.narrowing import Plan, plan_inputs, plan_outputs
from nas.utils.errors import NasError


class Width(ChoiceModule):
    """A layer whose first w output channels are used, where w is one of ``widths`` (weight entanglement).

    A supernet computes all channels and multiplies them by the weighted sum of prefix masks, after the batch norm and
    the activation of ``layer`` (FBNetV2, Wan et al., CVPR 2020). All widths share the weights of the widest one: a
    width has the first w kernels. The network of a genotype has narrower layers with the same outputs.

    Args:
        layer: convolution or linear layer with max(widths) outputs, or an ``nn.Sequential`` that ends in one with batch
            norm, activations and pooling after it.
        widths: the candidates in ascending order.
        into: layer that reads the channels, which is narrowed as well. None: the network of a genotype fills up its
            output with zeros, so that all layers after it remain as they are.
        name: name of the decision (``ChoiceModule``).

    Raises:
        NasError: if the widths do not ascend up to the width of the layer, or a layer cannot be narrowed.
    """

    prefixes: Tensor

    def __init__(
        self, layer: nn.Module, widths: Sequence[int], into: nn.Module | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        label = f"Width '{name}'" if name else "Width"
        whole = bool(widths) and all(type(width) is int and width > 0 for width in widths)
        if not whole or list(widths) != sorted(set(widths)):
            raise NasError(f"{label} has widths={list(widths)}. Give whole numbers from 1 in ascending order.")
        self.widths = tuple(widths)
        self.layer, self.into = layer, into
        self.dim = _channel_dim(self._plans(label)[0])
        masks = torch.arange(self.widths[-1]) < torch.tensor(self.widths)[:, None]
        self.register_buffer("prefixes", masks.to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        mask = (self.weights()[0].vector()[:, None] * self.prefixes).sum(dim=0).to(y.dtype)
        y = y * (mask if self.dim == -1 else mask.view(-1, *(y.dim() - 2) * [1]))
        return y if self.into is None else self.into(y)

    def cell(self) -> Cell:
        return single_row([str(width) for width in self.widths])

    def chosen(self, links: Sequence[Link]) -> nn.Module:
        width, missing = int(links[0].op), self.widths[-1] - int(links[0].op)
        for plan in self._plans(""):
            plan.narrow(width)
        if self.into is not None:
            return nn.Sequential(self.layer, self.into)
        return nn.Sequential(self.layer, ZeroChannels(missing, self.dim)) if missing else self.layer

    def costs(self, cost: ModuleCost) -> Tensor:
        total = cost(self.layer) + (torch.zeros(3) if self.into is None else cost(self.into))
        scaled = torch.stack([cost(part) for plan in self._plans("") for part in plan.scaled]).sum(dim=0)
        shares = torch.tensor(self.widths) / self.widths[-1]
        return ((total - scaled)[:, None] + scaled[:, None] * shares)[:, None]

    def _plans(self, label: str) -> list[Plan]:
        """Return the plans of the layer and of the next one. Raises NasError if there are none."""
        try:
            plans = [plan_outputs(self.layer)] + ([] if self.into is None else [plan_inputs(self.into)])
        except NasError as error:
            raise NasError(f"{label} {error}.") from None
        for plan, names in zip(plans, (("out_channels", "out_features"), ("in_channels", "in_features")), strict=False):
            size = next(getattr(plan.dense, name) for name in names if hasattr(plan.dense, name))
            if size != self.widths[-1]:
                raise NasError(
                    f"{label} has widths={list(self.widths)}, but {type(plan.dense).__name__} has {size} channels. "
                    "The largest width is that of the layers."
                )
        return plans


class ZeroChannels(nn.Module):
    """Append channels of zeros."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.count, self.dim = count, dim

    def forward(self, x: Tensor) -> Tensor:
        after = 0 if self.dim == -1 else x.dim() - 2
        return F.pad(x, (*[0] * (2 * after), 0, self.count))


def _channel_dim(plan: Plan) -> int:
    """Return the dimension of the channels: the last one of a linear layer, the second one of a convolution."""
    return -1 if isinstance(plan.dense, nn.Linear) else 1
