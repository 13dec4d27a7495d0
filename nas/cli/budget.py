"""Limits and targets of the costs of the final network, from the keys ``budget`` of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from nas.architecture.cost import GenotypeCost
from nas.benchmarks.hardware_source import HardwareSource
from nas.benchmarks.hw_nas_bench import PREFIX
from nas.cli.checks.options import check_network
from nas.latency.cost import latency_cost
from nas.searches.base import Search
from nas.spaces.base import Space
from nas.spaces.limits import Limit, Limits
from nas.spaces.network_cost import network_costs
from nas.utils.errors import NasError

LATENCY = "latency_ms"


def apply_budget(cfg: DictConfig, search: Search) -> None:
    """Apply the limits of the configuration to a search, and set the cost of its cost target.

    Raises:
        NasError: if no genotype is within the limits, or an option of the network is unknown.
    """
    options = cfg.get("budget")
    if options is None:
        return
    costs = _costs(options, search.space)
    if search.cost_target is not None:
        search.cost_target.use(search.space, _cost_of_target(search.cost_target.cost, costs, search.space))
    given = {name: cost for name, cost in costs.items() if options.get(name) is not None}
    if options.multiplier_lr is None:
        raise NasError("budget.multiplier_lr=null: a number is required. Set budget.multiplier_lr=0.01.")
    limits = [Limit(cost, float(options[name])) for name, cost in given.items()]
    limits += _hardware_limits(cfg, search.space)
    if limits:
        search.use_limits(Limits(search.space, limits), float(options.multiplier_lr))


def _hardware_limits(cfg: DictConfig, space: Space) -> list[Limit]:
    """Return the limits on costs of HW-NAS-Bench."""
    options = cfg.budget.get("hw_nas_bench")
    if options is None:
        return []
    limits = {f"{PREFIX}{key}": value for key, value in options.items() if key != "dataset" and value is not None}
    if not limits:
        return []
    source = HardwareSource(cfg.paths.benchmark, options.dataset)
    costs = source.costs(space, limits, " ".join(f"budget.{name}={value}" for name, value in limits.items()))
    return [Limit(costs[name], float(value)) for name, value in limits.items()]


def _cost_of_target(name: str, costs: Mapping[str, GenotypeCost], space: Space) -> GenotypeCost:
    if name not in (*costs, LATENCY):
        raise NasError(f"method.arch_step.cost_target.cost={name}: unknown. Use {', '.join(costs)} or {LATENCY}.")
    if name not in costs:
        raise NasError(
            f"method.arch_step.cost_target.cost={name}: no latency table. Run nas-search latency space={space.name}, "
            "and set budget.latency_table=FILE."
        )
    return costs[name]


def network_of_budget(cfg: DictConfig) -> dict[str, Any]:
    """Return the options of the final network whose costs are limited; others have their published values."""
    options = cfg.get("budget")
    return {} if options is None else _network(options)


def _network(options: DictConfig) -> dict[str, Any]:
    given = options.get("network")
    network: Any = {} if given is None else OmegaConf.to_container(given, resolve=True)
    return {str(name): value for name, value in network.items() if value is not None}


def _costs(options: DictConfig, space: Space) -> Mapping[str, GenotypeCost]:
    """Return the costs that may be limited, by the name of their key."""
    network = _network(options)
    check_network("budget.network", space, network)
    costs: list[GenotypeCost] = [*network_costs(space, **network)]
    table, latency = options.get("latency_table"), options.get("latency_ms")
    if latency is not None and table is None:
        raise NasError(
            f"budget.latency_ms={latency}: no latency table. Run nas-search latency space={space.name}, and set "
            "budget.latency_table=FILE."
        )
    if table is not None:
        costs.append(latency_cost(space, table, network))
    return {cost.name: cost for cost in costs}
