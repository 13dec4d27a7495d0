"""Proximal iterations: a discrete architecture in each pass, a continuous alpha in each update (NASP)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nas.architecture.cell import NONE, Architecture, Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation, pass_gradient
from nas.relaxations.edgewise import RelaxedEdges, execute_chosen


class Proximal(Relaxation):
    """Gradients at the nearest discrete architecture, applied to a continuous alpha: NASP (Yao et al., AAAI 2020).

    The proximal step sets the largest alpha of each edge to 1 and all others to 0. A node keeps the ``Cell.inputs``
    edges with the largest alphas; the other edges get zeros. Weight steps execute only the remaining ops. Architecture
    steps execute all ops, because alpha has the gradient of every mixing weight at the discrete point. After each step
    alpha is clamped to [0, 1].

    Equal values select the first op other than ``none``, and the first edges. ``none`` is not selected if genotypes
    cannot contain it.

    Args:
        cells: the search space.
        init_std: standard deviation of the initial alpha.
        init_mean: mean of the initial alpha.
    """

    selects_edges = True

    def __init__(self, cells: Mapping[str, Cell], init_std: float = 0.0, init_mean: float = 0.5) -> None:
        super().__init__(cells, init_std, init_mean)
        for name, cell in self.cells.items():
            preference = [(1 if cell.keeps_none else 0) if op == NONE else 2 for op in cell.ops]
            self.register_buffer(f"preference_{name}", torch.tensor(preference), persistent=False)

    def nearest(self, name: str, masks: Masks) -> Tensor:
        """Return the column of each edge's op in the nearest architecture, int64 [edges]; -1 for edges without one."""
        cell, preference = self.cells[name], self.get_buffer(f"preference_{name}")
        allowed = masks.table(name) & (preference > 0)
        alpha = self.alpha[name].detach().masked_fill(~allowed, -torch.inf)
        strength = alpha.amax(dim=-1)
        chosen = ((alpha == strength[:, None]) * preference).argmax(dim=-1)
        kept = strength > -torch.inf
        if cell.inputs is not None:
            parts = strength.split([len(cell.into(node)) for node in cell.nodes])
            ranks = [part.argsort(descending=True, stable=True).argsort() for part in parts]
            kept = kept & (torch.cat(ranks) < cell.inputs)
        return torch.where(kept, chosen, -1)

    def sample(self, masks: Masks) -> Architecture:
        """Return the nearest architecture. All ops are executed, so that all alphas have a gradient."""
        return {
            name: EdgeWeights(
                pass_gradient(self._one_hot(name, self.nearest(name, masks)), alpha * masks.table(name)),
                masks.lists(name),
            )
            for name, alpha in self.alpha.items()
        }

    def sample_for_weights(self, masks: Masks) -> Architecture:
        """Return the nearest architecture, which executes one op on each remaining edge."""
        columns = {name: self.nearest(name, masks) for name in self.alpha}
        relaxed = {name: RelaxedEdges(self._one_hot(name, chosen), chosen) for name, chosen in columns.items()}
        return execute_chosen(relaxed, masks)

    def edge_scores(self, masks: Masks) -> dict[str, Tensor | None]:
        """Return the largest alpha of each edge where edges compete even with a single op, else None."""
        return {
            name: (alpha.detach() * masks.table(name)).amax(dim=-1) if self.cells[name].fixed_inputs else None
            for name, alpha in self.alpha.items()
        }

    def finish_step(self, masks: Masks) -> None:
        """Project alpha onto the box [0, 1]."""
        with torch.no_grad():
            for alpha in self.alpha.values():
                alpha.clamp_(0.0, 1.0)

    def _one_hot(self, name: str, chosen: Tensor) -> Tensor:
        alpha = self.alpha[name]
        return (torch.arange(alpha.shape[1], device=alpha.device) == chosen[:, None]).to(alpha.dtype)
