"""Penalty on the costs of the final network, with multipliers that adapt to the violation of their limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE, Architecture, Cell
from nas.architecture.masks import Masks
from nas.objectives.expected_cost import ExpectedCost
from nas.objectives.resource_penalty import HasAlpha
from nas.spaces.limits import Limits
from nas.utils.ranges import POSITIVE, check_ranges


class HasScores(HasAlpha, Protocol):
    """The part of a relaxation that a budget reads."""

    def scores(self, masks: Masks) -> Mapping[str, Tensor]:
        """Return the importance of each op, [edges, ops] by cell type."""
        ...

    def edge_scores(self, masks: Masks) -> Mapping[str, Tensor | None]:
        """Return the importance of each edge, [edges] by cell type, None if edges are not weighted."""
        ...


@check_ranges(multiplier_lr=POSITIVE)
class BudgetPenalty(ExpectedCost):
    """Lagrangian of limits on costs: the sum of multiplier x (expected cost / limit - 1).

    The updates are those of the proxy-Lagrangian of Cotter et al. (Optimization with Non-Differentiable Constraints
    with Applications to Fairness, Recall, Churn, and Other Goals, JMLR 20(172), 2019). Additive multipliers replace
    its swap-regret player, so its guarantees do not apply. Alpha descends along the expected cost under the sampled
    weights, which is differentiable. Each multiplier ascends along the violation by the derived genotype, which is not,
    and stays at least 0. A multiplier therefore grows until the genotype is within its limit, and its size needs no
    tuning. The multipliers are part of the state_dict. They depend only on alpha, so they are equal on all ranks.

    Args:
        limits: the limits.
        resource: penalty of the method, which is added.
        multiplier_lr: change of a multiplier per architecture step, in units of the relative violation.

    Attributes:
        multipliers: [limits].
    """

    multipliers: Tensor

    def __init__(self, limits: Limits, resource: nn.Module | None = None, multiplier_lr: float = 0.01) -> None:
        super().__init__()
        self.resource = resource
        self.multiplier_lr = multiplier_lr
        self.names = tuple(limit.cost.name for limit in limits.limits)
        self.set_costs(limits.space.cells, limits.relaxed, [limit.value for limit in limits.limits])
        self.register_buffer("multipliers", torch.zeros(len(limits.limits)))
        for name, cell in self.cells.items():
            self.register_buffer(f"{name}_allowed", _allowed(cell), persistent=False)

    def forward(self, arch: Architecture, relaxation: HasScores, masks: Masks) -> Tensor:
        """Return the penalty of a sampled architecture, a scalar."""
        penalty = (self.multipliers * (self.expected(arch) - 1)).sum()
        return penalty if self.resource is None else penalty + self.resource(arch, relaxation, masks)

    def percent(self, arch: Architecture) -> Tensor:
        """Return the penalty of the limits in percent, to be subtracted from an accuracy that is a reward."""
        return 100 * (self.multipliers * (self.expected(arch).detach() - 1)).sum()

    def diagnostics(self) -> dict[str, float]:
        """Return the multipliers by name."""
        return {f"multiplier_{name}": value for name, value in zip(self.names, self.multipliers.tolist(), strict=True)}

    @torch.no_grad()
    def finish_step(self, relaxation: HasScores, masks: Masks) -> None:
        """Update the multipliers by the violation of the genotype that the scores give."""
        self.ascend(self.derived(relaxation, masks) - 1)

    def ascend(self, violation: Tensor) -> None:
        """Update the multipliers by relative violations [limits]."""
        self.multipliers.add_(self.multiplier_lr * violation.detach()).clamp_min_(0.0)

    def derived(self, relaxation: HasScores, masks: Masks) -> Tensor:
        """Return the costs of the strongest ops on the strongest edges of each node, relative to limits, [limits]."""
        total = self.get_buffer("base")
        scores, edge_scores = relaxation.scores(masks), relaxation.edge_scores(masks)
        for name, cell in self.cells.items():
            costs = self.get_buffer(f"{name}_costs")
            allowed = self.get_buffer(f"{name}_allowed") & masks.table(name)
            strength, best = scores[name].float().masked_fill(~allowed, -1.0).max(dim=-1)
            chosen = costs.gather(-1, best.expand(len(costs), -1)[..., None])[..., 0]
            edge = edge_scores[name]
            strength = strength if edge is None else strength * edge
            for node in cell.nodes:
                rows = slice(cell.into(node)[0], cell.into(node)[-1] + 1)
                kept = strength[rows].topk(min(cell.inputs or len(cell.edges), rows.stop - rows.start)).indices
                total = total + chosen[:, rows][:, kept].sum(-1)
        return total


def _allowed(cell: Cell) -> Tensor:
    """Return the mask [edges, ops] of the entries that a genotype may contain."""
    return cell.allowed() & torch.tensor([op != NONE or cell.keeps_none for op in cell.ops])
