"""Share of each rank in a folder of images: listed once, read once, and padded as by DistributedSampler."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DistributedSampler

import nas.data.splits.folder_index
from nas.data.pipeline.loader import TensorLoader
from tests.support.folder_tools import image_folder, small_folder
from tests.support.rank_tools import on_two_ranks


def trainer(rank: int, world: int) -> Any:
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    return SimpleNamespace(global_rank=rank, world_size=world, is_global_zero=rank == 0, strategy=strategy)


@pytest.mark.parametrize(("size", "world"), [(7, 2), (8, 2), (10, 4), (3, 5), (1, 3)])
def test_share_equals_that_of_distributed_sampler(size: int, world: int) -> None:
    labels = torch.arange(size)
    for rank in range(world):
        loader = TensorLoader(
            labels[:, None], labels, batch_size=2, transform=lambda x, _: x, shuffle=False, rank=rank, world=world
        )
        sampler: DistributedSampler[Any] = DistributedSampler(range(size), world, rank, shuffle=False)  # type: ignore[arg-type]
        assert [int(label) for _, y in loader for label in y] == list(sampler)


def read_by_rank(rank: int, root: Path) -> dict[str, Any]:
    """Return the folders that a rank lists, and the files that it reads in two epochs and a test."""
    walked: list[str] = []
    scan = os.scandir

    def listed(folder: Any) -> Any:
        walked.append(str(folder))
        return scan(folder)

    data = small_folder(root, classes=3, bilevel=False)
    data.trainer = trainer(rank, 2)
    nas.data.splits.folder_index.os.scandir = listed  # type: ignore[attr-defined]
    data.setup()
    at_setup = len(walked)
    passes = {"train 0": [], "train 1": [], "test": []}  # type: dict[str, list[str]]
    for name, loader in (("train", data.train_dataloader()), ("test", data.test_dataloader())):
        read, decode = passes["test"], loader.dataset.decode  # type: ignore[union-attr]
        for epoch in (0, 1) if name == "train" else (0,):
            read = passes["test" if name == "test" else f"train {epoch}"]
            loader.dataset.decode = lambda path, seed, read=read, decode=decode: (  # type: ignore[union-attr]
                read.append(path),
                decode(path, seed),
            )[1]
            loader.set_epoch(epoch)  # type: ignore[union-attr]
            list(loader)
    os.scandir = scan
    return {"walked": at_setup, "later": len(walked) - at_setup, **passes}


def test_each_rank_reads_its_own_files(tmp_path: Path) -> None:
    """49 training images on two ranks: each has 25 in an epoch, of which one is read by both."""
    root = image_folder(tmp_path / "images", train=17, val=3)
    for name in ("ant_0", "bee_0"):
        next((root / "train").rglob(f"{name}.JPEG")).unlink()
    (tmp_path / "ranks").mkdir()
    first, second = on_two_ranks(lambda rank: read_by_rank(rank, root), tmp_path / "ranks")
    assert first["walked"] == 8 and second["walked"] == 0, "two folders and their classes, by the first rank alone"
    assert first["later"] == second["later"] == 0, "no walk per epoch"
    for name, expected, repeated in (("train 0", 49, 1), ("train 1", 49, 1), ("test", 9, 0)):
        counts = Counter([*first[name], *second[name]])
        assert len(counts) == expected and sum(counts.values()) == expected + repeated
        assert abs(len(first[name]) - len(second[name])) <= 1 - repeated
    assert first["train 0"] != first["train 1"]
