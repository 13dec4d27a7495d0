"""Hostile image folders: special files among the images, and names of classes with markup and control characters."""

from __future__ import annotations

import csv
import os
import warnings
from pathlib import Path

import pytest
import torch

from nas.data.splits.folder_index import images_in
from nas.plotting.confusion import save_confusion
from tests.support.error_tools import NB201, run
from tests.support.folder_tools import image_folder

NAMES = ("$\\frac{1}{$", "a\x1b[31m\nb", "x" * 200, os.fsdecode(b"\xff"), "[red]$x_1$")
SMALL = ("network.channels=4", "network.cells_per_stage=1", "epochs=1", "dataset.num_workers=0", "dataset.image_size=8")


def test_images_in_skips_what_is_no_regular_file(tmp_path: Path) -> None:
    (tmp_path / "image.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "image.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.png").mkdir()
    assert images_in(tmp_path) == ["image.png", "link.png"]


def test_train_and_evaluate_a_folder_with_hostile_names(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    root = tmp_path / "images"
    image_folder(root / "plain", train=8, val=2, classes=("0", "1", "2", "3", "4"), suffix="png")
    for part in ("train", "val"):
        for number, name in enumerate(NAMES):
            folder = root / part / name
            folder.parent.mkdir(exist_ok=True)
            (root / "plain" / part / str(number)).rename(folder)
            os.mkfifo(folder / "pipe.png")
            (folder / "zero.png").symlink_to("/dev/zero")
    directory = tmp_path / "run"
    data = ["dataset=folder", f"dataset.root={root}", "dataset.batch_size=8"]
    run("train", *data, *SMALL, f"genotype={NB201}", f"hydra.run.dir={directory}").succeeded()
    found = run("train", "mode=eval", f"weights={directory}", "evaluation.runs=1", f"hydra.run.dir={tmp_path}/eval")
    found.succeeded()
    assert all(character.isprintable() or character == "\n" for character in found.said)
    assert max(map(len, found.said.splitlines())) < 400
    assert not [str(w.message) for w in recwarn if "matplotlib" in w.filename or "Glyph" in str(w.message)]
    with (tmp_path / "eval" / "classes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 and {"a\ufffd[31m b", "x" * 200, "\ufffd"} < {row["class"] for row in rows}
    assert sum(int(row["images"]) for row in rows) == 10
    assert (tmp_path / "eval" / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_confusion_of_names_in_other_scripts_warns_of_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_confusion(torch.eye(4, dtype=torch.int64), ("魚", "\U0001f600", "a_b^{c", "$"), tmp_path / "a.png")
    assert (tmp_path / "a.png").is_file()
