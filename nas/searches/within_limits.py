"""Derivation of a genotype within limits from the scores of a relaxation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nas.architecture.cell import Architecture, Genotype
from nas.architecture.masks import Masks
from nas.objectives.budget_penalty import BudgetPenalty
from nas.relaxations.base import Relaxation
from nas.searches.base import SupernetSearch
from nas.spaces.limits import Limits

LEAST = 1e-12
"""Lower bound of a score, so that its logarithm is finite."""


def within_limits(limits: Limits, genotype: Genotype, relaxation: Relaxation, masks: Masks) -> Genotype:
    """Return ``genotype`` if it is within all limits, otherwise the best genotype within them.

    The best one has the highest sum of logarithms of the relaxation's scores, those of edges included. Links of the
    given genotype count as certain, so that a genotype that a callback has selected changes as little as possible.
    Masked ops are not chosen unless all other genotypes exceed a limit.
    """
    if limits.allows(genotype):
        return genotype
    scores = log_scores(relaxation, masks)
    remaining = {name: cell.masked(masks.lists(name)) for name, cell in relaxation.cells.items()}
    best = limits.best(scores, remaining) or limits.best(_favor(scores, genotype, relaxation))
    assert best is not None, "the limits were built with a genotype within them"
    return best


def percent_over_limits(search: SupernetSearch, arch: Architecture) -> Tensor | float:
    """Return the penalty of the limits in percent, to be subtracted from an accuracy that is a reward."""
    return search.resource.percent(arch) if isinstance(search.resource, BudgetPenalty) else 0.0


def penalty_of_path(search: SupernetSearch, path: Architecture) -> Tensor | float:
    """Return the penalty of a sampled path, to be subtracted from a reward in 0..1, and update its multipliers."""
    penalty = percent_over_limits(search, path) / 100
    if isinstance(search.resource, BudgetPenalty):
        search.resource.ascend(search.resource.expected(path) - 1)
    return penalty


def log_scores(relaxation: Relaxation, masks: Masks) -> dict[str, Tensor]:
    """Return the logarithms of the scores of ops times those of edges, float64 [edges, ops] by cell type."""
    edges = relaxation.edge_scores(masks)
    logs = {}
    for name, table in relaxation.scores(masks).items():
        edge = edges[name]
        table = table.double() if edge is None else table.double() * edge.double()[:, None]
        logs[name] = table.clamp_min(LEAST).log().cpu()
    return logs


def _favor(scores: Mapping[str, Tensor], genotype: Genotype, relaxation: Relaxation) -> dict[str, Tensor]:
    """Return the scores with those of the genotype's links set to 0, the logarithm of 1."""
    favored = {name: table.clone() for name, table in scores.items()}
    for name, chosen in genotype.cells.items():
        cell = relaxation.cells[name]
        for op, source, target in chosen.links:
            if (source, target) in cell.edges and op in cell.ops:
                favored[name][cell.edges.index((source, target)), cell.ops.index(op)] = torch.zeros(())
    return favored
