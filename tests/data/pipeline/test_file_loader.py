"""nas.data.pipeline.file_loader: reproducible batches of image files, and broken files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.data.pipeline.file_loader import FileLoader
from nas.utils.errors import NasError
from tests.support.data_tools import labels, pixels
from tests.support.folder_tools import image_folder, small_folder, truncate_file


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("images"))


@pytest.fixture
def broken_root(tmp_path: Path) -> Path:
    image_folder(tmp_path, 6, 3)
    truncate_file(tmp_path / "train" / "bee" / "bee_1.JPEG")
    (tmp_path / "val" / "cat" / "cat_2.JPEG").write_text("no image")
    return tmp_path


def test_file_loader_yields_every_image_once_with_its_label(root: Path) -> None:
    data = small_folder(root, bilevel=False, color_jitter=(0, 0, 0, 0))
    assert sorted(labels(data.train_dataloader())) == [0] * 16 + [1] * 16 + [2] * 16
    assert labels(data.test_dataloader()) == [0] * 4 + [1] * 4 + [2] * 4
    x, y = next(iter(data.train_dataloader()))
    assert x.shape == (4, 3, 8, 8) and x.dtype == torch.float32 and y.dtype == torch.int64
    brightest = {0: 0, 1: 1, 2: 2}  # the color channel of each class
    for image, label in zip(pixels(data.test_dataloader()), labels(data.test_dataloader()), strict=True):
        assert int(image.mean((1, 2)).argmax()) == brightest[label]


def test_file_loader_is_independent_of_workers_ranks_and_batch_size(root: Path) -> None:
    """Compare the label and the pixels of each image of an epoch."""

    def of(rank: int = 0, world: int = 1, **options) -> list[tuple[int, float]]:
        data = small_folder(root, bilevel=False, **options)
        loader = data.train_dataloader()
        loader.rank, loader.world = rank, world
        loader.set_epoch(2)
        return [(int(label), float(image.double().sum())) for x, y in loader for image, label in zip(x, y, strict=True)]

    expected = of()
    assert of(num_workers=2) == expected and of(batch_size=7) == expected
    ranks = of(0, 2) + of(1, 2)
    assert sorted(ranks) == sorted(expected) and of(0, 2) == expected[::2]
    assert sorted(of(seed=1)) != sorted(expected)


def test_file_loader_does_not_use_the_global_generator(root: Path) -> None:
    before = torch.get_rng_state()
    pixels(small_folder(root, num_workers=2).val_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_file_loader_resumes_within_an_epoch(num_workers: int, root: Path) -> None:
    whole, first, second = (
        small_folder(root, bilevel=False, num_workers=num_workers).train_dataloader() for _ in range(3)
    )
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


@pytest.mark.parametrize("num_workers", [0, 2])
def test_file_loader_stops_at_a_broken_file(num_workers: int, broken_root: Path) -> None:
    data = small_folder(broken_root, bilevel=False, num_workers=num_workers)
    for loader, name in ((data.train_dataloader(), "bee/bee_1.JPEG"), (data.test_dataloader(), "cat/cat_2.JPEG")):
        with pytest.raises(NasError, match="dataset.on_broken_image=skip") as caught:
            labels(loader)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_file_loader_replaces_a_broken_file_in_training(broken_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    loader = small_folder(broken_root, bilevel=False, on_broken_image="skip", batch_size=3).train_dataloader()
    with caplog.at_level(logging.WARNING):
        sizes = [len(y) for _ in range(2) for _, y in loader]
    assert sizes == [3] * 12, "batches keep their size"
    named = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(named) == 1 and named[0].count("bee_1.JPEG") == 1, named


def test_file_loader_skips_a_broken_file_in_evaluation(broken_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    loader = small_folder(broken_root, bilevel=False, on_broken_image="skip", eval_batch_size=1).test_dataloader()
    assert labels(loader) == [0] * 3 + [1] * 3 + [2] * 2 and "cat_2.JPEG" in caplog.text


def test_file_loader_raises_if_no_file_is_readable(tmp_path: Path) -> None:
    image_folder(tmp_path, 2, 1)
    for path in (tmp_path / "train").rglob("*.JPEG"):
        truncate_file(path)
    with pytest.raises(NasError, match="consecutive image files that cannot be read"):
        labels(small_folder(tmp_path, bilevel=False, on_broken_image="skip", batch_size=2).train_dataloader())


def test_file_loader_augments_an_image_differently_in_each_epoch_and_pass() -> None:
    """The seeds that the decoder receives are different for all images, passes and epochs."""
    seeds: list[int] = []

    class Decode:
        augment = True

        def __call__(self, path: str, seed: int) -> torch.Tensor:
            seeds.append(seed)
            return torch.zeros(1)

    options: dict[str, Any] = {"decode": Decode(), "batch_size": 2, "shuffle": False, "num_workers": 0}
    loader = FileLoader("folder", ["a", "b", "c"], torch.zeros(3, dtype=torch.int64), **options)
    for epoch in range(3):
        loader.set_epoch(epoch)
        list(loader)
        list(loader)
    assert len(seeds) == len(set(seeds)) == 3 * 2 * 3
