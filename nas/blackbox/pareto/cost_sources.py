"""Sources of the costs of genotypes that are objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.architecture.cost import GenotypeCost
from nas.benchmarks.hardware_source import COSTS, HardwareSource
from nas.latency.cost import latency_cost
from nas.spaces.base import Space
from nas.spaces.network_cost import network_costs
from nas.utils.errors import NasError, unknown

LATENCY = "latency_ms"


@dataclass(frozen=True)
class CostSources:
    """Sources of ``macs`` and ``parameters``, of ``latency_ms``, and of costs such as ``hw_nas_bench.pixel3_latency``.

    Args:
        network: Options of the final network whose costs count; others have their published values.
        latency_table: File of ``nas-search latency``, for ``latency_ms``.
        hw_nas_bench: Location of HW-NAS-Bench, for its costs.
    """

    network: Mapping[str, Any] | None = None
    latency_table: str | Path | None = None
    hw_nas_bench: HardwareSource = field(default_factory=HardwareSource)

    def costs(self, space: Space, names: Sequence[str], option: str) -> dict[str, GenotypeCost]:
        """Return costs of the genotypes of a space by name.

        Args:
            space: Search space.
            names: Names of the costs.
            option: Option in messages.

        Raises:
            NasError: If a name is unknown, or the latency table or HW-NAS-Bench is missing.
        """
        found: dict[str, GenotypeCost] = {cost.name: cost for cost in network_costs(space, **(self.network or {}))}
        if LATENCY in names:
            if self.latency_table is None:
                raise NasError(
                    f"{option}: {LATENCY} needs a table. Run nas-search latency space={space.name}, and set "
                    "budget.latency_table=FILE."
                )
            found[LATENCY] = latency_cost(space, self.latency_table, self.network)
        for name in names:
            if name not in (LATENCY, *found, *COSTS):
                raise unknown("objective", name, ["value", *found, LATENCY, *COSTS])
        found |= self.hw_nas_bench.costs(space, [name for name in names if name in COSTS], option)
        return {name: found[name] for name in names}
