"""Entropies and spectral norms of AZ-NAS."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nas.proxies.az_nas import (
    Expressivity,
    Progressivity,
    Trainability,
    block_spectra,
    feature_entropy,
    features,
    trainability,
)
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.proxy_tools import formula_images, formula_network, random_batch, small_network

DOUBLE = torch.float64


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_entropy_is_that_of_the_normalized_spectrum() -> None:
    feature = torch.randn(6, 3, 4, 4, generator=generator(), dtype=DOUBLE) * torch.tensor([1.0, 2.0, 3.0]).view(
        1, 3, 1, 1
    )
    rows = feature.transpose(0, 1).flatten(1).numpy()
    spectrum = np.linalg.eigvalsh(np.cov(rows, bias=True))
    share = spectrum / spectrum.sum()
    assert float(feature_entropy(feature)) == pytest.approx(-(share * np.log(share + 1e-8)).sum(), rel=1e-9)
    repeated = feature[:, [0, 0, 0]]
    assert float(feature_entropy(repeated)) == pytest.approx(0.0, abs=1e-6), "a spectrum of one value"


def test_spectral_norm_of_a_linear_block() -> None:
    """The gradient of an orthogonal 1x1 convolution keeps the size of its sign pattern."""
    torch.manual_seed(0)
    weight = torch.linalg.qr(torch.randn(4, 4, dtype=DOUBLE))[0]
    before = torch.randn(50, 4, 6, 6, dtype=DOUBLE).requires_grad_()
    for scale in (1.0, 3.0):
        after = F.conv2d(before, scale * weight[:, :, None, None])
        signs = torch.randint(0, 2, after.shape).double() * 2 - 1
        norm = block_spectra([before, after], [signs])
        assert float(norm) == pytest.approx(scale, rel=0.1), "v v^T is close to the identity"
    assert float(trainability(torch.tensor([1.0]))) == pytest.approx(0, abs=1e-5)
    assert float(trainability(torch.tensor([2.0, 1.0]))) == pytest.approx(-0.25, abs=1e-5)


@pytest.mark.parametrize(
    ("arch", "finite"),
    [
        ("|nor_conv_3x3~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|none~1|none~2|", False),
        ("|none~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|skip_connect~2|", False),
        ("|skip_connect~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|", True),
        ("|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|", True),
    ],
)
def test_an_identity_has_the_lowest_trainability(arch: str, finite: bool) -> None:
    """An identity keeps every gradient, which would be the best score; two of them double the gradient."""
    space = NasBench201((3, 8, 8), 4)
    network = space.network(space.parse(arch), channels=4, cells_per_stage=1)
    found = Trainability()(network, random_batch(6, torch.float32), generator())
    assert found > -10 if finite else found == -math.inf


def test_az_nas_scores_depend_on_the_generator_and_not_on_the_images() -> None:
    network = small_network(torch.float32)
    for proxy in (Expressivity(), Progressivity(), Trainability()):
        found = proxy(network, random_batch(6, torch.float32), generator())
        other = random_batch(6, torch.float32)
        assert found == proxy(network, (other[0] + 1, other[1]), generator()) and math.isfinite(found)
        assert found != proxy(network, other, torch.Generator().manual_seed(1))
    assert Progressivity().of_entropies(torch.tensor([1.0, 3.0, 2.5])) == -0.5
    assert Expressivity().of_entropies(torch.tensor([1.0, 3.0, 2.5])) == 6.5


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        (
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|none~0|none~1|none~2|",
            (-math.inf, -math.inf, -600002.9335376399),
        ),
        (
            "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
            (9.022940352683813, -0.4375556349832683, -600002.2476782943),
        ),
    ],
)
def test_scores_match_the_authors_where_cells_lose_the_signal(arch: str, expected: tuple[float, float, float]) -> None:
    """The numbers are those of the authors' program for the same weights and images, with all signs positive."""
    found = features(formula_network(arch), formula_images(6, 3, 12, 12), {}, gradients=True)
    entropies = torch.stack([feature_entropy(feature) for feature in found])
    spectra = block_spectra(found, [torch.ones_like(feature) for feature in reversed(found[1:])])
    scores = Expressivity().of_entropies(entropies), Progressivity().of_entropies(entropies), trainability(spectra)
    assert [float(score) for score in scores] == pytest.approx(expected, rel=1e-9)


def test_scores_of_a_network_without_signal_are_the_lowest() -> None:
    network = formula_network("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|").float()
    for proxy in (Expressivity(), Progressivity(), Trainability()):
        assert proxy(network, random_batch(6, torch.float32), generator()) < -1e5
