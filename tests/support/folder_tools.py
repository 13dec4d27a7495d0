"""Write small folders of images with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee", "cat")
COLORS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (180, 180, 30), (30, 180, 180))


def picture(path: Path, label: int, number: int, size: tuple[int, int] = (20, 14), mode: str = "RGB") -> None:
    """Write an image in the color of its class, with noise seeded by its number."""
    rng = np.random.default_rng(1000 * label + number)
    noise = rng.integers(-30, 30, (size[1], size[0], 3))
    pixels = np.clip(np.array(COLORS[label % len(COLORS)]) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, quality=95)


def tree(
    root: Path, train: int = 16, val: int = 4, classes: Sequence[str] = CLASSES, mode: str = "RGB", suffix: str = "JPEG"
) -> Path:
    """Write ``root``/train and ``root``/val with the same number of images per class, in several sizes."""
    for part, count, offset in (("train", train, 0), ("val", val, 500)):
        for label, name in enumerate(classes):
            for number in range(count):
                size = (20 + number % 3, 14 + number % 2)
                picture(root / part / name / f"{name}_{number}.{suffix}", label, offset + number, size, mode)
    return root


def spoil(path: Path) -> Path:
    """Truncate an image file in its middle."""
    path.write_bytes(path.read_bytes()[:60])
    return path
