"""Paths drawn uniformly."""

from __future__ import annotations

import random
from collections.abc import Mapping

import torch
from torch import Tensor

from nas.architecture.cell import Architecture, Cell, encode, sample
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation


class Uniform(Relaxation):
    """A uniform single path, drawn anew for each forward pass: one-shot training without architecture parameters.

    Li and Talwalkar (UAI 2019), Guo et al. (ECCV 2020). Where a node keeps only some of its edges in a
    genotype, those are drawn too.
    """

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        super().__init__(cells, init_std=0.0)
        self.requires_grad_(False)

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        raise TypeError("a uniform path is drawn as a whole")

    def forward(self, masks: Masks) -> Architecture:
        return uniform_path(self, masks)


def uniform_path(relaxation: Relaxation, masks: Masks) -> Architecture:
    """A genotype drawn uniformly from what is left, by the relaxation's own generator, as one-hot weights."""
    draw = torch.randint(2**62, (), generator=relaxation.generator(torch.device("cpu")))
    rng = random.Random(int(draw.item()))
    arch = {}
    for name, cell in relaxation.cells.items():
        table = cell.masked(masks.lists(name))
        arch[name] = encode(table, sample(table, rng), like=relaxation.alpha[name])
    return arch
