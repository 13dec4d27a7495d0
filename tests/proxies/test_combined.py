"""Combination of proxies by ranks: formula, references and refused combinations."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from scipy import stats

from nas.proxies.combined import Combined, combine_ranks
from nas.proxies.evaluate import ProxyEvaluator
from nas.proxies.linear_regions import LinearRegions
from nas.proxies.ntk import Ntk
from nas.proxies.params_macs import Macs, Params
from nas.proxies.proxy import Batch, Proxy
from nas.searches.pruning.options import check_options
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.proxy_tools import proxy_batches, random_batch, small_network

SPACE = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)


def test_combine_ranks_matches_scipy() -> None:
    table = np.random.default_rng(0).integers(0, 4, (9, 3)).astype(float)  # with many equal scores
    table[2, 1], table[5, 1], table[7, 2] = -np.inf, np.nan, np.inf
    expected = sum(
        np.log(stats.rankdata(np.nan_to_num(c, nan=-np.inf, posinf=np.inf, neginf=-np.inf)) / 9) for c in table.T
    )
    np.testing.assert_allclose(combine_ranks(table.tolist()), expected, rtol=1e-12)


class Fewer(Params):
    """The number of parameters, smaller is better."""

    name = "fewer"
    higher_is_better = False


def test_score_is_the_rank_among_random_architectures() -> None:
    proxy = Combined([Params(), Macs()], references=8)
    evaluator = ProxyEvaluator(SPACE, proxy, proxy_batches(), seed=3)
    genotype = SPACE.sample(random.Random(7))
    found = evaluator(genotype)
    rng = random.Random(3)
    parts = [
        [ProxyEvaluator(SPACE, part, proxy_batches())(g) for part in (Params(), Macs())]
        for g in [*(SPACE.sample(rng) for _ in range(8)), genotype]
    ]
    ranks = [stats.rankdata(column)[-1] for column in np.array(parts).T]
    assert found == pytest.approx(sum(math.log(rank / 9) for rank in ranks), rel=1e-9) and len(proxy.references) == 8
    assert evaluator(genotype) == found, "references are measured once"


def test_directions_and_images_are_those_of_the_parts() -> None:
    seen: list[int] = []

    class Counting(Proxy):
        name, batch_size, min_images = "counting", 3, 2

        def __call__(self, network: torch.nn.Module, batch: Batch, generator: torch.Generator) -> float:
            seen.append(len(batch[0]))
            return math.nan

    proxy = Combined([Params(), Fewer(), Counting()], references=1)
    assert (proxy.batch_size, proxy.min_images, proxy.needs_signal) == (3, 2, True)
    network = small_network()
    size, fewer, undefined = proxy.parts(network, random_batch(5), torch.Generator())
    assert size == -fewer > 0 and undefined == -math.inf and seen == [3]
    assert proxy(network, random_batch(5), torch.Generator()) == 0, "without references it is the only network"


def test_combinations_without_a_meaning_are_refused() -> None:
    for proxies in ([], [Ntk()], [Params(), LinearRegions()], [Combined([Params()])]):
        with pytest.raises(NasError, match="proxy.proxies"):
            Combined(proxies)
    with pytest.raises(NasError, match="combines the ranks of its proxies itself"):
        check_options([Combined([Params()])], 1, "paper", ())
