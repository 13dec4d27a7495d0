"""Alignment of cells that share architecture parameters (Lambda-DARTS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import Architecture, own_key
from nas.gradients.base import Reduce, grad_or_zeros
from nas.gradients.unrolled import difference_length
from nas.objectives.perturbation import ArchLoss
from nas.spaces.base import Network
from nas.utils.errors import NasError
from nas.utils.ranges import NOT_NEGATIVE, POSITIVE, check_ranges

Similarity = Literal["cosine", "sign"]


class SplitArchitecture(NamedTuple):
    """An architecture with weights for each aligned cell."""

    arch: Architecture
    shifts: dict[str, dict[str, Tensor]]
    """Zeros [edges, ops] that are part of the weights of each cell, by cell type and key; they receive gradients."""


@check_ranges(factor=NOT_NEGATIVE, radius=POSITIVE)
class CellAlignment:
    """Align the architecture gradients of all cells of a type (Movahedi et al., ICLR 2023).

    The objective of the weight step is the loss minus ``factor`` times R, where R is the mean similarity of the
    gradients of the loss in the mixing weights of two cells (``correlation``). The gradient of R is a central
    difference along dR/d(gradient) of each cell, with two further passes on the same batch.

    Args:
        factor: weight of R, annealed by ``nas.callbacks.schedules.anneal.Anneal``.
        radius: length of the step of the difference, over the mixing weights of all cells.
        similarity: "cosine", or "sign": <g, h> / <|g|, |h|>.
        cells: aligned cell types; names that the space does not have are ignored. The authors' code aligns the normal
            cells of the DARTS space.

    Raises:
        NasError: if an option is out of range.
    """

    def __init__(
        self,
        factor: float = 0.0,
        radius: float = 1e-4,
        similarity: Similarity = "cosine",
        cells: Sequence[str] = ("cell", "normal"),
    ) -> None:
        self.factor = factor
        self.radius = radius
        self.similarity: Similarity = similarity
        self.cells = tuple(cells)

    def check(self, network: Network) -> None:
        """Raise NasError unless an aligned type has at least two cells."""
        kinds = list(network.cell_types().values())
        if max((kinds.count(name) for name in self.cells), default=0) < 2:
            raise NasError(
                f"method.weight_step.alignment.cells={list(self.cells)}: the supernet has fewer than two such cells "
                f"(cell types: {', '.join(dict.fromkeys(kinds)) or 'none'}). Use another space or more cells."
            )

    def split(self, network: Network, arch: Architecture) -> SplitArchitecture:
        """Give each aligned cell separate mixing weights, equal to those of its type."""
        own, shifts = dict(arch), dict[str, dict[str, Tensor]]()
        for position, kind in network.cell_types().items():
            if kind in self.cells:
                key, shift = own_key(kind, position), torch.zeros_like(arch[kind].op).detach().requires_grad_()
                own[key] = arch[kind]._replace(op=arch[kind].op + shift)
                shifts.setdefault(kind, {})[key] = shift
        return SplitArchitecture(own, shifts)

    def gradient(
        self, split: SplitArchitecture, loss: ArchLoss, weights: Sequence[nn.Parameter], reduce: Reduce
    ) -> list[Tensor]:
        """Return the gradient of ``-factor * R`` in each weight, after the backward pass of the loss.

        Args:
            split: the architecture, whose shifts have gradients.
            loss: loss of the batch under an architecture.
            weights: parameters of the supernet.
            reduce: averages tensors over ranks.
        """
        directions = self.directions(split, reduce)
        length = difference_length(self.radius, list(directions.values()))
        arch = {name: row.detach() for name, row in split.arch.items()}
        sides = []
        for sign in (-1, 1):
            moved = {key: arch[key]._replace(op=arch[key].op + sign * length * d) for key, d in directions.items()}
            sides.append(grad_or_zeros(loss({**arch, **moved}), weights))
        return reduce([self.factor * (minus - plus) / (2 * length) for minus, plus in zip(*sides, strict=True)])

    def directions(self, split: SplitArchitecture, reduce: Reduce) -> dict[str, Tensor]:
        """Return dR/d(gradient) [edges, ops] of each aligned cell."""
        directions: dict[str, Tensor] = {}
        for shifts in split.shifts.values():
            if len(shifts) > 1:
                zeros = [torch.zeros_like(s) if s.grad is None else s.grad for s in shifts.values()]
                grads = torch.stack(reduce(zeros))
                directions |= zip(
                    shifts, correlation_gradient(grads.flatten(1), self.similarity).view_as(grads), strict=True
                )
        return directions


def correlation(grads: Tensor, similarity: Similarity) -> Tensor:
    """Return the mean similarity of all pairs of rows of [cells, n]."""
    if similarity == "cosine":
        unit = F.normalize(grads, dim=1)
        pairs = unit @ unit.T
    else:
        pairs = (grads @ grads.T) / (grads.abs() @ grads.abs().T).clamp_min(torch.finfo(grads.dtype).tiny)
    cells = len(grads)
    return 2 * pairs.triu(1).sum() / (cells * (cells - 1))


def correlation_gradient(grads: Tensor, similarity: Similarity) -> Tensor:
    """Return the derivative of ``correlation`` [cells, n]; a row of zeros, which has no direction, has none."""
    with torch.enable_grad():
        leaf = grads.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(correlation(leaf, similarity), leaf)
    return torch.where(grads.any(dim=1, keepdim=True), gradient, 0.0)
