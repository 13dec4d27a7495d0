"""nas.data.pipeline.cifar_augmentation: against loops over images, and statistics of the random numbers."""

import pytest
import torch
from torch import Generator, Tensor

from nas.data.pipeline.cifar_augmentation import (
    EvalTransform,
    TrainTransform,
    cutout,
    normalize,
    random_crop,
    random_flip,
)

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def images(n: int = 40, height: int = 6, width: int = 7) -> Tensor:
    return torch.randint(1, 256, (n, 3, height, width), generator=Generator().manual_seed(0), dtype=torch.uint8)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def crop_by_hand(image: Tensor, pad: int, top: int, left: int) -> Tensor:
    channels, height, width = image.shape
    out = torch.zeros_like(image)
    for y in range(height):
        for x in range(width):
            source_y, source_x = y + top - pad, x + left - pad
            if 0 <= source_y < height and 0 <= source_x < width:
                out[:, y, x] = image[:, source_y, source_x]
    return out


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_random_crop_matches_a_loop_over_images(dtype) -> None:
    x = images().to(dtype)
    got = random_crop(x, 2, seeded())
    offsets = torch.randint(0, 5, (2, len(x)), generator=seeded())
    expected = torch.stack([crop_by_hand(image, 2, *map(int, offsets[:, i])) for i, image in enumerate(x)])
    assert torch.equal(got, expected) and got.dtype == dtype


def test_random_crop_offsets_are_uniform() -> None:
    # A bright pixel in the center marks the offset of its image.
    x = torch.zeros(20_000, 1, 9, 9, dtype=torch.uint8)
    x[:, :, 4, 4] = 1
    count = random_crop(x, 2, seeded()).sum(0)[0].float()
    assert count.sum() == 20_000 and (count > 0).sum() == 25
    assert (count[2:7, 2:7] / 800 - 1).abs().max() < 0.15  # four standard deviations


def test_random_flip_mirrors_half_of_the_images() -> None:
    x = images(2000)
    got = random_flip(x, seeded())
    kept = (got == x).flatten(1).all(1)
    mirrored = torch.stack([(one == other.flip(-1)).all() for one, other in zip(got, x, strict=True)])
    assert torch.equal(kept, ~mirrored) and 900 < kept.sum() < 1100


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_cutout_is_a_clipped_square(size) -> None:
    x = images().float()
    holes = cutout(x, size, seeded()) == 0
    generator = seeded()
    rows, columns = (torch.randint(0, side, (len(x), 1), generator=generator) for side in (6, 7))
    for hole, row, column in zip(holes, rows, columns, strict=True):
        expected = torch.zeros(3, 6, 7, dtype=torch.bool)
        for y in range(int(row) - size // 2, int(row) - size // 2 + size):
            for z in range(int(column) - size // 2, int(column) - size // 2 + size):
                if 0 <= y < 6 and 0 <= z < 7:
                    expected[:, y, z] = True
        assert torch.equal(hole, expected)
    assert torch.equal(cutout(x, size, seeded()).masked_select(~holes), x.masked_select(~holes))


def test_cutout_is_clipped_at_the_borders() -> None:
    n, side, size = 20_000, 16, 8
    hole = (cutout(torch.ones(n, 1, side, side), size, seeded()) == 0)[:, 0]
    heights, widths = hole.any(2).sum(1), hole.any(1).sum(1)
    # A center c covers c - 4 .. c + 3: complete for the 9 centers 4..12, one pixel less per step towards a border.
    expected = torch.zeros(9)
    for center in range(side):
        expected[len([p for p in range(center - 4, center + 4) if 0 <= p < side])] += 1 / side
    for lengths in (heights, widths):
        assert (lengths.bincount(minlength=9) / n - expected).abs().max() < 0.015
    whole = ((heights == 8) & (widths == 8)).float().mean()
    assert abs(whole - (9 / 16) ** 2) < 0.015


def test_cutout_centers_are_uniform() -> None:
    centers = (cutout(torch.ones(20_000, 1, 4, 5), 1, seeded()) == 0)[:, 0].sum(0)
    assert centers.sum() == 20_000 and (centers / 1000 - 1).abs().max() < 0.13


def test_normalize_scales_bytes_and_keeps_its_input() -> None:
    x = images(2)
    expected = torch.empty(x.shape)
    for channel in range(3):
        expected[:, channel] = (x[:, channel] / 255 - MEAN[channel]) / STD[channel]
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    assert torch.allclose(normalize(x, mean, std), expected, atol=1e-6)
    scaled = x / 255
    before = scaled.clone()
    assert torch.allclose(normalize(scaled, mean, std), expected, atol=1e-6) and torch.equal(scaled, before)
    assert torch.equal(EvalTransform(MEAN, STD)(x), normalize(x, mean, std))


def test_train_transform_pads_with_black_and_cuts_out_the_mean() -> None:
    white = torch.full((500, 3, 6, 6), 255, dtype=torch.uint8)
    out = TrainTransform(MEAN, STD, pad=2, flip=True, cutout=2)(white, seeded())
    for channel in range(3):
        black, bright = -MEAN[channel] / STD[channel], (1 - MEAN[channel]) / STD[channel]
        values = out[:, channel].unique()
        assert torch.allclose(values, torch.tensor([black, 0.0, bright]), atol=1e-6)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_train_transform_applies_cutout_with_its_probability(probability) -> None:
    transform = TrainTransform((0.0,), (1.0,), pad=0, flip=False, cutout=3)
    transform.cutout_probability = probability
    with_hole = (transform(torch.ones(20_000, 1, 8, 8), Generator().manual_seed(0)) == 0).flatten(1).any(1)
    assert abs(float(with_hole.float().mean()) - probability) <= 4 * (probability * (1 - probability) / 20_000) ** 0.5


def test_train_transform_without_options_is_the_eval_transform() -> None:
    x = images()
    plain = TrainTransform(MEAN, STD, pad=0, flip=False, cutout=0)
    assert torch.equal(plain(x, seeded()), EvalTransform(MEAN, STD)(x))


def test_train_transform_depends_on_its_generator() -> None:
    x, transform = images(), TrainTransform(MEAN, STD, pad=2, cutout=3)
    one, same, other = (transform(x, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert one.shape == x.shape and one.dtype == torch.float32


@pytest.mark.gpu
def test_train_transform_does_not_synchronize_the_device() -> None:
    x = images().to("cuda")
    transform, generator = TrainTransform(MEAN, STD, pad=2, cutout=3), Generator("cuda").manual_seed(0)
    transform(x, generator)
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        assert transform(x, generator.manual_seed(1)).is_cuda
    finally:
        torch.cuda.set_sync_debug_mode(mode)
