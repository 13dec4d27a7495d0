"""Small folders of images, written with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nas.data.folder import Folder

CLASSES = ("ant", "bee", "cat")
COLORS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (180, 180, 30), (30, 180, 180))


def write_image(path: Path, label: int, number: int, size: tuple[int, int] = (20, 14), mode: str = "RGB") -> None:
    """Write an image in the color of its class, with noise seeded by label and number."""
    rng = np.random.default_rng(1000 * label + number)
    noise = rng.integers(-30, 30, (size[1], size[0], 3))
    pixels = np.clip(np.array(COLORS[label % len(COLORS)]) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, quality=95)


def image_folder(
    root: Path, train: int = 16, val: int = 4, classes: Sequence[str] = CLASSES, mode: str = "RGB", suffix: str = "JPEG"
) -> Path:
    """Write ``root``/train and ``root``/val with the given number of images per class, in several sizes."""
    for part, count, offset in (("train", train, 0), ("val", val, 500)):
        for label, name in enumerate(classes):
            for number in range(count):
                size = (20 + number % 3, 14 + number % 2)
                write_image(root / part / name / f"{name}_{number}.{suffix}", label, offset + number, size, mode)
    return root


def small_folder(root: Path, **options: Any) -> Folder:
    """Return the data set of a folder with images of 8 x 8 pixels, batches of 4 and no worker processes."""
    return Folder(root, **{"image_size": 8, "channels": 3, "batch_size": 4, "num_workers": 0, **options})


def truncate_file(path: Path) -> Path:
    """Truncate an image file, so that it cannot be decoded."""
    path.write_bytes(path.read_bytes()[:60])
    return path
