"""Survey of image files: their sizes and channels, from their headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from nas.data.pipeline.file_loader import UNREADABLE
from nas.data.pipeline.read_image import is_color
from nas.utils.errors import NasError, one_line

MAX_FILES = 1000
"""Number of files up to which all are read; of more files, this many at equal distances."""


@dataclass(frozen=True)
class ImageSurvey:
    """Sizes and channels of image files.

    Attributes:
        side: lower median of the shorter sides.
        channels: 3 if any image has color, else 1.
        smallest, largest: (width, height) of the images with the fewest and the most pixels.
        color, gray: number of color and grayscale images.
    """

    side: int
    channels: int
    smallest: tuple[int, int]
    largest: tuple[int, int]
    color: int
    gray: int

    def describe(self) -> str:
        """Describe files of different sizes or channels in one phrase; empty if all are equal."""
        (w, h), (w2, h2) = self.smallest, self.largest
        sizes = f"files of {w}x{h} to {w2}x{h2} pixels (width x height), resized" if (w, h) != (w2, h2) else ""
        mixed = f"{self.gray} grayscale and {self.color} color files" if self.gray and self.color else ""
        return ", ".join(filter(None, (sizes, mixed)))


def survey_images(root: Path, files: Sequence[str]) -> ImageSurvey:
    """Survey the image files of a folder; files that cannot be read are left out.

    Raises:
        NasError: if none can be read.
    """
    step = max(1, len(files) / MAX_FILES)
    chosen = [files[int(k * step)] for k in range(min(len(files), MAX_FILES))]
    sizes: list[tuple[int, int]] = []
    color, problem = 0, ""
    for file in chosen:
        try:
            with Image.open(root / file) as image:
                sizes.append(image.size)
                color += is_color(image)
        except UNREADABLE as error:
            problem = problem or one_line(error)
    if not sizes:
        raise NasError(
            f"{root / chosen[0]}: cannot be read ({problem}), as all images of the folder, so the size of the images "
            "is unknown. Set dataset.image_size and dataset.channels."
        )
    sides = sorted(map(min, sizes))
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    side = sides[(len(sides) - 1) // 2]
    return ImageSurvey(side, 3 if color else 1, by_area[0], by_area[-1], color, len(sizes) - color)
