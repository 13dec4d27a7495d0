"""Ranking and pruning rounds of TE-NAS against the authors' program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nas.proxies.linear_regions import LinearRegions
from nas.proxies.ntk import Ntk
from nas.proxies.proxy import Batch, Proxy
from nas.searches.pruning.measure import MeasurementKey, ProxyMeasurement
from nas.searches.pruning.ranking import (
    Candidate,
    CandidateScores,
    nodes_over_limit,
    prune_ops,
    pruning_order,
    rank_changes,
    relative_change,
    removable_ops,
    select_pruned,
    tie_sorted,
)
from nas.searches.pruning.rounds import RoundProgress
from nas.searches.pruning.search import PruningSearch
from nas.spaces.base import Network, Space
from tests.support.compose_tools import composed
from tests.support.golden_tools import Golden, assert_golden
from tests.support.tenas_tools import alive, probe, tenas_space

pytestmark = pytest.mark.data
PROXIES: list[Proxy] = [Ntk(), LinearRegions()]
TABLES = ("kappa_change64", "regions_change64")


class Changes:
    """Tables of the golden, filled with the computed values for comparison."""

    def __init__(self, stored: Golden) -> None:
        self.stored = stored
        self.space = tenas_space(stored)
        self.kinds = list(self.space.cells)
        self.found: dict[str, NDArray[Any]] = {}
        for name in (*TABLES, "kappa_rank", "regions_rank"):
            like = stored.arrays[name]
            self.found[name] = np.full_like(like, -9999 if name in TABLES else -1)
        self.order: list[list[int]] = []

    def place(self, candidate: Candidate) -> tuple[int, int, int]:
        return self.kinds.index(candidate.cell), candidate.edge, candidate.op

    def add(self, group: list[Candidate], found: list[CandidateScores]) -> None:
        values = [
            [relative_change(m.before[i], m.after[i], proxy.higher_is_better) for m in found]
            for i, proxy in enumerate(PROXIES)
        ]
        for table, proxy, column in zip(("kappa", "regions"), PROXIES, values, strict=True):
            ranks = rank_changes(column, proxy.higher_is_better)[1]
            for candidate, value, rank in zip(group, column, ranks, strict=True):
                self.found[f"{table}_change64"][self.place(candidate)] = value
                self.found[f"{table}_rank"][self.place(candidate)] = rank
        self.order += [[*self.place(group[i])] for i in pruning_order(values, [False, True])]

    def compare(self, left: dict[str, list[list[bool]]]) -> None:
        for name, values in self.found.items():
            assert_golden(self.stored, name, values)
        assert self.order == self.stored.arrays["order"][:, :3].tolist()
        after = [[[0.0 if on else -1000.0 for on in row] for row in left[kind]] for kind in self.kinds]
        assert_golden(self.stored, "alphas_after", np.array(after, dtype=np.float32))


def run_round(
    stored: Golden, measure: Callable[[int, dict[str, Any], Candidate], tuple[list[float], list[float]]]
) -> None:
    """Run one call of the authors' pruning function, with the measurements that ``measure`` returns per proxy."""
    tables = Changes(stored)
    given = stored.entry["constructor"]
    left = alive(tables.space, stored.tensor("alphas_before"))
    keep = given["num_per_group"]
    groups = [removable_ops(left)] if keep is None else nodes_over_limit(tables.space.cells, left)
    assert groups and all(groups)
    for group in groups:
        found = []
        for candidate in group:
            pairs = [measure(i, left, candidate) for i in range(len(PROXIES))]
            found.append(CandidateScores([before for before, _ in pairs], [after for _, after in pairs]))
        tables.add(group, found)
        pruned = select_pruned(group, found, PROXIES, left, keep, given["prune_number"])
        if "choices_in_order" in stored.arrays:
            assert [list(tables.place(c)) for c in pruned] == stored.arrays["choices_in_order"].tolist()
        left = prune_ops(left, pruned)
    tables.compare(left)


@pytest.mark.parametrize("file", ["tenas_ranking_nb201", "tenas_ranking_darts", "tenas_ranking_darts_groups"])
def test_select_pruned_agrees_with_the_reference_tables(golden: Callable[[str], Golden], file: str) -> None:
    stored = golden(file)
    kinds = list(tenas_space(stored).cells)

    def measure(proxy: int, left: dict[str, Any], c: Candidate) -> tuple[list[float], list[float]]:
        name = ("kappa", "regions")[proxy]
        place = kinds.index(c.cell), c.edge, c.op
        before, after = (stored.arrays[f"{name}_{which}64"][place].tolist() for which in ("origin", "pruned"))
        return before, after

    run_round(stored, measure)


@pytest.mark.parametrize("file", ["tenas_ranking_nb201", "tenas_ranking_darts"])
def test_tie_order_of_the_method_prunes_as_the_authors_whatever_the_order_of_the_space(
    golden: Callable[[str], Golden], file: str
) -> None:
    """Rank the stored changes with the ops of the space in reverse, which breaks ties in the other direction."""
    stored = golden(file)
    theirs = tenas_space(stored)
    names = next(iter(theirs.cells.values())).ops
    backwards = {kind: replace(cell, ops=names[::-1]) for kind, cell in theirs.cells.items()}
    left = {kind: [row[::-1] for row in rows] for kind, rows in alive(theirs, stored.tensor("alphas_before")).items()}
    with composed("search", "method=te_nas") as cfg:
        order = list(cfg.method.tie_order)
    group = tie_sorted(removable_ops(left), backwards, order)
    found = []
    for candidate in group:
        place = list(theirs.cells).index(candidate.cell), candidate.edge, names.index(names[::-1][candidate.op])
        pairs = [
            [stored.arrays[f"{proxy}_{which}64"][place].tolist() for which in ("origin", "pruned")]
            for proxy in ("kappa", "regions")
        ]
        found.append(CandidateScores([before for before, _ in pairs], [after for _, after in pairs]))
    pruned = select_pruned(group, found, PROXIES, left, None, stored.entry["constructor"]["prune_number"])
    chosen = [[list(theirs.cells).index(c.cell), c.edge, names.index(names[::-1][c.op])] for c in pruned]
    assert chosen == stored.arrays["choices_in_order"].tolist()


class StoredMeasurement(ProxyMeasurement):
    """A measurement with the weights and inputs of the golden for every key."""

    def __init__(self, stored: Golden, space: Space, proxy: Proxy) -> None:
        super().__init__(space, proxy, None, 0, "paper", True, 0)  # type: ignore[arg-type]
        kind = proxy.probe
        assert kind is not None
        self.stored_network = probe(stored, kind, "state/" if kind == "ntk" else "thin_state/")
        x = stored.tensor("x" if kind == "ntk" else "x_regions", torch.float64)
        x = x if kind == "ntk" else x.flatten(0, 1)
        self.stored_batch = x, torch.zeros(len(x), dtype=torch.int64)

    def network(self, key: MeasurementKey) -> Network:
        return self.stored_network

    def batch(self, key: MeasurementKey) -> Batch:
        return self.stored_batch


@pytest.mark.parametrize("file", ["tenas_round_nb201", "tenas_round_darts_groups"])
def test_proxy_measurement_agrees_with_the_reference_round(golden: Callable[[str], Golden], file: str) -> None:
    """Measure real networks in float64, including the stale reference of the round of edges."""
    stored = golden(file)
    space = tenas_space(stored)
    regions = LinearRegions(chunk=stored.entry["case"]["rbatch"])
    search: Any = PruningSearch(space, [Ntk(), regions], repeats=1)
    search._measurements = [StoredMeasurement(stored, space, proxy) for proxy in search.proxies]
    search._progress = RoundProgress(1, 10_000)
    kinds = list(space.cells)
    search._alive_at_start = alive(space, stored.tensor("alphas_before"))
    seen = {
        name: np.full_like(stored.arrays[name], -9999)
        for name in stored.arrays
        if name.endswith(("origin64", "pruned64"))
    }
    scores: dict[Candidate, CandidateScores] = {}

    def measure(proxy: int, left: dict[str, Any], c: Candidate) -> tuple[list[float], list[float]]:
        for name, rows in left.items():
            search.masks.restrict(name, torch.tensor(rows))
        if c not in scores:
            scores[c] = search._measure(c, 0)
        ((before,), (after,)) = scores[c].before[proxy], scores[c].after[proxy]
        for which, value in (("origin64", before), ("pruned64", after)):
            seen[f"{('kappa', 'regions')[proxy]}_{which}"][kinds.index(c.cell), c.edge, c.op] = value
        return [before], [after]

    run_round(stored, measure)
    for name, values in seen.items():
        exact = name.startswith("kappa")
        stored_values = stored.arrays[name]
        np.testing.assert_allclose(values, stored_values if exact else stored_values.round(), rtol=1e-6)
