"""Single paths whose multiply-adds are sampled uniformly (Single Path One-Shot)."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence

from nas.architecture.cell import Architecture, Cell, Genotype, one_hot_weights, sample_cell
from nas.architecture.masks import Masks
from nas.relaxations.uniform import Uniform
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, NOT_NEGATIVE, check_ranges


@check_ranges(bins=NOT_NEGATIVE, tries=COUNT)
class UniformMacs(Uniform):
    """Uniform paths within a uniformly sampled interval of multiply-adds, as in the code of Single Path One-Shot.

    Uniform genotypes are sampled until one falls into the interval. After ``tries`` attempts the next genotype is used,
    whatever its cost. Cheap and expensive paths are thus trained more often than by ``Uniform``.

    Args:
        cells: the search space.
        bins: ascending bounds of the intervals, in multiply-adds of the whole network for one image.
        tries: attempts per sample.

    Raises:
        NasError: if there are fewer than two bounds, or they do not ascend.
    """

    def __init__(self, cells: Mapping[str, Cell], bins: Sequence[float], tries: int = 500) -> None:
        super().__init__(cells)
        self.bins = [float(bound) for bound in bins]
        if len(self.bins) < 2 or self.bins != sorted(set(self.bins)):
            raise NasError(f"method.relaxation.bins={list(bins)}: use at least two bounds in ascending order.")
        self.tries = tries
        self._macs: Callable[[Genotype], int] | None = None
        self._notation = ""

    def prepare(self, notation: str, macs: Callable[[Genotype], int] | None) -> None:
        """Raise NasError if the space has no table of multiply-adds."""
        if macs is None:
            raise NasError(
                "method.relaxation.bins: this space has no table of multiply-adds per op. Use space=shufflenet or "
                "mobile, or the relaxation Uniform."
            )
        self._notation, self._macs = notation, macs

    def sample(self, masks: Masks) -> Architecture:
        assert self._macs is not None, "prepare() is called by the search"
        tables = {name: cell.masked(masks.lists(name)) for name, cell in self.cells.items()}
        rng = self.python_generator()
        number = rng.randrange(len(self.bins) - 1)
        for _ in range(self.tries):
            cells = {name: sample_cell(table, rng) for name, table in tables.items()}
            if self._bin(self._macs(Genotype(self._notation, cells))) == number:
                break
        else:
            cells = {name: sample_cell(table, rng) for name, table in tables.items()}
        return {name: one_hot_weights(tables[name], cells[name], like=self.alpha[name]) for name in cells}

    def _bin(self, macs: float) -> int:
        """Return the number of an interval, its upper bound included; -1 outside of all."""
        if macs == self.bins[0]:
            return 0
        number = bisect.bisect_left(self.bins, macs) - 1
        return number if number < len(self.bins) - 1 else -1
