"""nas.data.splits.partition: images of a hold-out training and of split=nas_bench_201."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.data.synthetic import Synthetic
from nas.utils.errors import NasError
from tests.support.case_ids import option_ids
from tests.support.data_tools import labels

SIZE, TEST_SIZE = 40, 18


def small_data(**options: Any) -> Synthetic:
    return Synthetic(
        shape=(3, 4, 4), size=SIZE, test_size=TEST_SIZE, batch_size=4, **{"bilevel": False, **options}
    )  # fmt: skip


ALL = small_data().splits


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Write split files in the published format."""
    odd, even = range(1, SIZE, 2), range(0, SIZE, 2)
    half = {"train": ["int", [str(i) for i in odd]], "valid": ["int", [str(i) for i in even]]}
    (tmp_path / "train.txt").write_text(json.dumps(half))
    parts = {"xvalid": ["int", [str(i) for i in odd if i < TEST_SIZE]], "xtest": [i for i in even if i < TEST_SIZE]}
    (tmp_path / "test.txt").write_text(json.dumps(parts))
    return tmp_path


@pytest.mark.parametrize("split", ["halves", 0.7, "file"])
def test_partition_holds_out_a_part(split: Any, files: Path) -> None:
    first, second = list(range(20)), list(range(20, 40))
    if split == 0.7:
        first, second = list(range(28)), list(range(28, 40))
    if split == "file":
        split, first, second = str(files / "train.txt"), list(range(1, 40, 2)), list(range(0, 40, 2))
    data = small_data(split=split, hold_out=True)
    assert data.sizes() == {"train": len(first), "test": len(second)}
    assert torch.equal(data.splits.train_images, ALL.train_images[first])
    assert torch.equal(data.splits.test_images, ALL.train_images[second])
    assert labels(data.test_dataloader()) == ALL.train_labels[second].tolist()
    assert sorted(labels(data.train_dataloader())) == sorted(ALL.train_labels[first].tolist())
    data.test_every_epoch = True
    assert labels(data.val_dataloader()) == ALL.train_labels[second].tolist()


@pytest.mark.parametrize("bilevel", [True, False])
@pytest.mark.parametrize("published", [True, False])
def test_partition_halves_the_test_images(bilevel: bool, published: bool, files: Path) -> None:
    valid = list(range(1, TEST_SIZE, 2)) if published else list(range(TEST_SIZE // 2))
    tested = [i for i in range(TEST_SIZE) if i not in valid]
    data = small_data(split="nas_bench_201", bilevel=bilevel, test_split=files / "test.txt" if published else None)
    want = {"train": SIZE, "val": len(valid), "test": len(tested)}
    assert data.sizes() == (want if bilevel else {k: v for k, v in want.items() if k != "val"})
    assert torch.equal(data.splits.test_images, ALL.test_images[tested])
    if not bilevel:
        assert torch.equal(data.splits.train_images, ALL.train_images)
        return
    assert labels(data.val_dataloader()) == ALL.test_labels[valid].tolist()
    batch = next(iter(data.train_dataloader()))[0]
    assert set(batch) == {"train", "val"}
    assert Counter(labels([batch["val"]])) <= Counter(ALL.test_labels[valid].tolist())
    parts = data.part_indices()
    assert torch.equal(data.splits.train_images[parts["val"]], ALL.test_images[valid])
    assert torch.equal(data.splits.train_images[parts["train"]], ALL.train_images)


def test_partition_logs_the_test_images(caplog: pytest.LogCaptureFixture, files: Path) -> None:
    with caplog.at_level(logging.INFO):
        small_data(hold_out=True).setup()
        small_data(split="nas_bench_201").setup()
        small_data(split="nas_bench_201", test_split=files / "test.txt").setup()
        small_data().setup()
    first, second = (r.getMessage() for r in caplog.records if r.name == "nas.data.splits.partition")
    assert "training on 20 of 40 training images, testing on the other 20 (dataset.split=halves)" in first
    assert "second half of the 18 test images" in second and "dataset.test_split=" in second


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hold_out": True, "bilevel": True}, "hold_out=true"),
        (
            {"hold_out": True, "split": "nas_bench_201"},
            "dataset.hold_out=true: dataset.split=nas_bench_201 holds out no",
        ),
        ({"test_split": "x"}, "dataset.test_split=x: has no effect with dataset.split=halves"),
        (
            {"split": "nas_bench_201", "test_split": "nowhere.txt"},
            "dataset.test_split=nowhere.txt: file not found .* Set the path of a file",
        ),
        ({"hold_out": True, "split": "nowhere.txt"}, "file not found"),
        ({"split": "xvalid"}, "dataset.split=xvalid: this value was renamed. Set dataset.split=nas_bench_201"),
    ],
    ids=option_ids,
)
def test_partition_rejects_invalid_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(NasError, match=words) as caught:
        small_data(**options).setup()
    assert "\n" not in str(caught.value)


def test_partition_describes_the_test_images(files: Path) -> None:
    named = files / "test.txt"
    found = [
        small_data(**o).describe_test_images()
        for o in ({}, {"split": "nas_bench_201"}, {"split": "nas_bench_201", "test_split": named})
    ]
    half = "half of the test images"
    assert found == ["test images", f"{half} (the second half, in their order)", f"{half} (xtest of {named})"]
