"""MeCo: smallest eigenvalues of correlations."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from nas.proxies.meco import Meco, smallest_eigenvalue
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.trans_nas_bench_101.micro import TransNasBench101Micro
from tests.support.proxy_tools import formula_images, formula_network

DOUBLE = torch.float64


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_meco_takes_the_smallest_eigenvalue_of_the_correlation() -> None:
    rows = torch.randn(4, 30, generator=generator(), dtype=DOUBLE)
    expected = np.linalg.eigvalsh(np.corrcoef(rows.numpy()))[0]
    assert float(smallest_eigenvalue(rows)) == pytest.approx(expected, rel=1e-9)
    rows[2] = 1.0
    assert float(smallest_eigenvalue(rows)) == pytest.approx(0.0, abs=1e-12), "a constant channel has zero correlations"
    assert float(smallest_eigenvalue(torch.randn(3, 1))) == 0
    assert float(smallest_eigenvalue(torch.randn(9, 4, dtype=DOUBLE))) == pytest.approx(0.0, abs=1e-9)


def test_meco_counts_each_module_and_scales_sampled_channels() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 16, 3, padding=1)
    network, x = nn.Sequential(conv), torch.randn(1, 3, 9, 9)
    (inner, one), (outer, two) = Meco().module_scores(network, x, generator())
    assert (inner, outer) == ("0", "") and one == two > 0
    index = torch.randperm(16, generator=generator())[:8]
    expected = 2 * smallest_eigenvalue(conv(x)[0].detach().flatten(1)[index])
    assert float(Meco(channels=8).module_scores(network, x, generator())[0][1]) == pytest.approx(float(expected))


@pytest.mark.parametrize("build", [NasBench201, TransNasBench101Micro])
def test_list_of_cells_is_no_module_of_the_authors(build: type[NasBench201] | type[TransNasBench101Micro]) -> None:
    network = build((3, 64, 64), 10).network(build((3, 64, 64), 10).sample(random.Random(0)), channels=4)
    names = [name for name, _ in Meco().module_scores(network, torch.randn(1, 3, 64, 64), generator())]
    assert "cells" not in names and {"cells.0", "cells.1"} <= set(names)


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        (
            "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",
            8.419843084613426,
        ),
        (
            "|skip_connect~0|+|avg_pool_3x3~0|none~1|+|avg_pool_3x3~0|avg_pool_3x3~1|nor_conv_3x3~2|",
            10.027483195082715,
        ),
    ],
)
def test_pools_of_a_node_count_once_per_edge(arch: str, expected: float) -> None:
    """The numbers are those of the authors' program for the same weights and image."""
    network, x = formula_network(arch), formula_images(1, 3, 12, 12)
    before = network(x)
    assert Meco()(network, (x, torch.zeros(1)), generator()) == pytest.approx(expected, rel=1e-9)
    assert torch.equal(network(x), before)
