"""Small folders of images, made with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee", "cat")
COLORS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (180, 180, 30), (30, 180, 180))


def picture(path: Path, label: int, number: int, size: tuple[int, int] = (20, 14), mode: str = "RGB") -> None:
    """One image of its class's color, with noise that its number tells."""
    rng = np.random.default_rng(1000 * label + number)
    noise = rng.integers(-30, 30, (size[1], size[0], 3))
    pixels = np.clip(np.array(COLORS[label % len(COLORS)]) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, quality=95)


def tree(
    root: Path, train: int = 16, val: int = 4, classes: Sequence[str] = CLASSES, mode: str = "RGB", suffix: str = "JPEG"
) -> Path:
    """``root``/train and ``root``/val with as many images in each class, of several sizes."""
    for part, count, offset in (("train", train, 0), ("val", val, 500)):
        for label, name in enumerate(classes):
            for number in range(count):
                size = (20 + number % 3, 14 + number % 2)
                picture(root / part / name / f"{name}_{number}.{suffix}", label, offset + number, size, mode)
    return root


def spoil(path: Path) -> Path:
    """Cuts an image file off in its middle."""
    path.write_bytes(path.read_bytes()[:60])
    return path
