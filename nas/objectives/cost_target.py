"""Trade-off between the task and the cost of the final network (ProxylessNAS)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from nas.architecture.best_within import least_cost
from nas.architecture.cell import Architecture, EdgeWeights
from nas.architecture.cost import GenotypeCost
from nas.architecture.masks import Masks
from nas.objectives.expected_cost import ExpectedCost
from nas.objectives.resource_penalty import HasAlpha
from nas.spaces.base import Space
from nas.spaces.limits import relaxed_cost
from nas.utils.errors import NasError
from nas.utils.ranges import POSITIVE, check_ranges

Form = Literal["multiply", "add", "reward"]
DEFAULTS: dict[str, dict[str, float]] = {
    "multiply": {"weight": 0.2, "exponent": 0.3},
    "add": {"weight": 0.1},
    "reward": {"exponent": 0.1},
}
"""Values of mit-han-lab/proxylessnas, search/imagenet_arch_search.py, for the options that a form has."""
OPTION = "method.arch_step.cost_target"


@check_ranges(target=POSITIVE, weight=POSITIVE, exponent=POSITIVE)
class CostTarget(ExpectedCost):
    """Cost of the final network in the architecture loss, or in a reward (Cai et al., ICLR 2019).

    E is the expected cost under softmax(alpha), T the target, L the loss and R the reward of the task:

    * "multiply": weight * L * (log E / log T) ** exponent
    * "add": L + weight * (E - T) / T
    * "reward": R * (T / cost) ** exponent, with the cost of the sampled architecture

    Args:
        cost: "macs", "parameters" or "latency_ms".
        target: T, in the unit of the cost; None: no effect.
        form: the formula.
        weight: by default 0.2 for "multiply" and 0.1 for "add", as in the authors' code.
        exponent: by default 0.3 for "multiply" and 0.1 for "reward", as in the authors' code.

    Raises:
        NasError: if the form is unknown, or has no such option.
    """

    def __init__(
        self,
        cost: str = "macs",
        target: float | None = None,
        form: Form = "multiply",
        weight: float | None = None,
        exponent: float | None = None,
    ) -> None:
        super().__init__()
        given = {"weight": weight, "exponent": exponent}
        for name, value in given.items():
            if value is not None and name not in DEFAULTS[form]:
                raise NasError(f"{OPTION}.{name}={value}: form={form} has no such option. Use {OPTION}.{name}=null.")
        values = {**DEFAULTS[form], **{name: value for name, value in given.items() if value is not None}}
        self.cost, self.target, self.form = cost, target, form
        self.weight, self.exponent = values.get("weight", 1.0), values.get("exponent", 1.0)
        self.ready = False

    def use(self, space: Space, cost: GenotypeCost) -> None:
        """Set the cost, before the search starts.

        Raises:
            NasError: if a logarithm of costs is not positive.
        """
        assert self.target is not None
        additive = relaxed_cost(space, cost)
        least = least_cost(space.cells, additive)
        if self.form == "multiply" and min(least, self.target) <= 1:
            raise NasError(
                f"{OPTION}.form=multiply: the logarithm needs costs and a target above 1 {cost.unit}, but the lowest "
                f"cost is {least:g} and the target {self.target:g}. Use {OPTION}.form=add."
            )
        self.set_costs(space.cells, [additive], [1.0])
        self.ready = True

    def loss(self, loss: Tensor, relaxation: HasAlpha, masks: Masks) -> Tensor:
        """Return the architecture loss for a loss of the task; unchanged if the form is "reward"."""
        if self.form == "reward":
            return loss
        cost, target = self._costs(_softmax(relaxation, masks)), self._target()
        if self.form == "add":
            return loss + self.weight * (cost - target) / target
        return self.weight * loss * (cost.log() / math.log(target)) ** self.exponent

    def reward(self, score: Tensor, arch: Architecture) -> Tensor:
        """Return the reward of a sampled architecture with a score of the task."""
        cost = self._costs({name: weights.detach() for name, weights in arch.items()})
        return score * (self._target() / cost) ** self.exponent

    def _costs(self, arch: Architecture) -> Tensor:
        if not self.ready:
            raise NasError(f"{OPTION}: the cost is not set. Call use() before the search.")
        return self.expected(arch)[0]

    def _target(self) -> float:
        assert self.target is not None
        return self.target


def _softmax(relaxation: HasAlpha, masks: Masks) -> Architecture:
    """Return the softmax of alpha over the allowed ops as weights, differentiable in alpha."""
    arch = {}
    for name, alpha in relaxation.alpha.items():
        mask = masks.table(name)
        op = alpha.masked_fill(~mask, torch.finfo(alpha.dtype).min).softmax(-1) * mask
        arch[name] = EdgeWeights(op, masks.lists(name))
    return arch
