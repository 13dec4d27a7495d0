"""Base class of all relaxations: distributions over architectures with learned parameters."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell, CellGenotype, Genotype
from nas.architecture.masks import Masks
from nas.relaxations.distribution import Distribution
from nas.utils.generators import Generators
from nas.utils.ranges import FINITE, NOT_NEGATIVE, check_ranges

Discretization = Callable[[Cell, Tensor, Tensor | None], CellGenotype]
"""Derives a cell's genotype from op scores [edges, ops] and, where edges are weighted too, edge scores [edges]."""


@check_ranges(init_std=NOT_NEGATIVE, init_mean=FINITE)
class Relaxation(nn.Module, ABC):
    """A distribution over architectures, parametrized by ``alpha``: one float32 matrix [edges, ops] per cell type.

    A subclass implements ``sample``. Subclasses that treat each edge alike derive from ``EdgewiseRelaxation``.

    All random numbers come from generators that belong to the relaxation and are part of its state_dict. A resumed
    search therefore repeats the samples of an uninterrupted one, and all ranks of a distributed search sample the same.

    Args:
        cells: the search space, one table per cell type.
        init_std: standard deviation of the initial alpha.
        init_mean: mean of the initial alpha.
    """

    differentiable = True
    """True if alpha has a gradient through the sampled weights. Otherwise a reward trains alpha."""
    selects_edges = False
    """True if samples weight or select the edges into a node, and not only the ops of each edge."""

    def __init__(self, cells: Mapping[str, Cell], init_std: float = 1e-3, init_mean: float = 0.0) -> None:
        super().__init__()
        self.cells = dict(cells)
        self.alpha = nn.ParameterDict(
            {name: init_mean + init_std * torch.randn(len(c.edges), len(c.ops)) for name, c in self.cells.items()}
        )
        self.generators = Generators()

    @abstractmethod
    def sample(self, masks: Masks) -> Architecture:
        """Sample the architecture of one forward pass; all cells of a type share it.

        Ops that ``masks`` excludes have weight 0 and are not executed. A deterministic relaxation returns the same
        mixture every time.
        """

    def sample_for_weights(self, masks: Masks) -> Architecture:
        """Sample the architecture of a weight step. Override it if weights and alpha see different ones (SETN)."""
        return self.sample(masks)

    def weight_samples(self, masks: Masks) -> list[Architecture]:
        """Sample the architectures of a weight step, which sums their gradients: one, by default."""
        return [self.sample_for_weights(masks)]

    def scores(self, masks: Masks) -> dict[str, Tensor]:
        """Return the importance of each op, [edges, ops] per cell type: the softmax of alpha, 0 where masked."""
        return {name: masked_softmax(alpha.detach(), masks.table(name)) for name, alpha in self.alpha.items()}

    def edge_scores(self, masks: Masks) -> dict[str, Tensor | None]:
        """Return the importance of each edge, [edges] per cell type, or None if edges are not weighted."""
        return dict.fromkeys(self.alpha)

    def normalize_edges(self, beta: Tensor) -> Tensor:
        """Return the weights of the edges into a node given their parameters, as ``EdgeNormalized`` uses them."""
        return beta.softmax(dim=0)

    def mode(self, masks: Masks, discretizations: Mapping[str, Discretization]) -> dict[str, CellGenotype]:
        """Derive the discrete architecture with the highest scores, by one discretization per cell type."""
        scores, edge_scores = self.scores(masks), self.edge_scores(masks)
        return {
            name: discretizations[name](cell.masked(masks.lists(name)), scores[name], edge_scores[name])
            for name, cell in self.cells.items()
        }

    def distribution(self, masks: Masks) -> Distribution | None:
        """Return the learned distribution over discrete architectures, None if edges have no distribution of ops."""
        return Distribution("categorical", self.scores(masks))

    def entropy(self, masks: Masks) -> Tensor:
        """Return the mean entropy of the edges' scores, in nats: high at the start, near 0 when decided."""
        tables = [scores.float() for scores in self.scores(masks).values()]
        return torch.cat([torch.special.entr(t).sum(dim=-1) for t in tables]).mean()

    def finish_step(self, masks: Masks) -> None:  # noqa: B027, most relaxations need nothing
        """Run after each architecture step, before the next sample."""

    def penalty(self) -> Tensor | float:
        """Return the regularizer that is added to the loss of the architecture step."""
        return 0.0

    def prepare(self, notation: str, macs: Callable[[Genotype], int] | None) -> None:  # noqa: B027
        """Receive the space of the search before the first sample.

        Args:
            notation: notation of its genotypes.
            macs: multiply-adds of the network of a genotype, None if the space has no table of them.
        """

    def python_generator(self) -> random.Random:
        """Return a Python generator with a seed from the relaxation's own generator."""
        seed = torch.randint(2**62, (), generator=self.generator(torch.device("cpu")))
        return random.Random(int(seed.item()))

    def generator(self, device: torch.device) -> torch.Generator:
        """Return the generator for sampling on ``device``."""
        return self.generators.on(device)


def masked_softmax(alpha: Tensor, mask: Tensor) -> Tensor:
    """Return the softmax of each row of ``alpha`` [edges, ops] over the entries where ``mask`` is True, 0 elsewhere."""
    # the most negative finite number instead of minus infinity: a fully masked edge gets weights 0 instead of NaN
    return alpha.masked_fill(~mask, torch.finfo(alpha.dtype).min).softmax(dim=-1) * mask


def pass_gradient(value: Tensor, parameter: Tensor) -> Tensor:
    """Return ``value`` with the identity as its derivative with respect to ``parameter``."""
    return value.detach() + (parameter - parameter.detach())
