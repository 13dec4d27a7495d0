"""nas.data.splits.class_subset: random subsets of each class, and their list of files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nas.data.splits.class_subset import sample_subset
from nas.data.splits.folder_index import FolderIndex
from nas.utils.errors import NasError
from tests.support.folder_tools import image_folder, small_folder, write_image


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("images"))


def index_of(counts: dict[str, int]) -> FolderIndex:
    files = [f"{name}/{n:04}.jpg" for name, count in sorted(counts.items()) for n in range(count)]
    numbers = [i for i, name in enumerate(sorted(counts)) for _ in range(counts[name])]
    return FolderIndex(Path("fake"), tuple(sorted(counts)), tuple(files), torch.tensor(numbers))


def test_sample_subset_takes_disjoint_fractions_of_each_class() -> None:
    counts = {"a": 1300, "b": 732, "c": 100, "d": 40}
    index = index_of(counts)
    train, val = sample_subset(index, (0.1, 0.025), seed=0)
    assert index.labels[train].bincount().tolist() == [130, 73, 10, 4]
    assert index.labels[val].bincount().tolist() == [32, 18, 2, 1]
    assert not set(train.tolist()) & set(val.tolist()) and train.tolist() == sorted(set(train.tolist()))
    assert sample_subset(index_of({"a": 100}), (0.29, 0.1), 0)[0].numel() == 29, "not 28, as with floats"


def test_sample_subset_depends_on_seed_and_class_alone() -> None:
    def names(counts: dict[str, int], seed: int) -> set[str]:
        index = index_of(counts)
        return {index.files[i] for i in sample_subset(index, (0.1, 0.1), seed)[0].tolist()}

    both = names({"a": 200, "b": 300}, 1)
    assert both == names({"a": 200, "b": 300}, 1) != names({"a": 200, "b": 300}, 2)
    assert {file for file in both if file.startswith("b")} == names({"b": 300}, 1)


def test_sample_subset_is_uniform() -> None:
    index = index_of({"a": 20})
    times = torch.zeros(20)
    for seed in range(400):
        times[sample_subset(index, (0.25, 0.25), seed)[0]] += 1
    assert times.min() > 60 and times.max() < 145  # 100 expected, standard deviation 8.7


def test_read_subset_restores_the_sample(root: Path, tmp_path: Path) -> None:
    first = small_folder(
        root, subset_fractions=(0.25, 0.125), subset_seed=3, subset_file=tmp_path / "run" / "subset.json"
    )
    assert first.sizes() == {"train": 12, "val": 6, "test": 12}
    other = small_folder(root, subset=tmp_path / "run" / "subset.json", subset_seed=4)
    assert {k: v.tolist() for k, v in other.part_indices().items()} == {
        k: v.tolist() for k, v in first.part_indices().items()
    }
    listed = json.loads((tmp_path / "run" / "subset.json").read_text())
    assert len(listed["train"]) == 12 and listed["train"][0].startswith("ant/ant_")


def test_subset_file_rejects_a_changed_folder(tmp_path: Path) -> None:
    image_folder(tmp_path, 8, 1)
    small_folder(tmp_path, subset_file=tmp_path / "subset.json").setup()
    small_folder(tmp_path, subset_file=tmp_path / "subset.json").setup()
    write_image(tmp_path / "train" / "ant" / "new.jpg", 0, 99)
    with pytest.raises(NasError, match="has changed since the start of this run"):
        small_folder(tmp_path, subset_file=tmp_path / "subset.json").setup()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: {**c, "train": [*c["train"], "ant/gone.jpg"]}, "lists ant/gone.jpg, which is not in"),
        (lambda c: {**c, "valid": c["train"]}, "for both the weights and the architecture"),
        (lambda c: {**c, "train": []}, "no files under 'train'"),
        (lambda c: {**c, "train": c["train"][:1] * 2}, "twice under 'train'"),
        (lambda c: {"train": [0], "valid": [1]}, "not a file list of a subset"),
    ],
    ids=["missing image", "overlap", "empty part", "duplicate", "other format"],
)
def test_read_subset_rejects_invalid_lists(change, message: str, root: Path, tmp_path: Path) -> None:
    small_folder(root, subset_file=tmp_path / "a.json").setup()
    (tmp_path / "b.json").write_text(json.dumps(change(json.loads((tmp_path / "a.json").read_text()))))
    with pytest.raises(NasError, match=message):
        small_folder(root, subset=tmp_path / "b.json").setup()


def test_subset_is_rejected_without_bilevel(root: Path, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="a training uses all images"):
        small_folder(root, subset=tmp_path / "subset.json", bilevel=False)


def test_subset_rejects_missing_files_and_bad_fractions(root: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text("{")
    for name, message in (("nowhere.json", "file not found"), ("cut.json", "cannot be read")):
        with pytest.raises(NasError, match=message):
            small_folder(root, subset=tmp_path / name).setup()
    for fractions in ((0.5,), (0.9, 0.2), (0.0, 0.1)):
        with pytest.raises(NasError, match="subset_fractions"):
            small_folder(root, subset_fractions=fractions).setup()
    with pytest.raises(NasError, match="has 1 image.* needs 2"):
        sample_subset(index_of({"a": 1}), (0.1, 0.1), 0)


def test_sample_subset_of_classes_of_equal_size_differs() -> None:
    train, val = sample_subset(index_of({"a": 200, "b": 200}), (0.1, 0.1), 0)
    for part in (train, val):
        assert (part[:20] != part[20:] - 200).any()
