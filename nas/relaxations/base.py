"""How architecture parameters become the weights of ops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.utils.generators import Generators


class Relaxation(nn.Module, ABC):
    """Owns ``alpha``, one float32 matrix [edges, ops] a cell type, and turns it into edge weights.

    A subclass writes ``relax``. Whatever is random is drawn from a generator of the relaxation's own, whose
    state is part of its state_dict: a resumed search draws what the uninterrupted one would have drawn, and
    all ranks of a distributed search draw the same. ``init_mean`` and ``init_std`` are those alpha starts with.
    """

    differentiable = True
    """Whether alpha has a gradient through the weights; else it needs a reward."""

    def __init__(self, cells: Mapping[str, Cell], init_std: float = 1e-3, init_mean: float = 0.0) -> None:
        super().__init__()
        self.cells = dict(cells)
        self.alpha = nn.ParameterDict(
            {name: init_mean + init_std * torch.randn(len(c.edges), len(c.ops)) for name, c in self.cells.items()}
        )
        self.generators = Generators()

    @abstractmethod
    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """The weights [edges, ops], and the column of the one op that each edge executes, or None for all.

        ``mask`` [edges, ops] is True where an op may have weight.
        """

    def penalty(self) -> Tensor | float:
        """What the relaxation adds to the loss of the architecture step."""
        return 0.0

    def forward(self, masks: Masks) -> Architecture:
        """The architecture of one forward pass; one draw serves all cells of a type."""
        found = {name: self.relax(name, alpha, masks.table(name)) for name, alpha in self.alpha.items()}
        return {
            name: EdgeWeights(op, self._active(masks.lists(name), column))
            for (name, (op, _)), column in zip(found.items(), _to_host([c for _, c in found.values()]), strict=True)
        }

    def for_weights(self, masks: Masks) -> Architecture:
        """The architecture that the weights are trained on, where it is not one like all others (SETN)."""
        return self(masks)

    def scores(self, masks: Masks) -> dict[str, Tensor]:
        """How much each op matters, [edges, ops] a cell type: the softmax of alpha, 0 where masked."""
        return {name: masked_softmax(alpha.detach(), masks.table(name)) for name, alpha in self.alpha.items()}

    def edge_scores(self, masks: Masks) -> dict[str, Tensor | None]:
        """How much each edge matters, [edges] a cell type, where the relaxation weighs edges too; else None."""
        return dict.fromkeys(self.alpha)

    def entropy(self, masks: Masks) -> Tensor:
        """The mean entropy of the edges' scores, in nats: high at the start, near 0 when decided."""
        tables = [scores.float() for scores in self.scores(masks).values()]
        return torch.cat([torch.special.entr(t).sum(dim=-1) for t in tables]).mean()

    def generator(self, device: torch.device) -> torch.Generator:
        """The generator for draws on ``device``."""
        return self.generators.on(device)

    @staticmethod
    def _active(mask: list[list[bool]], columns: list[int] | None) -> list[list[bool]]:
        if columns is None:
            return mask
        return [
            [on and column == chosen for column, on in enumerate(row)]
            for row, chosen in zip(mask, columns, strict=True)
        ]


def masked_softmax(alpha: Tensor, mask: Tensor) -> Tensor:
    """The softmax of each row of ``alpha`` [edges, ops] over the entries where ``mask`` is True, 0 elsewhere."""
    # the least number, not minus infinity: an edge that is masked as a whole has weights 0, and no NaN
    return alpha.masked_fill(~mask, torch.finfo(alpha.dtype).min).softmax(dim=-1) * mask


def _to_host(columns: list[Tensor | None]) -> list[list[int] | None]:
    """All chosen columns as lists, in one transfer."""
    present = [c for c in columns if c is not None]
    flat = torch.cat(present).tolist() if present else []
    result: list[list[int] | None] = []
    for column in columns:
        size = 0 if column is None else column.numel()
        result.append(None if column is None else flat[:size])
        flat = flat[size:]
    return result
