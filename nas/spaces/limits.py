"""Limits on the costs of the network that will be trained, and the best genotype within them."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nas.architecture.additive_cost import AdditiveCost, approximate_additive_cost, fit_additive_cost
from nas.architecture.best_within import best_within, least_cost
from nas.architecture.cell import Cell, Genotype
from nas.architecture.cost import GenotypeCost
from nas.architecture.repair import cheapest, repair
from nas.architecture.top_genotypes import top_genotypes
from nas.spaces.base import Space
from nas.utils.errors import NasError

log = logging.getLogger(__name__)

MAX_ENUMERATED = 50_000
"""Genotypes of an indexed space that are enumerated."""
MAX_RANKED = 200
"""Genotypes that are examined in the order of their scores before one is repaired."""
ROUNDING = 1e-6
"""Relative rounding error of a sum over links."""
DEVIATION = 1e-5
"""Smallest relative difference at which a cost is not a sum over links."""
VERIFIED = 32
"""Genotypes that exceed a limit by the sum over links, and whose cost is compared with the sum."""
FEW = 32
"""Sampled genotypes of a space that does not admit all genotypes of its cells."""
DESCENTS = 2
"""Sampled genotypes from which the lowest cost is searched."""
MAX_TRIES = 10_000
"""Samples in a row that may exceed a limit."""


class Limit(NamedTuple):
    """Upper bound of a cost."""

    cost: GenotypeCost
    value: float

    def __str__(self) -> str:
        return f"budget.{self.cost.name}={self.value:g}"


class Limits:
    """Upper bounds of the costs of genotypes of a space, all of which hold at the same time.

    Costs that are sums over links are known for all genotypes after a few counts, which makes the best genotype exact.
    Whether a cost is such a sum is checked on random genotypes, on the first ``VERIFIED`` that exceed a limit by the
    sum, and on all within the limits. After a deviation the cost is not treated as a sum. Other costs are enumerated
    if the space is indexed (NAS-Bench-201, sizes of NATS-Bench). In other spaces, genotypes are examined in the order
    of their scores. Then the best one is changed node by node at the lowest loss of score per saved cost. In a space
    that does not admit all genotypes of its cells (NAS-Bench-101), this starts from sampled genotypes, and no cost is
    treated as a sum.

    Args:
        space: search space.
        limits: the upper bounds, at least one.

    Attributes:
        feasible: a genotype within the limits.

    Raises:
        NasError: if no genotype is within the limits; the message names the lowest cost.
    """

    def __init__(self, space: Space, limits: Sequence[Limit]) -> None:
        self.space = space
        self.limits = tuple(limits)
        self._no_sums: set[int] = set()
        self._verified = 0
        self.feasible = next(filter(self.allows, self._samples), None)
        if self.feasible is None:
            self._check_least()
            self.feasible = self.best(self._no_scores()) or self._cheapest_allowed()
        if self.feasible is None:
            raise NasError(f"{' '.join(map(str, limits))}: no genotype of space={space.name} meets all. Increase one.")

    def _check_least(self) -> None:
        for limit in self.limits:
            least, exact = self._least(limit)
            if limit.value < least * (1 - ROUNDING):
                relation = "has at least" if exact else "was found with fewer than"
                genotypes = "every genotype" if exact else "no genotype"
                raise NasError(
                    f"{limit}: {genotypes} of space={self.space.name} {relation} {_number(least)} {limit.cost.unit}. "
                    "Increase it."
                )

    @property
    def fitted(self) -> tuple[AdditiveCost | None, ...]:
        """Each cost as a sum over links, None if it is no such sum."""
        return tuple(None if number in self._no_sums else fit for number, fit in enumerate(self._fits))

    @cached_property
    def _fits(self) -> tuple[AdditiveCost | None, ...]:
        return tuple(_fit(self.space, one.cost) for one in self.limits)

    @property
    def additive(self) -> tuple[AdditiveCost, ...] | None:
        """The costs as sums over links, None if one of them is no such sum."""
        additive = tuple(cost for cost in self.fitted if cost is not None)
        return additive if len(additive) == len(self.limits) else None

    @property
    def relaxed(self) -> tuple[AdditiveCost, ...]:
        """The costs as sums over links, approximately those that are no such sum."""
        return tuple(
            _approximate(self.space, limit.cost) if cost is None else cost
            for limit, cost in zip(self.limits, self.fitted, strict=True)
        )

    def allows(self, genotype: Genotype) -> bool:
        """Return whether the space admits a genotype and all costs are within their limits."""
        if self._excess(genotype) > ROUNDING:
            if self._verified >= VERIFIED or not self.space.admits(genotype):
                return False  # without counting the network, which takes much longer
            self._verified += 1
        return self._holds(genotype)

    def _holds(self, genotype: Genotype) -> bool:
        """Return whether all costs are within their limits; a cost that differs from its sum is then no longer one."""
        values = [limit.cost(genotype) for limit in self.limits]
        for number, (limit, fit, value) in enumerate(zip(self.limits, self.fitted, values, strict=True)):
            if fit is None or not fit.covers(genotype):
                continue
            if abs(fit(genotype) - value) > DEVIATION * max(abs(value), limit.value):
                self._no_sums.add(number)
                log.info(
                    "budget         %s is not a sum over links: genotypes are examined one by one", limit.cost.name
                )
        return all(value <= limit.value for limit, value in zip(self.limits, values, strict=True))

    def report(self, genotype: Genotype) -> dict[str, dict[str, Any]]:
        """Return the cost of a genotype, its limit and the conditions of its measurement, by the name of the cost."""
        return {
            one.cost.name: {
                "value": _plain(one.cost(genotype)),
                "limit": _plain(one.value),
                **getattr(one.cost, "conditions", {}),
            }
            for one in self.limits
        }

    def best(self, scores: Mapping[str, Tensor], cells: Mapping[str, Cell] | None = None) -> Genotype | None:
        """Return the genotype within the limits whose links have the highest sum of scores, None if none is found.

        Args:
            scores: [edges, ops] by cell type.
            cells: the cells with fewer candidates; None: those of the space.
        """
        cells = self.space.cells if cells is None else cells
        best = self._best(scores, cells)
        known = self.feasible is not None and _is_within(self.feasible, cells)
        return self.feasible if best is None and known else best

    def _best(self, scores: Mapping[str, Tensor], cells: Mapping[str, Cell]) -> Genotype | None:
        space = self.space
        for margin in (0.0, ROUNDING):
            if self.additive is None:
                break
            bounds = [limit.value * (1 - margin) for limit in self.limits]
            best = best_within(cells, scores, self.additive, bounds)
            if best is None or self._holds(Genotype(space.notation, best)):
                return None if best is None else Genotype(space.notation, best)
        if space.size is not None and space.size <= MAX_ENUMERATED:
            return self._best_of_all(scores, cells)
        for choice in top_genotypes(cells, scores, MAX_RANKED):
            if self.allows(genotype := Genotype(space.notation, choice)):
                return genotype
        return repair(cells, scores, space.notation, lambda genotype: self._excess(genotype) - ROUNDING)

    def sample(self, rng: random.Random) -> Genotype:
        """Sample uniformly from the genotypes within the limits.

        Raises:
            NasError: after ``MAX_TRIES`` genotypes that are not.
        """
        for _ in range(MAX_TRIES):
            if self.allows(genotype := self.space.sample(rng)):
                return genotype
        raise self.too_few()

    def too_few(self) -> NasError:
        """Return the error of a search that finds no genotype within the limits by sampling."""
        least = ", ".join(f"{_number(self._least(one)[0])} {one.cost.unit}" for one in self.limits)
        return NasError(
            f"{' '.join(map(str, self.limits))}: {MAX_TRIES} sampled genotypes of space={self.space.name} in a row "
            f"exceed it. The lowest cost is {least}. Increase it."
        )

    def _best_of_all(self, scores: Mapping[str, Tensor], cells: Mapping[str, Cell]) -> Genotype | None:
        tables = {name: table.tolist() for name, table in scores.items()}
        rows = {
            name: {
                (op, *edge): table[e][cells[name].ops.index(op)]
                for e, edge in enumerate(cells[name].edges)
                for op in cells[name].choices(e)
            }
            for name, table in tables.items()
        }

        def total(genotype: Genotype) -> float:
            links = [(name, link) for name, cell in genotype.cells.items() for link in cell.links]
            return sum(rows[name].get(link, float("-inf")) for name, link in links)

        best = max(self._allowed, key=total, default=None)
        return None if best is None or total(best) == float("-inf") else best

    @cached_property
    def _allowed(self) -> list[Genotype]:
        """The genotypes of an indexed space that are within the limits."""
        return [one for one in map(self.space.from_index, range(self.space.size or 0)) if self.allows(one)]

    def _excess(self, genotype: Genotype) -> float:
        """Return the largest relative excess over a limit: infinite outside the space, tiny within all limits."""
        if not self.space.admits(genotype):
            return float("inf")
        excess = -1.0
        for limit, fitted in zip(self.limits, self.fitted, strict=True):
            cost = limit.cost if fitted is None or not fitted.covers(genotype) else fitted
            excess = max(excess, cost(genotype) / limit.value - 1)
        return excess

    def _least(self, limit: Limit) -> tuple[float, bool]:
        """Return the lowest cost, and whether it is that of all genotypes or only of those that were examined."""
        space, fitted = self.space, self.fitted[self.limits.index(limit)]
        if fitted is not None:
            return least_cost(space.cells, fitted), True
        if space.size is not None and space.size <= MAX_ENUMERATED:
            return min(map(limit.cost, map(space.from_index, range(space.size)))), True
        return limit.cost(self._cheapest(limit.cost)), False

    @cached_property
    def _samples(self) -> list[Genotype]:
        """A few genotypes of a space that does not admit all genotypes of its cells, none of another space."""
        rng = random.Random(0)
        return [self.space.sample(rng) for _ in range(FEW)] if _is_restricted(self.space) else []

    def _cheapest(self, cost: Callable[[Genotype], float]) -> Genotype:
        """Return a genotype of the space whose cost no change of one or two nodes lowers."""
        starts = sorted(self._samples, key=cost)[:DESCENTS]
        return cheapest(
            self.space.cells,
            self.space.notation,
            lambda genotype: cost(genotype) if self.space.admits(genotype) else float("inf"),
            starts,
        )

    def _cheapest_allowed(self) -> Genotype | None:
        """Return the genotype of the least excess if it is within the limits."""
        genotype = self._cheapest(self._excess)
        return genotype if self.allows(genotype) else None

    def _no_scores(self) -> dict[str, Tensor]:
        return {name: torch.zeros(len(cell.edges), len(cell.ops)) for name, cell in self.space.cells.items()}


def relaxed_cost(space: Space, cost: GenotypeCost) -> AdditiveCost:
    """Return a cost as a sum over links, approximately if it is no such sum."""
    fitted = _fit(space, cost)
    return _approximate(space, cost) if fitted is None else fitted


def _fit(space: Space, cost: GenotypeCost) -> AdditiveCost | None:
    return None if _is_restricted(space) else fit_additive_cost(cost, space.cells, space.notation, space.cost_key)


def _approximate(space: Space, cost: GenotypeCost) -> AdditiveCost:
    return approximate_additive_cost(cost, space.cells, space.sample)


def _is_restricted(space: Space) -> bool:
    """Return whether a space does not admit all genotypes of its cells."""
    return type(space).admits is not Space.admits


def _is_within(genotype: Genotype, cells: Mapping[str, Cell]) -> bool:
    """Return whether all links of a genotype are candidates of cells."""
    return all(
        link.op in cell.choices(cell.edges.index((link.source, link.target)))
        for name, cell in cells.items()
        for link in genotype.cells[name].links
    )


def _plain(value: float) -> Any:
    return int(value) if float(value).is_integer() else float(value)


def _number(value: float) -> str:
    return f"{round(value):,}" if value >= 1000 or float(value).is_integer() else f"{value:.4g}"
