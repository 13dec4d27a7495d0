"""nas.data.splits.class_order: data sets whose images are sorted by class."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nas.data.base import ImageData
from nas.data.splits.class_order import is_sorted_by_class
from nas.data.splits.partition import Splits


class Sorted(ImageData):
    """Images of four classes, one class after another."""

    name, shape, classes = "sorted", (1, 4, 4), 4

    def load(self) -> Splits:
        labels = torch.arange(4).repeat_interleave(20)
        images = torch.arange(80, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
        return Splits(images, labels, images[::2], labels[::2])


def data(**options: Any) -> Sorted:
    return Sorted(mean=[0.5], std=[0.3], pad=0, flip=False, batch_size=4, **options)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 0, 1, 1, 2, 2], True),
        ([2, 2, 0, 0, 1, 1, 1], True),
        ([0, 0, 1, 1, 0, 2, 2], False),
        ([0, 1, 0, 1], False),
        ([0, 1, 2], False),
        ([0, 0, 0], False),
    ],
)
def test_order_of_the_classes_is_recognized(labels: list[int], expected: bool) -> None:
    assert is_sorted_by_class(torch.tensor(labels)) is expected


@pytest.mark.parametrize("split", ["halves", 0.75])
def test_both_parts_of_a_search_have_all_classes(split: Any) -> None:
    split_data = data(split=split)
    images, labels = split_data.splits.train_images, split_data.splits.train_labels
    assert torch.equal(images[:, 0, 0, 0] // 20, labels)  # each image keeps its label
    assert sorted(images[:, 0, 0, 0].tolist()) == list(range(80))
    for part in split_data.part_indices().values():
        assert set(labels[part].tolist()) == {0, 1, 2, 3}
    again = data(split=split, seed=5).splits
    assert torch.equal(again.train_images, images)  # the parts do not depend on the seed


def test_held_out_images_are_those_of_the_search() -> None:
    search, training = data(), data(bilevel=False, hold_out=True)
    held = search.splits.train_images[search.part_indices()["val"]]
    assert torch.equal(training.splits.test_images, held)
    assert set(training.splits.train_labels.tolist()) == {0, 1, 2, 3}


def test_halves_of_the_test_images_have_all_classes() -> None:
    search = data(split="nas_bench_201")
    assert set(search.splits.test_labels.tolist()) == {0, 1, 2, 3}
    assert set(search.splits.train_labels[search.part_indices()["val"]].tolist()) == {0, 1, 2, 3}


def test_order_is_kept_where_nothing_is_split_by_position() -> None:
    assert data(bilevel=False).splits.train_labels.tolist() == sorted(data().splits.train_labels.tolist())
