"""Limits on the costs of the final network, from the keys ``budget`` of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from nas.architecture.cost import GenotypeCost
from nas.cli.checks.options import check_network
from nas.searches.base import Search
from nas.spaces.base import Space
from nas.spaces.limits import Limit, Limits
from nas.spaces.network_cost import network_costs
from nas.utils.ranges import POSITIVE, check


def apply_budget(cfg: DictConfig, search: Search) -> None:
    """Give a search the limits of the configuration of its run, if there are any.

    Raises:
        NasError: if a limit is not positive, no genotype is within the limits, or an option of the network is unknown.
    """
    options = cfg.get("budget")
    if options is None:
        return
    given = {name: cost for name, cost in _costs(options, search.space).items() if options.get(name) is not None}
    for name in given:
        check(f"budget.{name}", options[name], POSITIVE)
    check("budget.multiplier_lr", options.multiplier_lr, POSITIVE)
    if given:
        limits = Limits(search.space, [Limit(cost, float(options[name])) for name, cost in given.items()])
        search.use_limits(limits, float(options.multiplier_lr))


def network_of_budget(cfg: DictConfig) -> dict[str, Any]:
    """Return the options of the final network whose costs are limited; others have their published values."""
    options = cfg.get("budget")
    return {} if options is None else _network(options)


def _network(options: DictConfig) -> dict[str, Any]:
    given = options.get("network")
    found: Any = {} if given is None else OmegaConf.to_container(given, resolve=True)
    return {str(name): value for name, value in found.items() if value is not None}


def _costs(options: DictConfig, space: Space) -> Mapping[str, GenotypeCost]:
    """Return the costs that may be limited, by the name of their key."""
    network = _network(options)
    check_network("budget.network", space, network)
    return {cost.name: cost for cost in network_costs(space, **network)}
