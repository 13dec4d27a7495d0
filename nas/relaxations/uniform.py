"""Uniformly sampled paths (one-shot training, SETN)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from nas.architecture.cell import Architecture, Cell, one_hot_weights, sample_cell
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation, masked_softmax
from nas.relaxations.edgewise import EdgewiseRelaxation, RelaxedEdges


class Uniform(Relaxation):
    """A uniform single path per forward pass: one-shot training without architecture parameters.

    Li and Talwalkar (UAI 2019), Guo et al. (ECCV 2020). If a node keeps only some of its edges in a genotype, these
    edges are sampled too.
    """

    selects_edges = True

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        super().__init__(cells, init_std=0.0)
        self.requires_grad_(False)

    def sample(self, masks: Masks) -> Architecture:
        return uniform_path(self, masks)

    def distribution(self, masks: Masks) -> None:
        """Return None: nothing is learned."""
        return None


class UniformWeights(EdgewiseRelaxation):
    """Weights trained on uniform paths, alpha on the softmax of all ops, as in SETN (Dong and Yang, ICCV 2019)."""

    def relax(self, alpha: Tensor, mask: Tensor) -> RelaxedEdges:
        return RelaxedEdges(masked_softmax(alpha, mask))

    def sample_for_weights(self, masks: Masks) -> Architecture:
        return uniform_path(self, masks)


def uniform_path(relaxation: Relaxation, masks: Masks) -> Architecture:
    """Sample a genotype uniformly from the unmasked ops, by the relaxation's own generator, as one-hot weights."""
    rng = relaxation.python_generator()
    arch = {}
    for name, cell in relaxation.cells.items():
        table = cell.masked(masks.lists(name))
        arch[name] = one_hot_weights(table, sample_cell(table, rng), like=relaxation.alpha[name])
    return arch
