"""Image files to tensors, by Pillow, with the augmentation that is usual for ImageNet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Generator, Tensor

from nas.data.pipeline.augment import cutout, normalize, random_crop
from nas.data.pipeline.pca_lighting import lighting
from nas.utils.errors import NasError

Box = tuple[int, int, int, int]
Crop = Literal["random", "resize"]
ATTEMPTS = 10
RATIOS = (3 / 4, 4 / 3)
MARGIN = 256 / 224  # the side that an evaluated image is resized to, over the side that is cut out of it
_DRAWS = 4 * ATTEMPTS + 1 + 4 + 4


class Decode:
    """One image file to a normalized float32 tensor [C, S, S].

    Training (``augment``) with ``crop="random"``: a random part of the area, of random proportions, resized to S x S
    (Szegedy et al., 2015); flip; color jitter; lighting; normalization; cutout. Evaluation: the shorter side resized
    to 256 / 224 S, then the middle. ``crop="resize"`` brings the whole image to S x S instead, and training crops it
    after padding it with ``pad`` black pixels, as is usual for small images (TE-NAS on ImageNet).

    Args:
        size: S.
        mean, std: one value a channel, of pixels scaled to 0..1; one channel stands for gray images, three for color.
        augment: training rather than evaluation.
        scale: least and greatest share of the area.
        color_jitter: strengths of brightness, contrast, saturation and hue, applied in random order; the last two do
            nothing to a gray image.
        lighting: standard deviation of the shift along the main colors, see
            ``nas.data.pipeline.pca_lighting``; 0 for none.

    Raises:
        NasError: if a value is out of range.
    """

    def __init__(
        self,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        augment: bool = False,
        crop: Crop = "random",
        scale: Sequence[float] = (0.08, 1.0),
        color_jitter: Sequence[float] = (0.4, 0.4, 0.4, 0.2),
        flip: bool = True,
        pad: int = 0,
        cutout: int = 0,
        lighting: float = 0.0,
    ) -> None:
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
            raise NasError(f"scale {list(scale)}: give the least and the greatest share of the area, in 0..1")
        if len(color_jitter) != 4 or min(color_jitter) < 0 or color_jitter[3] > 0.5:
            raise NasError(
                f"color_jitter {list(color_jitter)}: give four strengths (brightness, contrast, saturation, hue), not "
                "below 0, hue at most 0.5"
            )
        if pad and crop == "random":
            raise NasError(f"pad {pad}: only crop=resize pads; crop=random cuts without")
        if lighting < 0 or (lighting and len(mean) != 3):
            raise NasError(
                f"lighting {lighting} for images of {len(mean)} channel(s): it shifts the colors of those with three, "
                "and is not below 0"
            )
        self.lighting = lighting
        self.size, self.augment, self.crop, self.scale = size, augment, crop, (scale[0], scale[1])
        self.mode = "L" if len(mean) == 1 else "RGB"
        self.mean, self.std = torch.tensor(tuple(mean)), torch.tensor(tuple(std))
        self.color_jitter, self.flip, self.pad, self.cutout = tuple(color_jitter), flip, pad, cutout

    def __call__(self, path: str, seed: int) -> Tensor:
        """The image in ``path``; its augmentation is a function of ``seed``. Raises OSError and others if broken."""
        with Image.open(path) as file:
            image = eight_bits(file).convert(self.mode)
        generator = Generator().manual_seed(seed)
        draws = torch.rand(_DRAWS, generator=generator).tolist() if self.augment else []
        if self.crop == "resize":
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        elif self.augment:
            box = random_box(image.size, self.scale, draws[: 4 * ATTEMPTS])
            image = image.crop(box).resize((self.size, self.size), Image.Resampling.BILINEAR)
        else:
            image = middle(image, self.size)
        if self.augment and self.flip and draws[4 * ATTEMPTS] < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.augment and any(self.color_jitter):
            image = jitter(image, self.color_jitter, draws[4 * ATTEMPTS + 1 :])
        x = tensor(image)[None]
        if self.augment and self.lighting:
            x = lighting(x.float().div_(255), self.lighting, generator)
        if self.augment and self.pad:
            x = random_crop(x, self.pad, generator)
        x = normalize(x, self.mean, self.std)
        return (cutout(x, self.cutout, generator) if self.augment and self.cutout else x)[0]


def eight_bits(image: Image.Image) -> Image.Image:
    """An image whose levels are in 0..255: gray ones of 16 bits are scaled, where Pillow would cut them off at 255.

    Raises ValueError for pixels of 32 bits, integer or float, whose range no file tells.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):  # as older Pillow has them
        return Image.fromarray(np.round(np.asarray(image, dtype=np.float32) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels are of 32 bits (mode {image.mode}), of an unknown range: save it with 8 or 16")
    return image


def tensor(image: Image.Image) -> Tensor:
    """The pixels of a gray or color image, uint8 [C, H, W]."""
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()


def random_box(size: tuple[int, int], scale: tuple[float, float], draws: Sequence[float]) -> Box:
    """Left, upper, right and lower edge of a random part of an image of ``size`` (width, height).

    Of ``ATTEMPTS`` tries, with four of the ``draws`` from [0, 1) each, the first that fits; if none does, the largest
    part in the middle whose proportions are within ``RATIOS``.
    """
    width, height = size
    low, high = (math.log(ratio) for ratio in RATIOS)
    for area, ratio, x, y in zip(*(draws[i::4] for i in range(4)), strict=True):
        target = width * height * (scale[0] + (scale[1] - scale[0]) * area)
        proportion = math.exp(low + (high - low) * ratio)
        w, h = round(math.sqrt(target * proportion)), round(math.sqrt(target / proportion))
        if 0 < w <= width and 0 < h <= height:
            left, upper = int(x * (width - w + 1)), int(y * (height - h + 1))
            return left, upper, left + w, upper + h
    w = min(width, round(height * RATIOS[1]))
    h = min(height, round(width / RATIOS[0]))
    left, upper = (width - w) // 2, (height - h) // 2
    return left, upper, left + w, upper + h


def middle(image: Image.Image, size: int) -> Image.Image:
    """The shorter side resized to 256 / 224 ``size``, then ``size`` x ``size`` pixels from the middle."""
    side = round(size * MARGIN)
    width, height = image.size
    short = min(width, height)
    image = image.resize((int(side * width / short), int(side * height / short)), Image.Resampling.BILINEAR)
    left, upper = (round((length - size) / 2) for length in image.size)
    return image.crop((left, upper, left + size, upper + size))


def jitter(image: Image.Image, strengths: Sequence[float], draws: Sequence[float]) -> Image.Image:
    """Brightness, contrast, saturation and hue changed by at most their ``strengths``, in random order.

    The first four of the ``draws`` from [0, 1) are the changes, the others the order.
    """
    for kind in sorted(range(4), key=lambda k: draws[4 + k]):
        strength, draw = strengths[kind], draws[kind]
        if not strength or (kind >= 2 and image.mode != "RGB"):
            continue
        if kind == 3:
            image = turn_hue(image, strength * (2 * draw - 1))
            continue
        least, most = max(0.0, 1 - strength), 1 + strength
        enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[kind]
        image = enhance(image).enhance(least + (most - least) * draw)
    return image


def turn_hue(image: Image.Image, turn: float) -> Image.Image:
    """A color image with its hue moved by ``turn`` of the color circle, in -0.5..0.5."""
    hue, saturation, value = image.convert("HSV").split()
    moved = hue.point([(level + int(turn * 255)) % 256 for level in range(256)])
    return Image.merge("HSV", (moved, saturation, value)).convert("RGB")
