"""Reading of image files with Pillow: orientation, transparency, and 8-bit grayscale or RGB pixels."""

from __future__ import annotations

import contextlib
import warnings
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

Mode = Literal["L", "RGB"]
BACKGROUND = 255
"""Level (white) of the background behind transparent pixels."""
_ORIENTATION = 0x0112
_GRAYSCALE = ("1", "L", "LA", "La", "I", "F")
_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")


def read_image(path: str, mode: Mode) -> Image.Image:
    """Return an image as 8-bit grayscale (``L``) or ``RGB``; of an animation, the first frame.

    The image is upright as its EXIF orientation requires. Transparent pixels are blended with a white background.

    Raises:
        OSError, ValueError and others of ``nas.data.pipeline.file_loader.UNREADABLE``: if the file is broken.
    """
    with Image.open(path) as file:
        return _opaque(_upright(to_8_bit(file)), mode)


def is_color(image: Image.Image) -> bool:
    """Return whether an opened image has more than one channel of color; its pixels are not read."""
    return not (image.mode in _GRAYSCALE or image.mode.startswith("I;16"))


def to_8_bit(image: Image.Image) -> Image.Image:
    """Convert an image to levels in 0..255. Grayscale images of 16 bits are scaled, while Pillow would clip them.

    Raises:
        ValueError: if the pixels have 32 bits (integer or float), whose range is unknown.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):  # "I" in older Pillow versions
        levels = np.asarray(image, dtype=np.float32)
        scaled = np.round(levels / 257).astype(np.uint8)
        if isinstance(image.info.get("transparency"), int):
            scaled[levels == image.info["transparency"]] = BACKGROUND
        converted = Image.fromarray(scaled)
        converted.info["exif"] = image.info.get("exif", b"")
        return converted
    if image.mode in ("I", "F"):
        raise ValueError(f"32-bit pixels (mode {image.mode}) have an unknown range; save the image with 8 or 16 bits")
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Rotate and mirror an image as its EXIF orientation requires; unreadable EXIF data are ignored."""
    # Damaged EXIF data raise many exceptions and warnings, and the pixels may still be valid.
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        if image.getexif().get(_ORIENTATION, 1) != 1:
            return ImageOps.exif_transpose(image)
    return image


def _opaque(image: Image.Image, mode: Mode) -> Image.Image:
    """Blend transparent pixels with the background, and convert to ``mode``."""
    if image.mode not in _ALPHA and "transparency" not in image.info:
        return image.convert(mode)
    layer = image.convert("RGBA")
    background = Image.new("RGBA", layer.size, (BACKGROUND,) * 3 + (255,))
    return Image.alpha_composite(background, layer).convert("RGB").convert(mode)
