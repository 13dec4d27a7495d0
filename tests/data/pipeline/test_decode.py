"""Image files to tensors: the augmentation against what it is by definition."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.pipeline.decode import ImageDecoder, to_tensor
from nas.data.pipeline.imagenet_augmentation import (
    ATTEMPTS,
    center_crop,
    color_jitter,
    random_resized_crop_box,
    shift_hue,
)
from nas.utils.errors import NasError
from tests.support.folder_tools import picture

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def boxes(size: tuple[int, int], scale: tuple[float, float], count: int) -> list[tuple[int, int, int, int]]:
    draws = torch.rand(count, 4 * ATTEMPTS, generator=torch.Generator().manual_seed(0)).tolist()
    return [random_resized_crop_box(size, scale, row) for row in draws]


def test_random_boxes_lie_within_and_have_the_areas_and_proportions_asked_for() -> None:
    found = np.array(boxes((400, 300), (0.08, 1.0), 4000))
    left, upper, right, lower = found.T
    assert left.min() >= 0 and upper.min() >= 0 and right.max() <= 400 and lower.max() <= 300
    width, height = right - left, lower - upper
    share, ratio = width * height / 120_000, width / height
    assert 0.075 < share.min() < 0.09 and share.max() > 0.95 and ratio.min() > 0.74 and ratio.max() < 1.35
    # Small shares always fit: their area is uniform, the logarithm of their proportions too.
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
def test_the_middle_is_taken_where_no_try_fits(size: tuple[int, int], expected: tuple[int, ...]) -> None:
    draws = [0.999, 0.999, 0.5, 0.5] * ATTEMPTS  # the whole area, of other proportions than the image's
    assert random_resized_crop_box(size, (1.0, 1.0), draws) == expected


def test_evaluation_takes_the_middle_of_the_resized_image() -> None:
    """A ramp from left to right keeps its slope over the resized width, whose middle is cut out."""
    ramp = np.tile(np.linspace(0, 255, 512), (256, 1)).astype(np.uint8)
    found = np.asarray(center_crop(Image.fromarray(ramp), 224))
    assert found.shape == (224, 224)
    assert np.abs(found - ramp[16:240, 144:368].astype(int)).max() <= 1
    portrait = center_crop(Image.fromarray(ramp.T.copy()), 112)  # the shorter side becomes 128
    assert portrait.size == (112, 112)


def test_small_sizes_of_evaluation() -> None:
    assert center_crop(Image.new("RGB", (500, 375)), 32).size == (32, 32)


def test_jitter_scales_brightness_by_a_factor_of_its_range() -> None:
    image = Image.new("RGB", (4, 4), (100, 50, 20))
    for draw, factor in ((0.0, 0.6), (0.5, 1.0), (0.999999, 1.4)):
        found = np.asarray(color_jitter(image, (0.4, 0, 0, 0), [draw, 0, 0, 0, 0, 1, 2, 3]))[0, 0]
        assert np.abs(found - np.array([100, 50, 20]) * factor).max() <= 1


def test_jitter_of_contrast_and_saturation_blends_with_the_grays() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(60, 190, (8, 8, 3)).astype(np.uint8))
    pixels = np.asarray(image).astype(float)
    gray = np.asarray(image.convert("L")).astype(float)
    contrast = np.asarray(color_jitter(image, (0, 0.5, 0, 0), [0, 0.0, 0, 0, 0, 1, 2, 3]))
    assert np.abs(contrast - (0.5 * pixels + 0.5 * round(gray.mean()))).max() <= 1.5
    pale = np.asarray(color_jitter(image, (0, 0, 0.5, 0), [0, 0, 0.0, 0, 0, 1, 2, 3]))
    assert np.abs(pale - (0.5 * pixels + 0.5 * gray[..., None])).max() <= 1.5


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.1, 0.5])
def test_hue_turns_on_the_color_circle(turn: float) -> None:
    found = np.asarray(shift_hue(Image.new("RGB", (1, 1), (200, 60, 90)), turn))[0, 0] / 255
    hue, saturation, value = colorsys.rgb_to_hsv(200 / 255, 60 / 255, 90 / 255)
    expected = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
    assert found == pytest.approx(expected, abs=0.05)  # two of the 256 steps of the hue


def test_jitter_applies_its_parts_in_the_order_drawn() -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8))
    first = color_jitter(image, (0.4, 0.4, 0.4, 0.2), [0.9, 0.9, 0.9, 0.9, 0, 1, 2, 3])
    other = color_jitter(image, (0.4, 0.4, 0.4, 0.2), [0.9, 0.9, 0.9, 0.9, 3, 2, 1, 0])
    assert np.asarray(first).tolist() != np.asarray(other).tolist()


def test_evaluation_normalizes_and_nothing_else(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 0, 0, (32, 32))
    found = ImageDecoder(28, MEAN, STD)(str(tmp_path / "a.png"), seed=1)
    with Image.open(tmp_path / "a.png") as image:
        pixels = to_tensor(image).double() / 255
    expected = (pixels[:, 2:30, 2:30] - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(found.double(), expected.double(), atol=1e-5, rtol=0)
    assert torch.equal(found, ImageDecoder(28, MEAN, STD)(str(tmp_path / "a.png"), seed=2))


def test_training_is_a_function_of_the_seed(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpeg", 0, 0, (40, 30))
    decode = ImageDecoder(16, MEAN, STD, augment=True, cutout=6)
    first, same, other = (decode(str(tmp_path / "a.jpeg"), seed) for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert first.shape == (3, 16, 16) and first.dtype == torch.float32
    holes = int((first == 0).all(0).sum())
    assert 9 <= holes <= 36, "a hole of 6 x 6, or what of it is inside"


def test_flips_half_of_the_images(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 64), (64, 1)).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    decode = ImageDecoder(16, (0.5,), (1.0,), augment=True, color_jitter=(0, 0, 0, 0))
    falls = [bool(x[0, 0, 0] > x[0, 0, -1]) for x in (decode(str(tmp_path / "ramp.png"), s) for s in range(200))]
    assert 70 < sum(falls) < 130
    never = ImageDecoder(16, (0.5,), (1.0,), augment=True, color_jitter=(0, 0, 0, 0), flip=False)
    assert not any(bool(x[0, 0, 0] > x[0, 0, -1]) for x in (never(str(tmp_path / "ramp.png"), s) for s in range(20)))


def test_whole_images_resized_and_cropped_after_padding(tmp_path: Path) -> None:
    """The way of TE-NAS: with a pad, only shifts of the resized image come out."""
    picture(tmp_path / "a.png", 1, 0, (40, 30))
    path = str(tmp_path / "a.png")
    plain = ImageDecoder(32, MEAN, STD, crop="resize")(path, 0)
    assert plain.shape == (3, 32, 32)
    options = {"crop": "resize", "color_jitter": (0, 0, 0, 0), "flip": False}
    assert torch.equal(ImageDecoder(32, MEAN, STD, augment=True, **options)(path, 5), plain)
    black = -torch.tensor(MEAN) / torch.tensor(STD)
    padded = black[:, None, None].repeat(1, 40, 40)
    padded[:, 4:36, 4:36] = plain
    shifts = [padded[:, y : y + 32, x : x + 32] for y in range(9) for x in range(9)]
    for seed in range(5):
        found = ImageDecoder(32, MEAN, STD, augment=True, pad=4, **options)(path, seed)
        assert any(torch.allclose(found, shift, atol=1e-6) for shift in shifts)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "CMYK", "RGBA", "1"])
def test_any_mode_becomes_what_the_network_sees(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    Image.new("RGB", (20, 20), (250, 250, 250)).convert(mode).save(path)
    assert ImageDecoder(16, MEAN, STD, augment=True)(str(path), 0).shape == (3, 16, 16)
    assert ImageDecoder(16, (0.4,), (0.2,), augment=True)(str(path), 0).shape == (1, 16, 16)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_not_cut_off(suffix: str, tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(levels).save(path)
    found = ImageDecoder(16, (0.0,), (1.0,), crop="resize")(str(path), 0)[0]
    np.testing.assert_allclose(found.numpy(), levels / 65535, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_of_an_unknown_range_are_refused(kind: type, tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    Image.fromarray(np.full((16, 16), 300, kind)).save(path)
    with pytest.raises(ValueError, match="32-bit"):
        ImageDecoder(16, (0.0,), (1.0,))(str(path), 0)


@pytest.mark.parametrize(
    "options",
    [
        {"scale": (0.5, 0.1)},
        {"scale": (0.0, 1.0)},
        {"color_jitter": (0.4,)},
        {"color_jitter": (0, 0, 0, 0.6)},
        {"pad": 4},
    ],
)
def test_bad_values(options: dict[str, object]) -> None:
    with pytest.raises(NasError, match=next(iter(options))):
        ImageDecoder(16, MEAN, STD, **options)  # type: ignore[arg-type]
