"""Measurements of a pruning search: initialization of the networks, and the reference of each proxy."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nas.proxies.linear_regions import LinearRegions
from nas.proxies.naswot import Naswot
from nas.proxies.ntk import Ntk
from nas.proxies.proxy import Proxy
from nas.proxies.pruned import Alive
from nas.searches.pruning.measure import Init, MeasurementKey, ProxyMeasurement
from nas.searches.pruning.ranking import nodes_over_limit
from nas.searches.pruning.rounds import RoundProgress
from nas.searches.pruning.search import PruningSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201

KEY = MeasurementKey(0, 0, 0)


def measurement(proxy: Proxy, init: Init = "paper") -> ProxyMeasurement:
    space = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1)
    return ProxyMeasurement(space, proxy, None, 0, init, True, 4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("proxy", "mode"), [(Ntk(), "fan_out"), (LinearRegions(), "fan_in"), (Naswot(), "fan_in")], ids=lambda v: str(v)[:9]
)
def test_paper_initialization_is_kaiming_by_fan_out_for_ntk_alone(
    proxy: Proxy, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    kaiming = nn.init.kaiming_normal_

    def record(weight: torch.Tensor, mode: str, nonlinearity: str) -> torch.Tensor:
        seen.append((mode, nonlinearity))
        return kaiming(weight, mode=mode, nonlinearity=nonlinearity)  # type: ignore[arg-type]

    monkeypatch.setattr(nn.init, "kaiming_normal_", record)
    network = measurement(proxy).network(KEY)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert seen == [(mode, "relu")] * len(layers)
    assert all(layer.bias is None or not layer.bias.any() for layer in layers)
    seen.clear()
    measurement(proxy, "reference_code").network(KEY)
    assert not seen, "the authors' program keeps the default initialization"


def test_repeats_have_new_weights_with_the_paper_initialization_alone() -> None:
    def first(init: Init, repeat: int) -> torch.Tensor:
        return next(measurement(Ntk(), init).network(MeasurementKey(0, 0, repeat)).parameters()).detach()

    assert not torch.equal(first("paper", 0), first("paper", 1))
    assert torch.equal(first("reference_code", 0), first("reference_code", 1))


class CountOps:
    """A measurement in place of a proxy's: the number of remaining ops."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy

    def __call__(self, alive: Alive, key: MeasurementKey) -> float:
        return float(sum(sum(row) for rows in alive.values() for row in rows))

    reference = __call__


def test_reference_of_ntk_alone_is_stale_while_edges_are_pruned() -> None:
    """Within a round of edges, later nodes see a smaller supernet; the reference of ntk stays that of the start."""
    space = Darts((3, 8, 8), 10, channels=2, layers=3, ops=["skip_connect"])
    search: Any = PruningSearch(space, [Ntk(), LinearRegions()], repeats=2)
    search._measurements = [CountOps(proxy) for proxy in search.proxies]
    search._progress = RoundProgress(1, 100)
    groups = nodes_over_limit(space.cells, search.alive())
    start = 2 * 14
    for pruned, group in enumerate(groups):
        scores = search._measure(group[0], 0)
        assert scores.before == [[start] * 2, [start - pruned] * 2], "ntk, linear regions"
        assert scores.after == [[start - pruned - 1] * 2] * 2
        keep = torch.ones(14, 1, dtype=torch.bool)
        keep[group[0].edge] = False
        search.masks.restrict(group[0].cell, keep)
    search._begin_round()
    assert len(groups) == 6
    assert search._measure(group[1], 0).before == [[start - 6] * 2] * 2, "a new round has a new reference"


def test_reference_is_never_stale_if_no_proxy_is_named() -> None:
    space = Darts((3, 8, 8), 10, channels=2, layers=3, ops=["skip_connect"])
    search: Any = PruningSearch(space, [Ntk(), LinearRegions()], repeats=1, stale_reference=[])
    search._measurements = [CountOps(proxy) for proxy in search.proxies]
    search._progress = RoundProgress(1, 100)
    search.masks.restrict("normal", torch.arange(14)[:, None] != 3)
    group = nodes_over_limit(space.cells, search.alive())[0]
    assert search._measure(group[0], 0).before == [[27], [27]]
