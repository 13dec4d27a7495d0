"""Decoding of image files to tensors with Pillow, including ImageNet augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor

from nas.data.pipeline.cifar_augmentation import cutout, normalize, random_crop
from nas.data.pipeline.imagenet_augmentation import ATTEMPTS, center_crop, color_jitter, random_resized_crop_box
from nas.data.pipeline.pca_lighting import lighting
from nas.data.pipeline.read_image import Mode, read_image
from nas.utils.errors import NasError

Crop = Literal["random", "resize"]
_BOX_DRAWS = 4 * ATTEMPTS
_DRAWS = _BOX_DRAWS + 1 + 8  # random numbers per image: crop, flip, color jitter


@dataclass(frozen=True)
class Augmentation:
    """Crop of all images, and random changes of training images.

    Args:
        crop: ``random`` or ``resize``, see ``ImageDecoder``.
        scale: smallest and largest fraction of the area of a random resized crop.
        color_jitter: strengths of brightness, contrast, saturation and hue, applied in random order. The last two
            leave grayscale images unchanged.
        flip: mirror training images at random.
        pad: pixels of padding, only with ``crop="resize"``.
        cutout: side of the hole in pixels; 0: none.
        lighting: standard deviation of the PCA lighting (see ``nas.data.pipeline.pca_lighting``); 0: none.

    Raises:
        NasError: if a value is out of range.
    """

    crop: Crop = "random"
    scale: Sequence[float] = (0.08, 1.0)
    color_jitter: Sequence[float] = (0.4, 0.4, 0.4, 0.2)
    flip: bool = True
    pad: int = 0
    cutout: int = 0
    lighting: float = 0.0

    def __post_init__(self) -> None:
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise NasError(
                f"dataset.scale={list(self.scale)}: out of range. "
                "Set the smallest and the largest fraction of the area, such as [0.08,1.0]."
            )
        if len(self.color_jitter) != 4 or min(self.color_jitter) < 0 or self.color_jitter[3] > 0.5:
            raise NasError(
                f"dataset.color_jitter={list(self.color_jitter)}: out of range. "
                "Set four strengths (brightness, contrast, saturation, hue) of at least 0, with hue at most 0.5."
            )
        if self.pad and self.crop == "random":
            raise NasError(
                f"dataset.pad={self.pad}: dataset.crop=random does not pad. Set dataset.crop=resize, or pad=0."
            )


class ImageDecoder:
    """Decode an image file to a normalized float32 tensor [C, S, S].

    In training (``augment``) with ``crop="random"``: random resized crop to S x S, flip, color jitter, PCA lighting,
    normalization, cutout. In evaluation: resize of the shorter side to 256 / 224 S, then center crop.
    With ``crop="resize"`` the whole image is resized to S x S instead. Training then pads it with ``pad`` black pixels
    and crops it at random, as usual for small images (TE-NAS on ImageNet).

    Args:
        size: S.
        mean, std: normalization of pixels scaled to 0..1; one value each for grayscale, three for RGB images.
        augmentation: crop and augmentation.
        augment: apply the augmentation. False: evaluation.

    Raises:
        NasError: if the lighting does not fit the channels.
    """

    def __init__(
        self,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        augmentation: Augmentation | None = None,
        augment: bool = False,
    ) -> None:
        self.augmentation = Augmentation() if augmentation is None else augmentation
        lighting = self.augmentation.lighting
        if lighting < 0 or (lighting and len(mean) != 3):
            raise NasError(
                f"dataset.lighting={lighting}: needs RGB images and a value of at least 0, but the images have "
                f"{len(mean)} channel(s). Set dataset.lighting=0."
            )
        self.size, self.augment = size, augment
        self.mode: Mode = "L" if len(mean) == 1 else "RGB"
        self.mean, self.std = torch.tensor(tuple(mean)), torch.tensor(tuple(std))

    def __call__(self, path: str, seed: int) -> Tensor:
        """Decode the image at ``path``. Its augmentation is a function of ``seed``.

        Raises:
            OSError, ValueError and others of ``nas.data.pipeline.file_loader.UNREADABLE``: if the file is broken.
        """
        image, options = read_image(path, self.mode), self.augmentation
        generator = Generator().manual_seed(seed)
        draws = torch.rand(_DRAWS, generator=generator).tolist() if self.augment else []
        if options.crop == "resize":
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        elif self.augment:
            box = random_resized_crop_box(image.size, (options.scale[0], options.scale[1]), draws[:_BOX_DRAWS])
            image = image.crop(box).resize((self.size, self.size), Image.Resampling.BILINEAR)
        else:
            image = center_crop(image, self.size)
        if self.augment and options.flip and draws[_BOX_DRAWS] < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.augment and any(options.color_jitter):
            image = color_jitter(image, options.color_jitter, draws[_BOX_DRAWS + 1 :])
        x = to_tensor(image)[None]
        if self.augment and options.lighting:
            x = lighting(x.float().div_(255), options.lighting, generator)
        if self.augment and options.pad:
            x = random_crop(x, options.pad, generator)
        x = normalize(x, self.mean, self.std)
        return (cutout(x, options.cutout, generator) if self.augment and options.cutout else x)[0]


def to_tensor(image: Image.Image) -> Tensor:
    """Return the pixels of a grayscale or RGB image as uint8 [C, H, W]."""
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()
