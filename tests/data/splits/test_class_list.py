"""nas.data.splits.class_list: folders, labels and names of the listed classes, also in runs of train.py."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from nas.data.folder import Folder
from nas.data.splits.class_list import read_class_list
from nas.utils.errors import NasError
from tests.support.error_tools import NB201, run
from tests.support.folder_tools import COLORS, image_folder

SMALL = ("image_size", 8), ("channels", 3), ("batch_size", 4), ("num_workers", 0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write classes ant (red), bee (green) and cat (blue, without test images)."""
    found = image_folder(tmp_path_factory.mktemp("images"), train=6, val=3)
    for file in (found / "val" / "cat").iterdir():
        file.unlink()
    (found / "val" / "cat").rmdir()
    return found


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_read_class_list_returns_folders_and_names_in_order(tmp_path: Path) -> None:
    present = ["n02", "n01", "n03", "sea lion"]
    file = written(tmp_path / "l.txt", "# ImageNet\nn03 tench, Tinca tinca\n\nsea lion\nn01\ta\n")
    assert read_class_list(file, present) == (("n03", "sea lion", "n01"), ("tench, Tinca tinca", "sea lion", "a"))


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("ant\nbea", "unknown folder 'bea': did you mean 'bee'"),
        ("ant\nbee\nant the first", "lists the class 'ant' twice"),
        ("ant", "lists 1 class"),
        ("", "lists 0 class"),
    ],
    ids=["unknown folder", "duplicate", "one class", "empty"],
)
def test_read_class_list_rejects_invalid_lists(text: str, phrase: str, tmp_path: Path) -> None:
    with pytest.raises(NasError, match=phrase):
        read_class_list(written(tmp_path / "l.txt", text), ["ant", "bee"])
    with pytest.raises(NasError, match="nowhere.txt: cannot be read"):
        read_class_list(tmp_path / "nowhere.txt", ["ant", "bee"])


def test_class_list_sets_the_labels(root: Path, tmp_path: Path) -> None:
    """Check the labels by the colors of the images: green images have label 0."""
    data = Folder(root, class_list=written(tmp_path / "l.txt", "bee honey bee\nant"), bilevel=False, **dict(SMALL))
    data.setup()
    assert (data.classes, data.class_names) == (2, ("honey bee", "ant")) and data.sizes() == {"train": 12, "test": 6}
    mean, std = torch.tensor(data.mean)[:, None], torch.tensor(data.std)[:, None]
    for x, y in data.test_dataloader():
        colors = (x.mean((2, 3)).T * std + mean).T * 255
        for color, label in zip(colors, y.tolist(), strict=True):
            expected = torch.tensor(COLORS[(1, 0)[label]]).float()
            assert (color - expected).abs().max() < 20


def test_class_list_selects_classes_of_train_and_evaluation(root: Path, tmp_path: Path) -> None:
    """Reject folders that differ without a list; with a list, train and evaluate on the two listed classes."""
    size = ("network.channels=4", "network.cells_per_stage=1", "epochs=1", f"genotype={NB201}")
    data = ["dataset=folder", f"dataset.root={root}", *(f"dataset.{key}={value}" for key, value in SMALL)]
    whole = run("train", *size, *data, f"hydra.run.dir={tmp_path}/whole")
    whole.refused("class 'cat' is in train/ but not in val/", "dataset.class_list")
    file = written(tmp_path / "my list.txt", "bee honey bee\nant\n")
    run("train", *size, *data, f"dataset.class_list={file}", f"hydra.run.dir={tmp_path}/a").succeeded()
    run("train", "mode=eval", f"weights={tmp_path}/a", "evaluation.runs=1", f"hydra.run.dir={tmp_path}/b").succeeded()
    trained, found = (json.loads((tmp_path / name / "summary.json").read_text()) for name in "ab")
    assert found["test_loss"] == pytest.approx(trained["test_loss"], rel=1e-5) and found["images"] == 6
    with (tmp_path / "b" / "classes.csv").open() as lines:
        assert [row["class"] for row in csv.DictReader(lines)] == ["honey bee", "ant"]
    file.write_text("bee\ncat\n")
    absent = run("train", *size, *data, f"dataset.class_list={file}", f"hydra.run.dir={tmp_path}/c")
    absent.refused("val/cat: no such folder", "dataset.class_list")
