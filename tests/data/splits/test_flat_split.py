"""Tests of the division of class folders into training and test images, and of its file list."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.data.splits.flat_split import read_split, split_flat, split_to_json
from nas.data.splits.folder_index import FolderIndex
from nas.utils.errors import NasError


def index_of(*counts: int) -> FolderIndex:
    names = tuple("abcdef"[: len(counts)])
    files = tuple(f"{name}/{k:03}.png" for name, count in zip(names, counts, strict=True) for k in range(count))
    return FolderIndex(Path("root"), names, files, torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)))


def test_split_flat_takes_a_fraction_of_each_class() -> None:
    index = index_of(100, 10, 3, 2)
    train, test = split_flat(index, 0.2, seed=0)
    assert torch.bincount(test.labels).tolist() == [20, 2, 1, 1]
    assert torch.bincount(train.labels).tolist() == [80, 8, 2, 1]
    assert sorted(train.files + test.files) == list(index.files) and not set(train.files) & set(test.files)
    assert list(train.files) == sorted(train.files) and all(
        file[0] == "abcd"[label] for file, label in zip(test.files, test.labels.tolist(), strict=True)
    )
    assert split_flat(index, 0.2, seed=0)[1].files == test.files != split_flat(index, 0.2, seed=1)[1].files
    assert split_flat(index_of(100), 0.2, seed=0)[1].files == test.files[:20], "a class depends only on itself"
    counts = torch.zeros(100)
    for seed in range(200):
        counts[[int(file[2:5]) for file in split_flat(index_of(100), 0.2, seed)[1].files]] += 1
    assert counts.min() > 15 and counts.max() < 70, "every image is tested in 40 of 200 samples on average"


def test_split_flat_refuses_single_images_and_bad_fractions() -> None:
    with pytest.raises(NasError, match=r"root/b: has a single image"):
        split_flat(index_of(4, 1), 0.2, 0)
    for fraction in (0, 1, -0.5, float("nan")):
        with pytest.raises(NasError, match="dataset.test_fraction=.*between 0 and 1"):
            split_flat(index_of(4, 4), fraction, 0)


def test_read_split_restores_the_parts(tmp_path: Path) -> None:
    index = index_of(10, 6)
    parts = split_flat(index, 0.3, 4)
    (tmp_path / "images.json").write_text(split_to_json(parts))
    more = index_of(12, 7)
    for found, expected in zip(read_split(tmp_path / "images.json", more), parts, strict=True):
        assert found.files == expected.files and torch.equal(found.labels, expected.labels)


Change = Callable[[dict[str, Any]], object]
BAD: list[tuple[Change, str]] = [
    (lambda value: value.update(format="nas-subset"), "format is not 'nas-images'"),
    (lambda value: value["train"].append("../../secret.png"), "lists ../../secret.png, which is not in root"),
    (lambda value: value["train"].append(3), "lists 3, which is not in root"),
    (lambda value: value["train"].append(value["test"][0]), "for both training and test"),
    (lambda value: value.update(test=[]), "lists no files under 'test'"),
    (lambda value: value.update(train=[f for f in value["train"] if f[0] == "a"]), "no images of class 'b' under 'tr"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=range(len(BAD)))
def test_read_split_refuses_other_lists(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    index = index_of(10, 6)
    value = json.loads(split_to_json(split_flat(index, 0.3, 4)))
    change(value)
    (tmp_path / "images.json").write_text(json.dumps(value))
    with pytest.raises(NasError, match=message) as caught:
        read_split(tmp_path / "images.json", index)
    assert str(caught.value).startswith("dataset.test_list=") and "\n" not in str(caught.value)
    for content in (b"\xff\xfe", b"[" * 100_000):
        (tmp_path / "images.json").write_bytes(content)
        with pytest.raises(NasError, match="cannot be read"):
            read_split(tmp_path / "images.json", index)
    with pytest.raises(NasError, match="file not found"):
        read_split(tmp_path / "other.json", index)
