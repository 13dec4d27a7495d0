"""nas.searches.pruning.within_limits: pruning leaves a genotype within the limits."""

from __future__ import annotations

import random

import pytest

from nas.architecture.cell import NONE
from nas.searches.pruning.ranking import Candidate, first_of_each_edge, prune_ops, removable_ops
from nas.searches.pruning.within_limits import keeps_within
from nas.spaces.limits import Limit, Limits
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.network_cost import network_costs
from nas.utils.errors import NasError
from tests.support.space_tools import same_op_everywhere

SPACE = NasBench201((3, 8, 8), 10)
_, MACS = network_costs(SPACE)
LARGEST = MACS(same_op_everywhere(SPACE, "nor_conv_3x3"))
OPS = SPACE.cells["cell"].ops


def test_random_orders_of_pruning_end_within_the_limit() -> None:
    limits = Limits(SPACE, [Limit(MACS, LARGEST / 2)])
    for seed in range(5):
        rng = random.Random(seed)
        alive = {"cell": [[op != NONE for op in OPS] for _ in range(6)]}
        while removable := removable_ops(alive):
            # convolutions of 3x3 are pruned last, unless a limit forbids it
            order = sorted(range(len(removable)), key=lambda i: (OPS[removable[i].op] == "nor_conv_3x3", rng.random()))
            pruned = first_of_each_edge(removable, order, alive, 1, keeps_within(limits, alive))
            assert len({candidate.edge for candidate in pruned}) == len({one.edge for one in removable})
            alive = prune_ops(alive, pruned)
        ops = [OPS[row.index(True)] for row in alive["cell"]]
        genotype = SPACE.parse("|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*ops))
        assert LARGEST / 4 < MACS(genotype) <= LARGEST / 2


def test_without_limits_everything_may_be_pruned() -> None:
    assert keeps_within(None, {"cell": [[True] * 5] * 6})([Candidate("cell", 0, 0)])


def test_remaining_ops_above_the_limit_are_refused() -> None:
    limits = Limits(SPACE, [Limit(MACS, LARGEST / 2)])
    with pytest.raises(NasError, match="^budget.macs=.*: te_nas never selects the op none, and all other"):
        keeps_within(limits, {"cell": [[op == "nor_conv_3x3" for op in OPS]] * 6})
