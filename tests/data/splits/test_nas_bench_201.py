"""What is trained and tested on with hold_out and with split=xvalid: the rules of NAS-Bench-201, image by image."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.cli.overrides.inherit_from_search import same_data
from nas.data.cifar import Cifar10
from nas.data.splits.nas_bench_201 import split_test_images
from nas.data.splits.train_split import split_train_images
from nas.data.synthetic import Synthetic
from nas.utils.errors import NasError
from tests.support.data_tools import labels
from tests.support.error_tools import NB201, run
from tests.support.golden_tools import shared_folder

SPLITS = shared_folder() / "data" / "splits"
SIZE, TESTED = 40, 18


def made(**options: Any) -> Synthetic:
    return Synthetic(
        shape=(3, 4, 4), size=SIZE, test_size=TESTED, batch_size=4, **{"bilevel": False, **options}
    )  # fmt: skip


ALL = made().splits


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Split files as the published ones are written."""
    odd, even = range(1, SIZE, 2), range(0, SIZE, 2)
    half = {"train": ["int", [str(i) for i in odd]], "valid": ["int", [str(i) for i in even]]}
    (tmp_path / "train.txt").write_text(json.dumps(half))
    parts = {"xvalid": ["int", [str(i) for i in odd if i < TESTED]], "xtest": [i for i in even if i < TESTED]}
    (tmp_path / "test.txt").write_text(json.dumps(parts))
    return tmp_path


@pytest.mark.parametrize("split", ["halves", 0.7, "file"])
def test_hold_out(split: Any, files: Path) -> None:
    first, second = list(range(20)), list(range(20, 40))
    if split == 0.7:
        first, second = list(range(28)), list(range(28, 40))
    if split == "file":
        split, first, second = str(files / "train.txt"), list(range(1, 40, 2)), list(range(0, 40, 2))
    data = made(split=split, hold_out=True)
    assert data.sizes() == {"train": len(first), "test": len(second)}
    assert torch.equal(data.splits.train_images, ALL.train_images[first])
    assert torch.equal(data.splits.test_images, ALL.train_images[second])
    assert labels(data.test_dataloader()) == ALL.train_labels[second].tolist()
    assert sorted(labels(data.train_dataloader())) == sorted(ALL.train_labels[first].tolist())
    data.test_every_epoch = True
    assert labels(data.val_dataloader()) == ALL.train_labels[second].tolist()


@pytest.mark.parametrize("bilevel", [True, False])
@pytest.mark.parametrize("published", [True, False])
def test_xvalid(bilevel: bool, published: bool, files: Path) -> None:
    valid = list(range(1, TESTED, 2)) if published else list(range(TESTED // 2))
    tested = [i for i in range(TESTED) if i not in valid]
    data = made(split="nas_bench_201", bilevel=bilevel, test_split=files / "test.txt" if published else None)
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


def test_what_is_said(caplog: pytest.LogCaptureFixture, files: Path) -> None:
    with caplog.at_level(logging.INFO):
        made(hold_out=True).setup()
        made(split="nas_bench_201").setup()
        made(split="nas_bench_201", test_split=files / "test.txt").setup()
        made().setup()
    first, second = (record.getMessage() for record in caplog.records)
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
)
def test_mistakes(options: dict[str, Any], words: str) -> None:
    with pytest.raises(NasError, match=words) as caught:
        made(**options).setup()
    assert "\n" not in str(caught.value)


def test_cifar10_has_no_halves_of_test_images() -> None:
    with pytest.raises(NasError, match=r"dataset.split=nas_bench_201: .* Set dataset.split=PATH/cifar-split.txt"):
        Cifar10("nowhere", split="nas_bench_201")


@pytest.mark.data
@pytest.mark.skipif(not SPLITS.exists(), reason="the official split files are not beside the repository")
def test_official_files() -> None:
    """First indices and sums of space_nas_bench_201.md, section 5."""
    train, valid = split_train_images(str(SPLITS / "cifar-split.txt"), 50_000)
    assert train[:4].tolist() == [0, 5, 7, 11] and (int(train.sum()), int(valid.sum())) == (623_618_849, 626_356_151)
    xvalid, xtest = split_test_images(SPLITS / "cifar100-test-split.txt", 10_000, "it")
    assert xvalid[:4].tolist() == [1, 3, 4, 5] and (int(xvalid.sum()), int(xtest.sum())) == (25_109_591, 24_885_409)
    assert len(train) == len(valid) == 25_000 and len(xvalid) == len(xtest) == 5_000


TRAIN = ("dataset=synthetic", "dataset.size=64", "dataset.test_size=20", "dataset.shape=[3,8,8]", "epochs=1")
SMALL = ("network.channels=4", "network.cells_per_stage=1", "dataset.batch_size=16")


def test_cifar10_valid_through_the_front_door(tmp_path: Path) -> None:
    """Tested on what the split leaves; and afterwards, as the benchmark too, on the test images."""
    place = f"hydra.run.dir={tmp_path}/run"
    found = run("train", f"genotype={NB201}", "protocol=nas_bench_201_200_cifar10_valid", *TRAIN, *SMALL, place)
    found.succeeded()
    assert (
        "hold-out       training on 32 of 64 training images, testing on the other 32 (dataset.split=halves)"
        in found.said
    )
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    held = "training images held out by split=halves"
    assert (summary["tested_on"], summary["images"]) == (held, 32) and f"tested on      32 {held}" in found.said
    for name, more, images in (("same", (), 32), ("official", ("dataset.hold_out=false",), 20)):
        run("train", "mode=eval", f"weights={tmp_path}/run", *more, f"hydra.run.dir={tmp_path}/{name}").succeeded()
        evaluated = json.loads((tmp_path / name / "summary.json").read_text())
        assert evaluated["images"] == images
        assert evaluated["tested_on"] == (held if images == 32 else "test images")
        if images == 32:
            assert evaluated["test_accuracy"] == pytest.approx(summary["test_accuracy"])


def test_x_test_through_the_front_door(tmp_path: Path) -> None:
    parts = {"xvalid": list(range(0, 20, 2)), "xtest": list(range(1, 20, 2))}
    (tmp_path / "test.txt").write_text(json.dumps(parts))
    arguments = (
        f"genotype={NB201}",
        "protocol=nas_bench_201_12_cifar100",
        *TRAIN,
        *SMALL,
        "dataset.split=nas_bench_201",
    )
    given = f"dataset.test_split={tmp_path}/test.txt"
    found = run("train", *arguments, given, f"hydra.run.dir={tmp_path}/two")
    found.succeeded()
    assert "test split  " not in found.said
    run("train", "mode=eval", f"weights={tmp_path}/two", f"hydra.run.dir={tmp_path}/eval").succeeded()
    assert json.loads((tmp_path / "eval" / "summary.json").read_text())["images"] == 10
    run("train", *arguments, "dataset.test_split=nowhere.txt", f"hydra.run.dir={tmp_path}/no").refused(
        "file not found", "xtest"
    )


def test_a_training_is_not_tested_on_the_images_of_its_search(tmp_path: Path) -> None:
    """The halves of split=xvalid are taken over from the search, and nothing else of how it shared images out."""
    record = tmp_path / "run" / ".hydra"
    record.mkdir(parents=True)
    (record / "hydra.yaml").write_text("hydra: {runtime: {choices: {dataset: cifar100}}}\n")
    halved, given = ["dataset.split=nas_bench_201", "dataset.test_split=x.txt"], [f"genotype={tmp_path}/run"]
    (record / "overrides.yaml").write_text(json.dumps([*halved, "dataset.bilevel=true"]))
    assert same_data(given) == ["dataset=cifar100", *halved, *given]
    for more in ("dataset.split=halves", "dataset.hold_out=true"):
        assert same_data([*given, more]) == ["dataset=cifar100", *given, more]
    (record / "overrides.yaml").write_text(json.dumps(["dataset.split=xvalid"]))  # of version 0.1.0
    assert same_data(given) == ["dataset=cifar100", "dataset.split=nas_bench_201", *given]
    (record / "overrides.yaml").write_text(json.dumps(["dataset.split=0.8"]))
    assert same_data(given) == ["dataset=cifar100", *given]


def test_what_is_tested_on(files: Path) -> None:
    named = files / "test.txt"
    found = [
        made(**o).describe_test_images()
        for o in ({}, {"split": "nas_bench_201"}, {"split": "nas_bench_201", "test_split": named})
    ]
    half = "half of the test images"
    assert found == ["test images", f"{half} (the second half, in their order)", f"{half} (xtest of {named})"]
