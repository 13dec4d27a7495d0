"""Linear regions: distinct patterns and crops."""

from __future__ import annotations

import itertools

import pytest
import torch

from nas.proxies.linear_regions import LinearRegions, count_distinct_rows, sample_crops
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError


def test_linear_regions_count_distinct_patterns() -> None:
    rows = torch.rand(500, 11, generator=torch.Generator().manual_seed(0)) < 0.5
    assert count_distinct_rows(rows) == len({tuple(row) for row in rows.tolist()}) == len(torch.unique(rows, dim=0))
    net = NasBench201((3, 8, 8), 10).probe("regions")
    x = torch.randn(300, 1, 3, 3)
    proxy = LinearRegions(chunk=100)
    assert proxy(net, (x, x), torch.Generator()) == len(torch.unique(proxy.activation_patterns(net, x), dim=0))
    one_batch = LinearRegions(chunk=300).activation_patterns(net, x)
    assert not torch.equal(one_batch, proxy.activation_patterns(net, x)), "batch norm uses the statistics of a chunk"


def test_sample_crops_returns_all_windows() -> None:
    images = torch.arange(2 * 3 * 5 * 6, dtype=torch.float32).view(2, 3, 5, 6)
    found = set()
    for seed in range(200):
        for image, crop in zip(images, sample_crops(images, torch.Generator().manual_seed(seed)), strict=True):
            positions = [
                (c, t, s)
                for c, t, s in itertools.product(range(3), range(3), range(4))
                if torch.equal(image[c, t : t + 3, s : s + 3], crop[0])
            ]
            assert len(positions) == 1
            found.add(positions[0])
    assert len(found) == 36, "every channel and window occurs"
    with pytest.raises(NasError, match="3x3"):
        sample_crops(torch.zeros(1, 1, 2, 9), torch.Generator())
