"""nas.data.pipeline.pca_lighting: shift of each image, moments, and position in the augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Generator

from nas.data.pipeline.decode import Augmentation, ImageDecoder
from nas.data.pipeline.pca_lighting import DIRECTIONS, VARIANCES, lighting
from nas.utils.errors import NasError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VALUES = np.array([0.2175, 0.0188, 0.0045])
VECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


def test_directions_are_orthonormal() -> None:
    assert np.array_equal(np.array(DIRECTIONS), VECTORS) and np.array_equal(np.array(VARIANCES), VALUES)
    np.testing.assert_allclose(VECTORS.T @ VECTORS, np.eye(3), atol=2e-4)


def test_lighting_shifts_each_image_by_one_color() -> None:
    x = torch.rand(5, 3, 4, 6)
    found = lighting(x, 0.1, Generator().manual_seed(3)) - x
    draws = torch.randn(5, 3, generator=Generator().manual_seed(3)).double().numpy() * 0.1
    for image, draw in zip(found, draws, strict=True):
        shift = sum(VECTORS[:, k] * VALUES[k] * draw[k] for k in range(3))
        np.testing.assert_allclose(image.numpy(), np.broadcast_to(shift[:, None, None], (3, 4, 6)), atol=1e-7)


def test_lighting_has_the_specified_moments() -> None:
    """Check mean 0 and covariance V diag((0.1 l)^2) V^T, within five standard errors of 200,000 samples."""
    n = 200_000
    shifts = lighting(torch.zeros(n, 3, 1, 1), 0.1, Generator().manual_seed(0))[:, :, 0, 0].double().numpy()
    truth = VECTORS @ np.diag((0.1 * VALUES) ** 2) @ VECTORS.T
    spread = np.sqrt(np.diag(truth))
    assert (abs(shifts.mean(0)) < 5 * spread / np.sqrt(n)).all()
    error = np.sqrt((np.outer(spread, spread) ** 2 + truth**2) / n)
    assert (abs(np.cov(shifts.T) - truth) < 5 * error).all()


def decode(lighting: float = 0.0, augment: bool = True) -> ImageDecoder:
    return ImageDecoder(16, MEAN, STD, Augmentation(color_jitter=(0, 0, 0, 0), lighting=lighting), augment)


def test_image_decoder_applies_lighting_before_normalization(tmp_path: Path) -> None:
    path = str(tmp_path / "a.png")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    std = torch.tensor(STD).view(3, 1, 1)
    seen = set()
    for seed in range(20):
        shift = (decode(lighting=0.1)(path, seed) - decode()(path, seed)) * std
        torch.testing.assert_close(shift, shift.mean((1, 2), keepdim=True).expand(3, 16, 16), rtol=0, atol=1e-6)
        draw = np.linalg.solve(VECTORS * VALUES, shift[:, 0, 0].double().numpy()) / 0.1
        assert (abs(draw) < 5).all()
        seen.add(round(float(draw[0]), 3))
        assert torch.equal(decode(lighting=0.1)(path, seed), decode(lighting=0.1)(path, seed))
    assert len(seen) == 20
    plain = decode(augment=False, lighting=0.1)(path, 0)
    assert torch.equal(plain, decode(augment=False)(path, 0)), "no lighting in evaluation"


def test_image_decoder_rejects_invalid_lighting() -> None:
    with pytest.raises(NasError, match=r"lighting=-0.1: .* 3 channel"):
        decode(lighting=-0.1)
    with pytest.raises(NasError, match=r"lighting=0.1: .* 1 channel"):
        ImageDecoder(16, (0.5,), (1.0,), Augmentation(lighting=0.1))
