"""Images that measurements are taken on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from nas.data.base import ImageData, Images
from nas.data.proxy_batches import ProxyBatches
from nas.data.synthetic import Synthetic
from tests.support.folder_tools import image_folder, small_folder


def pool(data: ImageData, images: Images) -> set[int]:
    """Return the indices of the images that occur in a hundred batches of three."""
    batches = ProxyBatches(data, 0, images)
    return set(torch.cat([batches._sample(3, seed, repeat=False) for seed in range(100)]).tolist())


def test_proxy_batches_sample_the_part_of_the_weights_or_all_training_images() -> None:
    data = Synthetic(shape=(1, 4, 4), size=20, split=0.4, mean=0.5, std=0.25)
    assert pool(data, "weights") == set(range(8))
    assert pool(data, "all") == set(range(20))


def test_proxy_batches_of_all_training_images_have_no_test_images() -> None:
    """With split=nas_bench_201 half of the test images train the architecture."""
    data = Synthetic(shape=(1, 4, 4), size=20, test_size=10, split="nas_bench_201", mean=0.5, std=0.25)
    assert len(data.splits.train_labels) == 25
    assert pool(data, "all") == pool(data, "weights") == set(range(20))


@pytest.mark.parametrize(("images", "count"), [("weights", 6), ("all", 24)])
def test_proxy_batches_of_a_folder(images: Images, count: int, tmp_path: Path) -> None:
    data = small_folder(image_folder(tmp_path, train=8), subset_fractions=(0.25, 0.5))
    found: Tensor = ProxyBatches(data, 0, images)(99)[0]
    assert len(found) == count
