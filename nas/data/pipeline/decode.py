"""Decoding of image files to tensors with Pillow, including ImageNet augmentation."""

from __future__ import annotations

from collections.abc import Sequence
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


class ImageDecoder:
    """Decode an image file to a normalized float32 tensor [C, S, S].

    In training (``augment``) with ``crop="random"``: random resized crop to S x S, flip, color jitter, PCA lighting,
    normalization, cutout. In evaluation: resize of the shorter side to 256 / 224 S, then center crop.
    With ``crop="resize"`` the whole image is resized to S x S instead. Training then pads it with ``pad`` black pixels
    and crops it at random, as usual for small images (TE-NAS on ImageNet).

    Args:
        size: S.
        mean, std: normalization of pixels scaled to 0..1; one value each for grayscale, three for RGB images.
        augment: apply the training augmentation.
        crop: ``random`` or ``resize``, see above.
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
            raise NasError(
                f"dataset.scale={list(scale)}: out of range. "
                "Set the smallest and the largest fraction of the area, such as [0.08,1.0]."
            )
        if len(color_jitter) != 4 or min(color_jitter) < 0 or color_jitter[3] > 0.5:
            raise NasError(
                f"dataset.color_jitter={list(color_jitter)}: out of range. "
                "Set four strengths (brightness, contrast, saturation, hue) of at least 0, with hue at most 0.5."
            )
        if pad and crop == "random":
            raise NasError(f"dataset.pad={pad}: dataset.crop=random does not pad. Set dataset.crop=resize, or pad=0.")
        if lighting < 0 or (lighting and len(mean) != 3):
            raise NasError(
                f"dataset.lighting={lighting}: needs RGB images and a value of at least 0, but the images have "
                f"{len(mean)} channel(s). Set dataset.lighting=0."
            )
        self.lighting = lighting
        self.size, self.augment, self.crop, self.scale = size, augment, crop, (scale[0], scale[1])
        self.mode: Mode = "L" if len(mean) == 1 else "RGB"
        self.mean, self.std = torch.tensor(tuple(mean)), torch.tensor(tuple(std))
        self.color_jitter, self.flip, self.pad, self.cutout = tuple(color_jitter), flip, pad, cutout

    def __call__(self, path: str, seed: int) -> Tensor:
        """Decode the image at ``path``. Its augmentation is a function of ``seed``.

        Raises:
            OSError, ValueError and others of ``nas.data.pipeline.file_loader.UNREADABLE``: if the file is broken.
        """
        image = read_image(path, self.mode)
        generator = Generator().manual_seed(seed)
        draws = torch.rand(_DRAWS, generator=generator).tolist() if self.augment else []
        if self.crop == "resize":
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        elif self.augment:
            box = random_resized_crop_box(image.size, self.scale, draws[:_BOX_DRAWS])
            image = image.crop(box).resize((self.size, self.size), Image.Resampling.BILINEAR)
        else:
            image = center_crop(image, self.size)
        if self.augment and self.flip and draws[_BOX_DRAWS] < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.augment and any(self.color_jitter):
            image = color_jitter(image, self.color_jitter, draws[_BOX_DRAWS + 1 :])
        x = to_tensor(image)[None]
        if self.augment and self.lighting:
            x = lighting(x.float().div_(255), self.lighting, generator)
        if self.augment and self.pad:
            x = random_crop(x, self.pad, generator)
        x = normalize(x, self.mean, self.std)
        return (cutout(x, self.cutout, generator) if self.augment and self.cutout else x)[0]


def to_tensor(image: Image.Image) -> Tensor:
    """Return the pixels of a grayscale or RGB image as uint8 [C, H, W]."""
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()
