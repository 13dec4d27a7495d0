"""nas.data.pipeline.decode: image files to tensors, in training and evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.data.pipeline.decode import Augmentation, ImageDecoder, to_tensor
from nas.utils.errors import NasError
from tests.support.case_ids import option_ids
from tests.support.folder_tools import write_image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_image_decoder_normalizes_in_evaluation(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", 0, 0, (32, 32))
    found = ImageDecoder(28, MEAN, STD)(str(tmp_path / "a.png"), seed=1)
    with Image.open(tmp_path / "a.png") as image:
        pixels = to_tensor(image).double() / 255
    expected = (pixels[:, 2:30, 2:30] - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(found.double(), expected.double(), atol=1e-5, rtol=0)
    assert torch.equal(found, ImageDecoder(28, MEAN, STD)(str(tmp_path / "a.png"), seed=2))


def test_image_decoder_augments_by_the_seed(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpeg", 0, 0, (40, 30))
    decode = ImageDecoder(16, MEAN, STD, Augmentation(cutout=6), augment=True)
    first, same, other = (decode(str(tmp_path / "a.jpeg"), seed) for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert first.shape == (3, 16, 16) and first.dtype == torch.float32
    holes = int((first == 0).all(0).sum())
    assert 9 <= holes <= 36, "a hole of 6 x 6 pixels, clipped at the borders"


def test_image_decoder_flips_half_of_the_images(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 64), (64, 1)).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    decode = ImageDecoder(16, (0.5,), (1.0,), Augmentation(color_jitter=(0, 0, 0, 0)), augment=True)
    falls = [bool(x[0, 0, 0] > x[0, 0, -1]) for x in (decode(str(tmp_path / "ramp.png"), s) for s in range(200))]
    assert 70 < sum(falls) < 130
    unflipped = Augmentation(color_jitter=(0, 0, 0, 0), flip=False)
    never = ImageDecoder(16, (0.5,), (1.0,), unflipped, augment=True)
    assert not any(bool(x[0, 0, 0] > x[0, 0, -1]) for x in (never(str(tmp_path / "ramp.png"), s) for s in range(20)))


def test_image_decoder_resizes_whole_images_and_crops_after_padding(tmp_path: Path) -> None:
    """Check crop=resize of TE-NAS: with padding, the outputs are shifts of the resized image."""
    write_image(tmp_path / "a.png", 1, 0, (40, 30))
    path = str(tmp_path / "a.png")
    plain = ImageDecoder(32, MEAN, STD, Augmentation(crop="resize"))(path, 0)
    assert plain.shape == (3, 32, 32)
    unchanged = Augmentation(crop="resize", color_jitter=(0, 0, 0, 0), flip=False)
    assert torch.equal(ImageDecoder(32, MEAN, STD, unchanged, augment=True)(path, 5), plain)
    black = -torch.tensor(MEAN) / torch.tensor(STD)
    padded = black[:, None, None].repeat(1, 40, 40)
    padded[:, 4:36, 4:36] = plain
    shifts = [padded[:, y : y + 32, x : x + 32] for y in range(9) for x in range(9)]
    for seed in range(5):
        found = ImageDecoder(32, MEAN, STD, replace(unchanged, pad=4), augment=True)(path, seed)
        assert any(torch.allclose(found, shift, atol=1e-6) for shift in shifts)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "CMYK", "RGBA", "1"])
def test_image_decoder_converts_every_mode(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    Image.new("RGB", (20, 20), (250, 250, 250)).convert(mode).save(path)
    assert ImageDecoder(16, MEAN, STD, augment=True)(str(path), 0).shape == (3, 16, 16)
    assert ImageDecoder(16, (0.4,), (0.2,), augment=True)(str(path), 0).shape == (1, 16, 16)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_image_decoder_scales_16_bit_images(suffix: str, tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(levels).save(path)
    found = ImageDecoder(16, (0.0,), (1.0,), Augmentation(crop="resize"))(str(path), 0)[0]
    np.testing.assert_allclose(found.numpy(), levels / 65535, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_image_decoder_rejects_32_bit_images(kind: type, tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    Image.fromarray(np.full((16, 16), 300, kind)).save(path)
    with pytest.raises(ValueError, match="32-bit"):
        ImageDecoder(16, (0.0,), (1.0,))(str(path), 0)


@pytest.mark.parametrize(
    "options",
    [
        {"scale": (0.5, 0.1)},
        {"scale": (0.0, 1.0)},
        {"color_jitter": (0.4,)},
        {"color_jitter": (0, 0, 0, 0.6)},
        {"pad": 4},
    ],
    ids=option_ids,
)
def test_augmentation_rejects_invalid_options(options: dict[str, object]) -> None:
    with pytest.raises(NasError, match=next(iter(options))):
        Augmentation(**options)  # type: ignore[arg-type]
