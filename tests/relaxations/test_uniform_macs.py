"""Tests of paths with uniformly sampled multiply-adds."""

from __future__ import annotations

from collections import Counter

import pytest

from nas.architecture.cell import Genotype
from nas.architecture.masks import Masks
from nas.relaxations.uniform_macs import UniformMacs
from nas.searches.gradient import GradientSearch
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.single_path.chain import chain_ops
from nas.spaces.single_path.shufflenet_v2 import UNITS, ShuffleNetV2Space
from nas.utils.errors import NasError
from tests.support.search_tools import weight_step

SPACE = ShuffleNetV2Space((3, 8, 8), 10, widths=(64,), depths=(6,), strides=(2,))


def cost(genotype: Genotype) -> int:
    """Return the number of units with the largest kernel."""
    return chain_ops(genotype).count("shuffle_7x7")


def sampled_costs(bins: list[float], count: int = 900, tries: int = 500) -> Counter[int]:
    relaxation = UniformMacs(SPACE.cells, bins, tries)
    relaxation.prepare(SPACE.notation, cost)
    masks, column = Masks(SPACE.cells), list(UNITS).index("shuffle_7x7")
    return Counter(int(relaxation.sample(masks)["chain"].op[:, column].sum()) for _ in range(count))


def test_intervals_are_sampled_uniformly() -> None:
    """Uniform paths have no large kernel with 18 %, one with 36 %, and two to four with 46 %."""
    found = sampled_costs([0.0, 0.5, 1.5, 4.5])
    shares = [found[0], found[1], sum(found[n] for n in range(2, 5))]
    assert all(abs(share - 300) < 60 for share in shares) and sum(shares) == 900, found
    assert set(sampled_costs([2.0, 3.0], count=60)) == {2, 3}, "both bounds of the first interval belong to it"


def test_an_interval_without_paths_falls_back_to_any_path() -> None:
    assert len(sampled_costs([100.0, 200.0], count=60, tries=2)) > 2


def test_bounds_and_spaces_are_checked() -> None:
    for bins in ([1.0], [2.0, 1.0], [1.0, 1.0]):
        with pytest.raises(NasError, match=r"method.relaxation.bins=.*ascending"):
            UniformMacs(SPACE.cells, bins)
    bench = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1)
    with pytest.raises(NasError, match="no table of multiply-adds per op. Use space=shufflenet"):
        GradientSearch(bench, lambda cells: UniformMacs(cells, [1.0, 2.0]), weight_step())
