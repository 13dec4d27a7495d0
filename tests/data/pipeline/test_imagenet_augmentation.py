"""nas.data.pipeline.imagenet_augmentation: crops and color jitter against their definitions."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.pipeline.imagenet_augmentation import (
    ATTEMPTS,
    center_crop,
    color_jitter,
    random_resized_crop_box,
    shift_hue,
)


def boxes(size: tuple[int, int], scale: tuple[float, float], count: int) -> list[tuple[int, int, int, int]]:
    draws = torch.rand(count, 4 * ATTEMPTS, generator=torch.Generator().manual_seed(0)).tolist()
    return [random_resized_crop_box(size, scale, row) for row in draws]


def test_random_resized_crop_box_has_the_specified_areas_and_ratios() -> None:
    found = np.array(boxes((400, 300), (0.08, 1.0), 4000))
    left, upper, right, lower = found.T
    assert left.min() >= 0 and upper.min() >= 0 and right.max() <= 400 and lower.max() <= 300
    width, height = right - left, lower - upper
    share, ratio = width * height / 120_000, width / height
    assert 0.075 < share.min() < 0.09 and share.max() > 0.95 and ratio.min() > 0.74 and ratio.max() < 1.35
    # Small areas always fit, so the area and the logarithm of the aspect ratio are uniform.
    small = np.array(boxes((400, 300), (0.08, 0.4), 4000))
    width, height = small[:, 2] - small[:, 0], small[:, 3] - small[:, 1]
    assert np.mean(width * height / 120_000) == pytest.approx(0.24, abs=0.005)
    assert np.mean(np.log(width / height)) == pytest.approx(0, abs=0.01)
    assert np.std(np.log(width / height)) == pytest.approx(np.log(16 / 9) / 12**0.5, rel=0.03)
    center = (small[:, 0] + small[:, 2]).mean() / 2, (small[:, 1] + small[:, 3]).mean() / 2
    assert center == pytest.approx((200, 150), abs=3)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1000, 10), (493, 0, 506, 10)), ((10, 1000), (0, 493, 10, 506)), ((100, 100), (0, 0, 100, 100))],
)
def test_random_resized_crop_box_falls_back_to_the_center(size: tuple[int, int], expected: tuple[int, ...]) -> None:
    draws = [0.999, 0.999, 0.5, 0.5] * ATTEMPTS  # the whole area, at another aspect ratio than the image
    assert random_resized_crop_box(size, (1.0, 1.0), draws) == expected


def test_center_crop_resizes_the_shorter_side() -> None:
    """Check that a ramp from left to right keeps its slope over the resized width."""
    ramp = np.tile(np.linspace(0, 255, 512), (256, 1)).astype(np.uint8)
    found = np.asarray(center_crop(Image.fromarray(ramp), 224))
    assert found.shape == (224, 224)
    assert np.abs(found - ramp[16:240, 144:368].astype(int)).max() <= 1
    portrait = center_crop(Image.fromarray(ramp.T.copy()), 112)  # the shorter side becomes 128
    assert portrait.size == (112, 112)


def test_center_crop_of_a_small_size() -> None:
    assert center_crop(Image.new("RGB", (500, 375)), 32).size == (32, 32)


def test_color_jitter_scales_brightness() -> None:
    image = Image.new("RGB", (4, 4), (100, 50, 20))
    for draw, factor in ((0.0, 0.6), (0.5, 1.0), (0.999999, 1.4)):
        found = np.asarray(color_jitter(image, (0.4, 0, 0, 0), [draw, 0, 0, 0, 0, 1, 2, 3]))[0, 0]
        assert np.abs(found - np.array([100, 50, 20]) * factor).max() <= 1


def test_color_jitter_blends_contrast_and_saturation_with_gray() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(60, 190, (8, 8, 3)).astype(np.uint8))
    pixels = np.asarray(image).astype(float)
    gray = np.asarray(image.convert("L")).astype(float)
    contrast = np.asarray(color_jitter(image, (0, 0.5, 0, 0), [0, 0.0, 0, 0, 0, 1, 2, 3]))
    assert np.abs(contrast - (0.5 * pixels + 0.5 * round(gray.mean()))).max() <= 1.5
    pale = np.asarray(color_jitter(image, (0, 0, 0.5, 0), [0, 0, 0.0, 0, 0, 1, 2, 3]))
    assert np.abs(pale - (0.5 * pixels + 0.5 * gray[..., None])).max() <= 1.5


@pytest.mark.parametrize("shift", [-0.5, -0.2, 0.1, 0.5])
def test_shift_hue_rotates_the_color_circle(shift: float) -> None:
    found = np.asarray(shift_hue(Image.new("RGB", (1, 1), (200, 60, 90)), shift))[0, 0] / 255
    hue, saturation, value = colorsys.rgb_to_hsv(200 / 255, 60 / 255, 90 / 255)
    expected = colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
    assert found == pytest.approx(expected, abs=0.05)  # two of the 256 levels of the hue


def test_color_jitter_applies_changes_in_random_order() -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8))
    first = color_jitter(image, (0.4, 0.4, 0.4, 0.2), [0.9, 0.9, 0.9, 0.9, 0, 1, 2, 3])
    other = color_jitter(image, (0.4, 0.4, 0.4, 0.2), [0.9, 0.9, 0.9, 0.9, 3, 2, 1, 0])
    assert np.asarray(first).tolist() != np.asarray(other).tolist()


@pytest.mark.parametrize("draw", [0.0, 0.25, 0.5, 1.0])
def test_color_jitter_shifts_the_hue_in_both_directions(draw: float) -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8))
    found = color_jitter(image, (0.0, 0.0, 0.0, 0.4), [0, 0, 0, draw, 0, 1, 2, 3])
    expected = shift_hue(image, 0.4 * (2 * draw - 1))
    assert np.array_equal(np.asarray(found), np.asarray(expected))
