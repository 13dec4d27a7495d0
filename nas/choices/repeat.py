"""Choice of the number of blocks in a row."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.cell import Cell, Link
from nas.choices.choice_module import ChoiceModule, ModuleCost, single_row
from nas.choices.mixture import Mixture
from nas.utils.errors import NasError


class Repeat(ChoiceModule):
    """The first d blocks of a sequence, where d is one of ``depths``. All blocks preserve the shape.

    A supernet executes the blocks once, and returns the sum of the outputs after each active depth times their weights.

    Args:
        block: builds a block, called with its number from 0 if it takes an argument; or the blocks themselves.
        depths: the candidates in ascending order; 0 returns the input.
        name: name of the decision (``ChoiceModule``).

    Raises:
        NasError: if the depths do not ascend, or ``block`` is a single module, which cannot be built again.
    """

    def __init__(
        self,
        block: Callable[..., nn.Module] | Sequence[nn.Module],
        depths: Sequence[int],
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        label = f"Repeat '{name}'" if name else "Repeat"
        whole = bool(depths) and all(type(depth) is int and depth >= 0 for depth in depths)
        if not whole or list(depths) != sorted(set(depths)):
            raise NasError(f"{label} has depths={list(depths)}. Give whole numbers from 0 in ascending order.")
        if isinstance(block, nn.Module) and not isinstance(block, nn.ModuleList | nn.Sequential):
            raise NasError(
                f"{label} has a single {type(block).__name__} as block. Give a function that builds one, as in "
                f"Repeat(lambda: {type(block).__name__}(...), depths={tuple(depths)}), or a list of blocks."
            )
        built = _build(block, depths[-1]) if _builds(block) else list(block)  # type: ignore[arg-type]
        if len(built) < depths[-1] or not all(isinstance(part, nn.Module) for part in built):
            raise NasError(f"{label} has {len(built)} blocks for depths={list(depths)}. Give {depths[-1]} modules.")
        self.depths = tuple(depths)
        self.blocks = nn.ModuleList(built[: depths[-1]])

    def forward(self, x: Tensor, *args: Any) -> Tensor:
        row, mixture = self.weights()[0], Mixture(self)
        columns = {depth: i for i, depth in enumerate(self.depths) if row.active[i]}
        for depth in range(max(columns, default=-1) + 1):
            if depth:
                x = self.blocks[depth - 1](x, *args)
            if depth in columns:
                mixture.add(str(depth), row.weight(columns[depth]), x)
        if mixture.total is None:
            raise self.error("has no active depth.")
        mixture.add_scalar(row.scaled(row.inactive_weight()) if self.add_inactive else None, mixture.total)
        return mixture.total

    def cell(self) -> Cell:
        return single_row([str(depth) for depth in self.depths])

    def chosen(self, links: Sequence[Link]) -> nn.Module:
        return BlockSequence(*self.blocks[: int(links[0].op)])

    def costs(self, cost: ModuleCost) -> Tensor:
        sums = torch.cumsum(torch.stack([torch.zeros(3), *(cost(block) for block in self.blocks)], dim=-1), dim=-1)
        return sums[:, None, list(self.depths)]


class BlockSequence(nn.Sequential):
    """Blocks in a row, which all receive the further arguments."""

    def forward(self, x: Tensor, *args: Any) -> Tensor:
        for block in self:
            x = block(x, *args)
        return x


def _builds(block: Any) -> bool:
    return callable(block) and not isinstance(block, nn.Module)


def _build(block: Callable[..., nn.Module], count: int) -> list[nn.Module]:
    """Build blocks, with their numbers if the function has a positional argument without a default."""
    try:
        parameters = inspect.signature(block).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]
    numbered = any(p.kind <= p.POSITIONAL_OR_KEYWORD and p.default is p.empty for p in parameters)
    return [block(number) if numbered else block() for number in range(count)]
