"""ImageNet augmentation of single images with Pillow: random resized crop, color jitter, and the center crop of tests.

Each function takes its random numbers as ``draws``, uniform in [0, 1), so that it is deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageEnhance

Box = tuple[int, int, int, int]
ATTEMPTS = 10
RATIOS = (3 / 4, 4 / 3)
TEST_RESIZE_RATIO = 256 / 224  # shorter side of a resized test image, relative to the side of its center crop


def random_resized_crop_box(size: tuple[int, int], scale: tuple[float, float], draws: Sequence[float]) -> Box:
    """Return the box (left, upper, right, lower) of a random resized crop (Szegedy et al., CVPR 2015).

    The first of ``ATTEMPTS`` boxes that fits into the image is used. Otherwise the box is the largest centered one with
    an aspect ratio within ``RATIOS``.

    Args:
        size: width and height of the image.
        scale: smallest and largest fraction of the area.
        draws: four random numbers per attempt: area, aspect ratio and position.
    """
    width, height = size
    low, high = (math.log(ratio) for ratio in RATIOS)
    for area, ratio, x, y in zip(*(draws[i::4] for i in range(4)), strict=True):
        target = width * height * (scale[0] + (scale[1] - scale[0]) * area)
        aspect = math.exp(low + (high - low) * ratio)
        w, h = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, upper = int(x * (width - w + 1)), int(y * (height - h + 1))
            return left, upper, left + w, upper + h
    w = min(width, round(height * RATIOS[1]))
    h = min(height, round(width / RATIOS[0]))
    left, upper = (width - w) // 2, (height - h) // 2
    return left, upper, left + w, upper + h


def center_crop(image: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to 256 / 224 of ``size``, and crop ``size`` x ``size`` pixels from the center."""
    side = round(size * TEST_RESIZE_RATIO)
    width, height = image.size
    short = min(width, height)
    image = image.resize((int(side * width / short), int(side * height / short)), Image.Resampling.BILINEAR)
    left, upper = (round((length - size) / 2) for length in image.size)
    return image.crop((left, upper, left + size, upper + size))


def color_jitter(image: Image.Image, strengths: Sequence[float], draws: Sequence[float]) -> Image.Image:
    """Change brightness, contrast, saturation and hue by at most their ``strengths``, in random order.

    Saturation and hue leave a grayscale image unchanged.

    Args:
        image: a grayscale or RGB image.
        strengths: four strengths, at least 0; the hue is shifted by at most this fraction of the color circle.
        draws: eight random numbers: four for the changes, four for the order.
    """
    for kind in sorted(range(4), key=lambda k: draws[4 + k]):
        strength, draw = strengths[kind], draws[kind]
        if not strength or (kind >= 2 and image.mode != "RGB"):
            continue
        if kind == 3:
            image = shift_hue(image, strength * (2 * draw - 1))
            continue
        low, high = max(0.0, 1 - strength), 1 + strength
        enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[kind]
        image = enhance(image).enhance(low + (high - low) * draw)
    return image


def shift_hue(image: Image.Image, shift: float) -> Image.Image:
    """Shift the hue of an RGB image by ``shift`` of the color circle, in -0.5..0.5."""
    hue, saturation, value = image.convert("HSV").split()
    shifted = hue.point([(level + int(shift * 255)) % 256 for level in range(256)])
    return Image.merge("HSV", (shifted, saturation, value)).convert("RGB")
