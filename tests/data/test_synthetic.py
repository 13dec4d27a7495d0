"""nas.data.synthetic: seed, balance and learnability of the random patterns."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nas.data.synthetic import Synthetic
from nas.utils.errors import NasError
from tests.support.case_ids import option_ids
from tests.support.data_tools import pixels


def test_synthetic_depends_on_the_seed() -> None:
    one, same, other = (Synthetic(seed=seed, size=64).splits for seed in (1, 1, 2))
    assert torch.equal(one.train_images, same.train_images)
    assert not torch.equal(one.train_images, other.train_images)
    assert not torch.equal(one.train_images[:64], one.test_images[:64])


def test_synthetic_is_balanced_and_normalized() -> None:
    data = Synthetic(shape=(2, 8, 8), classes=4, size=2050)
    counts = data.splits.train_labels.bincount()
    assert counts.sum() == 2050 and counts.max() - counts.min() <= 1
    x = pixels(data.val_dataloader())
    assert abs(x.mean()) < 0.2 and 0.8 < x.std() < 1.2


def test_synthetic_is_learnable() -> None:
    splits = Synthetic(shape=(3, 8, 8), classes=5, size=500).splits
    train, test = splits.train_images.float().flatten(1), splits.test_images.float().flatten(1)
    centers = torch.stack([train[splits.train_labels == c].mean(0) for c in range(5)])
    assert (torch.cdist(test, centers).argmin(1) == splits.test_labels).float().mean() > 0.95


@pytest.mark.parametrize("options", [{"shape": (3, 8)}, {"classes": 0}, {"size": 0}, {"noise": -1.0}], ids=option_ids)
def test_synthetic_rejects_invalid_options(options: dict[str, Any]) -> None:
    with pytest.raises(NasError, match="needs three numbers|: use "):
        Synthetic(**options)


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_synthetic_noise_is_relative_to_the_patterns(noise: float) -> None:
    """Within a class the images vary by the noise alone: its share of the variance is noise^2 / (1 + noise^2)."""
    splits = Synthetic(shape=(1, 16, 16), classes=2, size=400, noise=noise).splits
    images = splits.train_images[splits.train_labels == 0].float()
    share = float(images.var(dim=0).mean() / 64**2)
    assert share == pytest.approx(noise**2 / (1 + noise**2), abs=0.08)
