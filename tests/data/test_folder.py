"""Images in folders: what is found, how it is shared out, and what a loader makes of it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from nas.data.folder import Folder
from nas.data.splits.class_subset import sample_subset
from nas.data.splits.folder_index import FolderIndex, index_folder
from nas.utils.errors import NasError
from tests.support.data_tools import labels, pixels
from tests.support.folder_tools import CLASSES, picture, spoil, tree


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("images"))


def data(root: Path, **options) -> Folder:
    return Folder(root, **{"image_size": 8, "channels": 3, "batch_size": 4, "num_workers": 0, **options})


def fake(counts: dict[str, int]) -> FolderIndex:
    files = [f"{name}/{n:04}.jpg" for name, count in sorted(counts.items()) for n in range(count)]
    numbers = [i for i, name in enumerate(sorted(counts)) for _ in range(counts[name])]
    return FolderIndex(Path("fake"), tuple(sorted(counts)), tuple(files), torch.tensor(numbers))


class TestIndex:
    def test_sorted_classes_and_files(self, root: Path) -> None:
        found = index_folder(root / "train")
        assert found.classes == CLASSES and list(found.files) == sorted(found.files)
        assert found.labels.tolist() == [CLASSES.index(file.split("/")[0]) for file in found.files]
        assert len(found.files) == 48

    def test_what_is_no_image_is_left_out(self, tmp_path: Path) -> None:
        tree(tmp_path, 2, 1)
        for name in (".hidden.jpg", "notes.txt"):
            (tmp_path / "train" / "ant" / name).write_text("x")
        (tmp_path / "train" / ".cache").mkdir()
        (tmp_path / "train" / "list.txt").write_text("x")
        assert len(index_folder(tmp_path / "train").files) == 6

    def test_shape_and_classes_come_from_the_folder(self, tmp_path: Path) -> None:
        tree(tmp_path / "gray", 2, 1, mode="L", suffix="png")
        gray, color = Folder(tmp_path / "gray"), Folder(tree(tmp_path / "color", 2, 1, ["a", "b"]))
        assert (gray.shape, gray.classes) == ((1, 14, 14), 3) and (color.shape, color.classes) == ((3, 14, 14), 2)
        assert gray.mean == (0.449,) and color.std == (0.229, 0.224, 0.225)

    def test_mistakes(self, tmp_path: Path) -> None:
        def told(**options) -> str:
            with pytest.raises(NasError) as caught:
                data(tmp_path, **options).setup()
            assert "\n" not in str(caught.value)
            return str(caught.value)

        with pytest.raises(NasError, match="dataset.root=null: missing"):
            Folder(None)
        assert f"{tmp_path}/train: no such folder" in told(classes=3)
        (tmp_path / "train").mkdir()
        assert "has no class folders" in told(classes=3)
        tree(tmp_path, 4, 1)
        assert "dataset.classes=5" in told(classes=5)
        (tmp_path / "val" / "dog").mkdir()
        assert f"{tmp_path}/val/dog: has no images" in told()
        picture(tmp_path / "val" / "dog" / "a.jpg", 0, 0)
        assert "class 'dog' is in val/ but not in train/" in told()
        for name in ("eel", "fly"):
            picture(tmp_path / "train" / name / "a.jpg", 0, 0)
        assert "class 'eel' and 1 more is in train/ but not in val/" in told()
        assert "image_size=4" in told(image_size=4)
        assert "dataset.pad=4" in told(pad=4)


class TestSubset:
    def test_portions_of_each_class_without_overlap(self) -> None:
        counts = {"a": 1300, "b": 732, "c": 100, "d": 40}
        index = fake(counts)
        train, val = sample_subset(index, (0.1, 0.025), seed=0)
        assert index.labels[train].bincount().tolist() == [130, 73, 10, 4]
        assert index.labels[val].bincount().tolist() == [32, 18, 2, 1]
        assert not set(train.tolist()) & set(val.tolist()) and train.tolist() == sorted(set(train.tolist()))
        assert sample_subset(fake({"a": 100}), (0.29, 0.1), 0)[0].numel() == 29, "not 28, as floats would have it"

    def test_follows_the_seed_and_each_class_for_itself(self) -> None:
        def names(counts: dict[str, int], seed: int) -> set[str]:
            index = fake(counts)
            return {index.files[i] for i in sample_subset(index, (0.1, 0.1), seed)[0].tolist()}

        both = names({"a": 200, "b": 300}, 1)
        assert both == names({"a": 200, "b": 300}, 1) != names({"a": 200, "b": 300}, 2)
        assert {file for file in both if file.startswith("b")} == names({"b": 300}, 1)

    def test_every_image_is_as_likely(self) -> None:
        index = fake({"a": 20})
        times = torch.zeros(20)
        for seed in range(400):
            times[sample_subset(index, (0.25, 0.25), seed)[0]] += 1
        assert times.min() > 60 and times.max() < 145  # 100 expected, standard deviation 8.7

    def test_the_list_gives_the_same_images_again(self, root: Path, tmp_path: Path) -> None:
        first = data(root, subset_fractions=(0.25, 0.125), subset_seed=3, subset_file=tmp_path / "run" / "subset.json")
        assert first.sizes() == {"train": 12, "val": 6, "test": 12}
        other = data(root, subset=tmp_path / "run" / "subset.json", subset_seed=4)
        assert {k: v.tolist() for k, v in other.part_indices().items()} == {
            k: v.tolist() for k, v in first.part_indices().items()
        }
        listed = json.loads((tmp_path / "run" / "subset.json").read_text())
        assert len(listed["train"]) == 12 and listed["train"][0].startswith("ant/ant_")

    def test_a_run_that_goes_on_finds_other_images(self, tmp_path: Path) -> None:
        tree(tmp_path, 8, 1)
        data(tmp_path, subset_file=tmp_path / "subset.json").setup()
        data(tmp_path, subset_file=tmp_path / "subset.json").setup()
        picture(tmp_path / "train" / "ant" / "new.jpg", 0, 99)
        with pytest.raises(NasError, match="has changed since the start of this run"):
            data(tmp_path, subset_file=tmp_path / "subset.json").setup()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda c: {**c, "train": [*c["train"], "ant/gone.jpg"]}, "lists ant/gone.jpg, which is not in"),
            (lambda c: {**c, "valid": c["train"]}, "for both the weights and the architecture"),
            (lambda c: {**c, "train": []}, "no files under 'train'"),
            (lambda c: {**c, "train": c["train"][:1] * 2}, "twice under 'train'"),
            (lambda c: {"train": [0], "valid": [1]}, "not a file list of a subset"),
        ],
    )
    def test_bad_lists(self, change, message: str, root: Path, tmp_path: Path) -> None:
        data(root, subset_file=tmp_path / "a.json").setup()
        (tmp_path / "b.json").write_text(json.dumps(change(json.loads((tmp_path / "a.json").read_text()))))
        with pytest.raises(NasError, match=message):
            data(root, subset=tmp_path / "b.json").setup()

    def test_a_list_that_nothing_would_read(self, root: Path, tmp_path: Path) -> None:
        with pytest.raises(NasError, match="a training uses all images"):
            data(root, subset=tmp_path / "subset.json", bilevel=False)

    def test_no_list_and_bad_portions(self, root: Path, tmp_path: Path) -> None:
        (tmp_path / "cut.json").write_text("{")
        for name, message in (("nowhere.json", "file not found"), ("cut.json", "cannot be read")):
            with pytest.raises(NasError, match=message):
                data(root, subset=tmp_path / name).setup()
        for fractions in ((0.5,), (0.9, 0.2), (0.0, 0.1)):
            with pytest.raises(NasError, match="subset_fractions"):
                data(root, subset_fractions=fractions).setup()
        with pytest.raises(NasError, match="has 1 image.* needs 2"):
            sample_subset(fake({"a": 1}), (0.1, 0.1), 0)


class TestBatches:
    def test_every_image_once_with_its_label(self, root: Path) -> None:
        made = data(root, bilevel=False, color_jitter=(0, 0, 0, 0))
        assert sorted(labels(made.train_dataloader())) == [0] * 16 + [1] * 16 + [2] * 16
        assert labels(made.test_dataloader()) == [0] * 4 + [1] * 4 + [2] * 4
        x, y = next(iter(made.train_dataloader()))
        assert x.shape == (4, 3, 8, 8) and x.dtype == torch.float32 and y.dtype == torch.int64
        brightest = {0: 0, 1: 1, 2: 2}  # each class is of its color
        for image, label in zip(pixels(made.test_dataloader()), labels(made.test_dataloader()), strict=True):
            assert int(image.mean((1, 2)).argmax()) == brightest[label]

    def test_neither_workers_nor_ranks_nor_batches_change_an_image(self, root: Path) -> None:
        """Each image of an epoch by its label and its pixels, whoever loads it."""

        def of(rank: int = 0, world: int = 1, **options) -> list[tuple[int, float]]:
            made = data(root, bilevel=False, **options)
            loader = made.train_dataloader()
            loader.rank, loader.world = rank, world
            loader.set_epoch(2)
            return [
                (int(label), float(image.double().sum())) for x, y in loader for image, label in zip(x, y, strict=True)
            ]

        expected = of()
        assert of(num_workers=2) == expected and of(batch_size=7) == expected
        ranks = of(0, 2) + of(1, 2)
        assert sorted(ranks) == sorted(expected) and of(0, 2) == expected[::2]
        assert sorted(of(seed=1)) != sorted(expected)

    def test_the_global_generator_is_left_alone(self, root: Path) -> None:
        before = torch.get_rng_state()
        pixels(data(root, num_workers=2).val_dataloader())
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("num_workers", [0, 2])
    def test_goes_on_in_the_middle_of_an_epoch(self, num_workers: int, root: Path) -> None:
        whole, first, second = (data(root, bilevel=False, num_workers=num_workers).train_dataloader() for _ in range(3))
        for loader in (whole, first):
            loader.set_epoch(3)
        expected = [x for x, _ in whole]
        got = []
        for x, _ in first:
            got.append(x)
            if len(got) == 5:
                break
        second.load_state_dict(first.state_dict())
        second.set_epoch(3)
        got += [x for x, _ in second]
        assert len(got) == len(expected) == 12 and all(map(torch.equal, got, expected))

    def test_bilevel_parts(self, root: Path) -> None:
        made = data(root, subset_fractions=(0.5, 0.25))
        batches = [batch for batch, _, _ in made.train_dataloader()]
        assert len(batches) == 6 and {*batches[0]} == {"train", "val"}
        assert len(labels(made.val_dataloader())) == 12
        with pytest.raises(NasError, match="batch_size=13: larger than the val part of folder .*Set at most 12"):
            data(root, subset_fractions=(0.5, 0.25), batch_size=13).train_dataloader()


class TestBroken:
    @pytest.fixture
    def spoiled(self, tmp_path: Path) -> Path:
        tree(tmp_path, 6, 3)
        spoil(tmp_path / "train" / "bee" / "bee_1.JPEG")
        (tmp_path / "val" / "cat" / "cat_2.JPEG").write_text("no image")
        return tmp_path

    @pytest.mark.parametrize("num_workers", [0, 2])
    def test_stops_with_one_line(self, num_workers: int, spoiled: Path) -> None:
        made = data(spoiled, bilevel=False, num_workers=num_workers)
        for loader, name in ((made.train_dataloader(), "bee/bee_1.JPEG"), (made.test_dataloader(), "cat/cat_2.JPEG")):
            with pytest.raises(NasError, match="dataset.on_broken_image=skip") as caught:
                labels(loader)
            assert name in str(caught.value) and "\n" not in str(caught.value)

    def test_is_named_once_and_replaced_in_training(self, spoiled: Path, caplog: pytest.LogCaptureFixture) -> None:
        loader = data(spoiled, bilevel=False, on_broken_image="skip", batch_size=3).train_dataloader()
        with caplog.at_level(logging.WARNING):
            sizes = [len(y) for _ in range(2) for _, y in loader]
        assert sizes == [3] * 12, "batches keep their size"
        assert [record.getMessage().count("bee_1.JPEG") for record in caplog.records] == [1]

    def test_is_left_out_of_a_test(self, spoiled: Path, caplog: pytest.LogCaptureFixture) -> None:
        loader = data(spoiled, bilevel=False, on_broken_image="skip", eval_batch_size=1).test_dataloader()
        assert labels(loader) == [0] * 3 + [1] * 3 + [2] * 2 and "cat_2.JPEG" in caplog.text

    def test_nothing_can_be_read(self, tmp_path: Path) -> None:
        tree(tmp_path, 2, 1)
        for path in (tmp_path / "train").rglob("*.JPEG"):
            spoil(path)
        with pytest.raises(NasError, match="consecutive image files that cannot be read"):
            labels(data(tmp_path, bilevel=False, on_broken_image="skip", batch_size=2).train_dataloader())
