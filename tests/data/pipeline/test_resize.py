"""nas.data.pipeline.resize: against Pillow, and in runs of train.py with a mobile network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Generator, Tensor

from nas.data.cifar import Cifar10
from nas.data.pipeline.cifar_augmentation import TrainTransform
from nas.data.pipeline.imagenet_augmentation import center_crop
from nas.data.pipeline.resize import Resize
from nas.data.synthetic import Synthetic
from nas.utils.errors import NasError
from tests.support.case_ids import option_ids
from tests.support.error_tools import run

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=Generator().manual_seed(0), dtype=torch.uint8)


def by_pillow(image: Tensor, size: int, side: int) -> Tensor:
    """Resize the shorter side to ``side`` and crop the center with Pillow, as in published code on CIFAR."""
    height, width = image.shape[1:]
    short = min(height, width)
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    picture = picture.resize((side * width // short, side * height // short), Image.Resampling.BILINEAR)
    left, upper = (round((length - size) / 2) for length in picture.size)
    return torch.from_numpy(np.array(picture.crop((left, upper, left + size, upper + size)))).permute(2, 0, 1)


@pytest.mark.parametrize(
    ("shape", "size", "side", "share"),
    [
        ((32, 32), 224, 256, 0.0),
        ((32, 32), 224, 224, 0.0),
        ((32, 32), 28, 32, 0.0),
        ((24, 36), 96, 100, 0.05),
        ((64, 48), 16, 20, 0.005),
    ],
)
def test_resize_matches_pillow(shape: tuple[int, int], size: int, side: int, share: float) -> None:
    """Expect equal pixels for CIFAR; elsewhere few differ by up to two levels, since Pillow uses integers."""
    x = images(3, 3, *shape)
    got = Resize(size, side)(x)
    expected = torch.stack([by_pillow(image, size, side) for image in x])
    assert got.dtype == torch.uint8 and got.shape == expected.shape == (3, 3, size, size)
    apart = (got.int() - expected.int()).abs()
    assert apart.max() <= 2 and (apart > 0).float().mean() <= share


def test_resize_matches_the_center_crop_of_files() -> None:
    """Compare ``Resize(224, 256)`` with the center crop of ``ImageDecoder``."""
    x = images(1, 3, 40, 40)
    picture = center_crop(Image.fromarray(x[0].permute(1, 2, 0).numpy()), 224)
    expected = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    assert (Resize(224, 256)(x)[0].int() - expected.int()).abs().max() <= 1


def test_resize_does_not_round_float_images() -> None:
    x = torch.rand(2, 1, 8, 8, generator=Generator().manual_seed(0))
    got = Resize(24)(x)
    expected = torch.nn.functional.interpolate(x, (24, 24), mode="bilinear")
    torch.testing.assert_close(got, expected)


def test_resize_random_crop_is_uniform() -> None:
    x = images(1, 1, 8, 8).expand(3000, -1, -1, -1)
    whole, resize = Resize(12)(x[:1])[0, 0], Resize(9, 12)
    got = resize.random_crop(x, Generator().manual_seed(0))
    windows = whole.unfold(0, 9, 1).unfold(1, 9, 1).reshape(16, -1)
    places = (got.reshape(len(x), 1, -1) == windows).all(2)
    assert bool((places.sum(1) == 1).all())
    assert (places.sum(0) / (len(x) / 16) - 1).abs().max() < 0.35  # five standard deviations


def test_train_transform_resizes_before_cutout() -> None:
    x = torch.full((4, 3, 8, 8), 255, dtype=torch.uint8)
    out = TrainTransform((0.5,) * 3, (0.5,) * 3, pad=0, flip=True, cutout=4, resize=Resize(16))(x, Generator())
    assert out.shape == (4, 3, 16, 16) and set(out.unique().tolist()) == {0.0, 1.0}
    assert 4 <= int((out[0, 0] == 0).sum()) <= 16, "the hole has the size in pixels of the resized image"


def test_resize_sets_the_shape_of_a_data_set() -> None:
    data = Synthetic(shape=(3, 8, 8), size=32, test_size=8, image_size=16, resize=18, batch_size=8, bilevel=False)
    assert data.shape == (3, 16, 16) and data.splits.train_images.shape == (32, 3, 8, 8)
    assert all(
        x.shape[1:] == (3, 16, 16) for loader in (data.train_dataloader(), data.test_dataloader()) for x, _ in loader
    )
    plain = Synthetic(shape=(3, 8, 8), size=32, test_size=8)
    x = next(iter(plain.test_dataloader()))[0]
    assert torch.equal(x, plain.test_dataloader().transform(plain.splits.test_images, None)), "unchanged without resize"
    assert Cifar10(".", image_size=224).shape == (3, 224, 224)


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        ({"image_size": 4}, "image_size=4, dataset.resize=None: out of range"),
        ({"image_size": 64, "resize": 32}, "image_size=64, dataset.resize=32"),
        ({"resize": 64}, "dataset.resize=64: has no effect without dataset.image_size"),
    ],
    ids=option_ids,
)
def test_resize_rejects_invalid_sizes(options: dict[str, Any], phrase: str) -> None:
    with pytest.raises(NasError, match=phrase):
        Cifar10(".", **options)


def test_resize_in_training_and_evaluation_of_a_mobile_network(tmp_path: Path) -> None:
    """Train on resized images, then evaluate: the evaluation inherits the size and has the same result."""
    tiny = ["dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.size=16", "dataset.test_size=8"]
    size = ["dataset.image_size=40", "dataset.resize=44", "dataset.batch_size=8"]
    arguments = ["genotype=NoisyDARTS_A", "epochs=1", f"hydra.run.dir={tmp_path}/a"]
    run("train", *tiny, *size, *arguments).succeeded()
    run("train", "mode=eval", f"weights={tmp_path}/a", "evaluation.runs=1", f"hydra.run.dir={tmp_path}/b").succeeded()
    trained, found = (json.loads((tmp_path / name / "summary.json").read_text()) for name in "ab")
    assert found["test_loss"] == pytest.approx(trained["test_loss"], rel=1e-5)
    assert found["macs"] == trained["macs"] and found["images"] == 8
    model = torch.load(tmp_path / "a" / "model.pt", weights_only=True)
    assert model["shape"] == [3, 40, 40]
