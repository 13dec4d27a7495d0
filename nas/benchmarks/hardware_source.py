"""Costs of HW-NAS-Bench by name, such as ``hw_nas_bench.pixel3_latency``, from a data directory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nas.benchmarks.hw_nas_bench import (
    DATASETS,
    PREFIX,
    RELEASE,
    UNITS,
    HardwareCost,
    HardwareTable,
    find_hardware_table,
)
from nas.spaces.base import Space
from nas.spaces.nas_bench_201.notation import NOTATION
from nas.utils.errors import NasError, unknown

COSTS = tuple(f"{PREFIX}{metric}" for metric, unit in UNITS.items() if unit in ("ms", "mJ"))
"""Names of the costs: all metrics except the arithmetic intensity."""


@dataclass(frozen=True)
class HardwareSource:
    """Location of HW-NAS-Bench, and the data set whose measurements count.

    Args:
        root: data directory of the converted file.
        dataset: cifar10, cifar100 or imagenet16_120.
    """

    root: str | Path = "data"
    dataset: str = "cifar10"

    def costs(self, space: Space, names: Iterable[str], option: str) -> dict[str, HardwareCost]:
        """Return costs of the genotypes of a space by name.

        Args:
            space: search space.
            names: names from ``COSTS``.
            option: option in messages.

        Raises:
            NasError: if the file is missing or lacks a genotype of the space, or a name, the space or the data set is
                unknown.
        """
        wanted = list(names)
        for name in wanted:
            if name not in COSTS:
                raise unknown(f"{option}: cost of HW-NAS-Bench", name, COSTS)
        if not wanted:
            return {}
        if space.notation != NOTATION:
            raise NasError(f"{option}: HW-NAS-Bench has no networks of space={space.name}. Use space=nas_bench_201.")
        if self.dataset not in DATASETS.values():
            raise NasError(
                f"{option}: HW-NAS-Bench has {', '.join(DATASETS.values())}, and no {self.dataset}. Set "
                "budget.hw_nas_bench.dataset=cifar10."
            )
        table = self._table(space, option)
        return {name: HardwareCost(table, self.dataset, name.removeprefix(PREFIX)) for name in wanted}

    def _table(self, space: Space, option: str) -> HardwareTable:
        table = find_hardware_table(self.root)
        if table is None:
            raise NasError(
                f"{option}: no HW-NAS-Bench in {self.root}. Download {RELEASE}.pickle, run python -m nas convert "
                f"{RELEASE}.pickle {self.root}/hw_nas_bench.parquet, or set paths.benchmark."
            )
        missing = 0 if space.size is None else sum(not table.has(space.from_index(i)) for i in range(space.size))
        if missing:
            raise NasError(
                f"{option}: {table.path} lacks {missing:,} of the {space.size:,} genotypes of space={space.name}. "
                "Convert the complete file."
            )
        return table
