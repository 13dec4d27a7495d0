"""nas.data.splits.train_split: images for the weights and for the architecture."""

import json

import pytest

from nas.data.splits.train_split import split_train_images
from nas.utils.errors import NasError
from tests.support.golden_tools import shared_folder

SPLIT_FILE = shared_folder() / "data" / "splits" / "cifar-split.txt"


@pytest.mark.parametrize(("split", "size", "first"), [("halves", 7, 3), (0.8, 10, 8), (0.25, 7, 1)])
def test_split_train_images_by_fraction(split, size, first) -> None:
    train, val = split_train_images(split, size)
    assert train.tolist() == list(range(first)) and val.tolist() == list(range(first, size))


@pytest.mark.parametrize("split", [0.0, 1.0, 1, -0.5, 0.01, float("nan")])
def test_split_train_images_rejects_an_empty_part(split) -> None:
    with pytest.raises(NasError, match="a part of the 10 training images would be empty"):
        split_train_images(split, 10)


@pytest.mark.parametrize(
    "parts", [[[3, 0], [2, 1]], [["int", ["3", "0"]], ["int", ["2", "1"]]]], ids=["plain", "published format"]
)
def test_split_train_images_reads_a_file(tmp_path, parts) -> None:
    path = tmp_path / "split.txt"
    path.write_text(json.dumps(dict(zip(("train", "valid"), parts, strict=True))))
    train, val = split_train_images(str(path), 4)
    assert train.tolist() == [3, 0] and val.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a split file"),
        ('{"xvalid": [0], "xtest": [1]}', r"no 'train' and 'valid' \(only xvalid, xtest\)"),
        ("[0, 1]", r"\(only list\)"),
        ('{"train": ["a"], "valid": [1]}', "'train' is not a list of indices"),
        ('{"train": [0, 1], "valid": [3]}', r"lists 3 indices \(0..3\), but the data set has 4 training images"),
        ('{"train": [0, 1], "valid": [1, 2]}', "lists each of 0..3 once"),
        ('{"train": [], "valid": []}', r"0 indices \(none\)"),
    ],
    ids=["truncated", "test split", "list", "text", "gap", "duplicate", "empty"],
)
def test_split_train_images_rejects_an_invalid_file(tmp_path, content, message) -> None:
    path = tmp_path / "split.txt"
    path.write_text(content)
    with pytest.raises(NasError, match=message) as caught:
        split_train_images(str(path), 4)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_split_train_images_rejects_a_missing_file() -> None:
    with pytest.raises(NasError, match="dataset.split=nowhere.txt: file not found .*Set halves"):
        split_train_images("nowhere.txt", 4)


@pytest.mark.data
@pytest.mark.skipif(not SPLIT_FILE.exists(), reason="the official split files are not beside the repository")
def test_split_train_images_reads_the_official_file() -> None:
    train, val = split_train_images(str(SPLIT_FILE), 50_000)
    # First indices and sums of the published split.
    assert train[:4].tolist() == [0, 5, 7, 11] and train.sum() == 623_618_849
    assert val[:4].tolist() == [1, 2, 3, 4] and val.sum() == 626_356_151
    with pytest.raises(NasError, match="but the data set has 1437 training images"):
        split_train_images(str(SPLIT_FILE), 1437)
