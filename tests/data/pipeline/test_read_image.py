"""Tests of image files as users have them: orientation, transparency, palettes, 16 bits, CMYK, animations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nas.data.pipeline.read_image import is_color, read_image

COLORS = np.array([[[250, 10, 10], [10, 250, 10]], [[10, 10, 250], [90, 90, 90]], [[0, 0, 0], [255, 255, 255]]])


def pixels(path: Path, mode: str = "RGB") -> NDArray[np.int64]:
    return np.asarray(read_image(str(path), mode)).astype(np.int64)  # type: ignore[arg-type]


# EXIF orientation, and the function that restores the upright image from the stored one.
ORIENTATIONS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: np.rot90(x, 1),
}


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "jpg"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_read_image_applies_the_orientation(orientation: int, suffix: str, tmp_path: Path) -> None:
    big = np.kron(COLORS, np.ones((16, 16, 1))).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    Image.fromarray(big).save(tmp_path / f"a.{suffix}", exif=exif, **options)
    found = pixels(tmp_path / f"a.{suffix}")[8::16, 8::16]
    np.testing.assert_allclose(found, ORIENTATIONS[orientation](COLORS), atol=4 if suffix == "jpg" else 0)


def test_read_image_ignores_damaged_exif_data(tmp_path: Path) -> None:
    image = Image.fromarray(COLORS.astype(np.uint8))
    for k, exif in enumerate((b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0garbage", b"\0" * 3)):
        image.save(tmp_path / f"{k}.png", exif=exif)
        np.testing.assert_array_equal(pixels(tmp_path / f"{k}.png"), COLORS)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "tRNS RGB", "tRNS L"])
def test_read_image_blends_transparent_pixels_with_white(mode: str, tmp_path: Path) -> None:
    """The hidden color of a transparent pixel does not show; opaque pixels keep their color."""
    hidden, shown = (20, 20, 20), (90, 90, 90)
    image = Image.new("RGBA", (4, 1), (*shown, 255))
    image.putpixel((0, 0), (*hidden, 0))
    path = tmp_path / "a.png"
    if mode == "P":
        palette = Image.new("P", (4, 1), 1)
        palette.putpalette([*hidden, *shown])
        palette.putpixel((0, 0), 0)
        palette.save(path, transparency=0)
    elif mode.startswith("tRNS"):
        kind = mode[5:]
        image.convert("RGB").convert(kind).save(path, transparency=hidden if kind == "RGB" else hidden[0])
    else:
        image.convert(mode).save(path)
    for target in ("RGB", "L"):
        found = pixels(path, target).reshape(4, -1)
        assert (found[0] == 255).all() and (found[1:] == 90).all()


def test_read_image_blends_half_transparent_pixels(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 1), (55, 155, 255, 128)).save(tmp_path / "a.png")
    expected = [255 + (level - 255) * 128 / 255 for level in (55, 155, 255)]
    np.testing.assert_allclose(pixels(tmp_path / "a.png")[0, 0], expected, atol=1)


def test_read_image_of_16_bits(tmp_path: Path) -> None:
    levels = np.array([[0, 257 * 77, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png", "L").tolist() == [[0, 77, 255]]
    Image.fromarray(levels).save(tmp_path / "b.png", transparency=0)
    assert pixels(tmp_path / "b.png", "L").tolist() == [[255, 77, 255]]


def test_read_image_of_cmyk_and_of_an_animation(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.tiff")
    assert (pixels(tmp_path / "a.tiff") == (255, 0, 0)).all()
    frames = [Image.new("RGB", (8, 8), color) for color in ((255, 0, 0), (0, 255, 0))]
    for name in ("a.gif", "a.webp", "a.png"):
        options = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert (pixels(tmp_path / name) == (255, 0, 0)).all()


@pytest.mark.parametrize(
    ("mode", "color"),
    [*((mode, True) for mode in ("RGB", "RGBA", "P", "CMYK")), *((mode, False) for mode in ("L", "LA", "1", "I;16"))],
)
def test_is_color(mode: str, color: bool) -> None:
    assert is_color(Image.new(mode, (2, 2))) is color
