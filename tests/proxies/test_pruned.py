"""A pruned supernet: the remaining ops of an edge have equal weights."""

from __future__ import annotations

import math

import pytest
import torch

from nas.proxies.pruned import PrunedSupernet, equal_weights
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.compose_tools import CONF
from tests.support.proxy_tools import load_proxy

RANKED = sorted(path.stem for path in (CONF / "proxy").glob("*.yaml") if path.stem != "combined")


def test_remaining_ops_have_equal_weights_of_sum_one() -> None:
    rows = [[True, True, False], [False, True, False], [False, False, False], [True, True, True]]
    weights = equal_weights({"cell": rows}, torch.zeros(()))["cell"]
    third = pytest.approx(1 / 3)
    assert weights.op.tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 0], [third, third, third]]
    assert weights.active == rows and weights.edge is None


@pytest.mark.parametrize("name", RANKED)
def test_every_proxy_scores_a_pruned_supernet(name: str) -> None:
    """Some proxies measure cells, which a wrapped supernet has as well."""
    torch.manual_seed(0)
    space = NasBench201((3, 16, 16), 4, channels=8, cells_per_stage=1)
    genotype = space.parse(
        "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    )
    alive = {name: weights.active for name, weights in space.encode(genotype).items()}
    x, y = torch.randn(16, 3, 16, 16), torch.arange(16) % 4
    score = load_proxy(CONF / "proxy" / f"{name}.yaml")(
        PrunedSupernet(space.supernet().train(), alive), (x, y), torch.Generator().manual_seed(0)
    )
    assert math.isfinite(score)
