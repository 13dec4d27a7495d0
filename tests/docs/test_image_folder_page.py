"""The programs of docs/image_folder.md: they see a photo as the evaluation does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import nas
from nas.data.folder import Folder
from tests.support.custom_packages import python_blocks
from tests.support.error_tools import NB201, run
from tests.support.folder_tools import CLASSES, image_folder

pytest.importorskip("onnxruntime")
SMALL = (
    "network.channels=4",
    "network.cells_per_stage=1",
    "epochs=1",
    "dataset.image_size=16",
    "dataset.num_workers=0",
)


def write_photo(path: Path, mode: str, orientation: int) -> None:
    """Write a photo of 75 x 40 pixels that is neither square nor symmetric."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((75, 40), Image.Resampling.NEAREST).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, quality=95, exif=exif)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with photos, a trained network and its ONNX file."""
    directory = tmp_path_factory.mktemp("photos")
    root = image_folder(directory / "images", train=4, val=0)
    for name in CLASSES:
        (root / "val" / name).mkdir(parents=True)
        write_photo(root / "val" / name / "rose.jpg", "RGB", 1)
    data = ("dataset=folder", f"dataset.root={root}", "dataset.batch_size=4", *SMALL)
    run("train", f"genotype={NB201}", *data, f"hydra.run.dir={directory}/trained").succeeded()
    run("train", "mode=export", f"weights={directory}/trained", f"hydra.run.dir={directory}/exported").succeeded()
    return directory


@pytest.mark.parametrize(("mode", "orientation"), [("RGB", 1), ("RGB", 6), ("CMYK", 1), ("L", 3)])
def test_programs_see_a_photo_as_the_evaluation_does(
    trained: Path, mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    for photo in (*(trained / "images" / "val").rglob("*.jpg"), trained / "rose.jpg"):
        write_photo(photo, mode, orientation)
    data = Folder(trained / "images", image_size=16, channels=3, bilevel=False, num_workers=0, eval_batch_size=1)
    data.setup()
    image = next(iter(data.test_dataloader()))[0]
    expected = nas.load("trained")(image)
    names: dict[str, Any] = {}
    for block in python_blocks("image_folder.md"):
        exec(compile(block, "image_folder.md", "exec"), names)
        seen = torch.as_tensor(names["pixels"])
        pixels = image * torch.tensor(data.std).reshape(1, 3, 1, 1) + torch.tensor(data.mean).reshape(1, 3, 1, 1)
        torch.testing.assert_close(seen, pixels)
    torch.testing.assert_close(torch.from_numpy(names["logits"]), expected, rtol=1e-4, atol=1e-5)
    assert capsys.readouterr().out.split() == [CLASSES[int(expected.argmax())]] * 2
