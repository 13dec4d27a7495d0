"""nas.data.hugging_face: small data sets on the disk, their columns, labels and images, and runs on them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data.hugging_face import HuggingFace
from nas.utils.errors import NasError
from tests.support.error_tools import run


def test_hugging_face_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(NasError, match=r"needs the package datasets. Run pip install 'nas-compose\[hf\]'"):
        HuggingFace("somewhere")
    with pytest.raises(NasError, match="dataset.path=null: missing"):
        HuggingFace(None)


class TestWithPackage:
    """Tests that need the package ``datasets``."""

    @pytest.fixture(autouse=True)
    def hf(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Keep the caches of ``datasets`` in a temporary directory, and let it use no network."""
        datasets = pytest.importorskip("datasets")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        datasets.disable_progress_bars()
        self.datasets = datasets
        return datasets

    def part(self, size: int, first: int = 0, mode: str = "RGB", **columns: Any) -> Any:
        """Return images whose pixels are their number, with labels 0, 1, 2, 0, ..."""
        images = [Image.new(mode, (8, 8), first + i if mode == "L" else (first + i, 5, 9)) for i in range(size)]
        features = {"image": self.datasets.Image(), "label": self.datasets.ClassLabel(names=["cat", "dog", "owl"])}
        features = {name: feature for name, feature in features.items() if name not in columns}
        values = {"image": images, "label": [i % 3 for i in range(size)], **columns}
        found = self.datasets.Dataset.from_dict({name: values[name] for name in features})
        found = found.cast(self.datasets.Features(features))
        for name, column in columns.items():
            found = found.add_column(name, column)
        return found

    def save(self, path: Path, **parts: Any) -> str:
        self.datasets.DatasetDict(parts).save_to_disk(str(path))
        return str(path)

    def test_reads_a_saved_data_set(self, tmp_path: Path) -> None:
        path = self.save(tmp_path / "saved", train=self.part(12), test=self.part(6, 100))
        data = HuggingFace(path, batch_size=2)
        assert (data.shape, data.classes, data.class_names) == ((3, 8, 8), 3, ("cat", "dog", "owl"))
        assert data.splits.train_images[:, 0, 0, 0].tolist() == list(range(12))
        assert data.splits.train_images[0, :, 3, 4].tolist() == [0, 5, 9]
        assert data.splits.test_images[:, 0, 0, 0].tolist() == list(range(100, 106))
        assert data.splits.train_labels.tolist() == [0, 1, 2] * 4
        assert data.sizes() == {"train": 6, "val": 6, "test": 6} and len(data.mean) == 3

    def test_reads_grayscale_and_validation_images(self, tmp_path: Path) -> None:
        path = self.save(tmp_path / "gray", train=self.part(6, mode="L"), validation=self.part(3, 9, mode="L"))
        data = HuggingFace(path, batch_size=2)
        assert data.shape == (1, 8, 8) and data.splits.test_images[:, 0, 0, 0].tolist() == [9, 10, 11]
        assert HuggingFace(path, channels=3).splits.train_images[2].unique().tolist() == [2]

    def test_bars_are_hidden_in_logs(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.part(4).to_parquet(tmp_path / "a.parquet")
        capfd.readouterr()
        self.datasets.enable_progress_bars()
        files = {"train": str(tmp_path / "a.parquet"), "test": str(tmp_path / "a.parquet")}
        HuggingFace("parquet", data_files=files, batch_size=2)
        assert capfd.readouterr().err == ""
        assert not self.datasets.are_progress_bars_disabled()  # as before

    def test_reads_local_files(self, tmp_path: Path) -> None:
        for part, size in (("train", 4), ("test", 2)):
            for number, name in enumerate(("ant", "bee")):
                folder = tmp_path / "images" / part / name
                folder.mkdir(parents=True)
                for i in range(size):
                    Image.new("RGB", (10, 8 + i), (number * 100 + i, 0, 0)).save(folder / f"{i}.png")
        data = HuggingFace(str(tmp_path / "images"), load_size=8, batch_size=2, bilevel=False)
        assert (data.class_names, data.shape) == (("ant", "bee"), (3, 8, 8))
        assert data.splits.train_images[:, 0, 4, 4].tolist() == [0, 1, 2, 3, 100, 101, 102, 103]
        with pytest.raises(
            NasError, match=r"image 1 has shape \(3, 9, 10\), but the first one has \(3, 8, 10\). Set da"
        ):
            HuggingFace(str(tmp_path / "images")).setup()

    def test_reads_parquet_files(self, tmp_path: Path) -> None:
        self.part(6).to_parquet(tmp_path / "a.parquet")
        self.part(3, 50).to_parquet(tmp_path / "b.parquet")
        files = {"train": str(tmp_path / "a.parquet"), "held": str(tmp_path / "b.parquet")}
        data = HuggingFace("parquet", data_files=files, test="held", batch_size=2)
        assert data.sizes() == {"train": 3, "val": 3, "test": 3} and data.class_names == ("cat", "dog", "owl")

    def test_reads_labels_without_declared_classes(self, tmp_path: Path) -> None:
        kinds = ["b", "a"] * 3
        path = self.save(tmp_path / "text", train=self.part(6, label=kinds), test=self.part(2, label=["a", "b"]))
        data = HuggingFace(path, batch_size=2)
        assert data.class_names == ("a", "b") and data.splits.train_labels.tolist() == [1, 0] * 3
        path = self.save(tmp_path / "other", train=self.part(6, label=kinds), test=self.part(2, label=["a", "c"]))
        with pytest.raises(NasError, match="row 1 has the label 'c', which is not among those of the training images"):
            HuggingFace(path).setup()

    def test_shows_images_as_viewers_do(self, tmp_path: Path) -> None:
        turned = Image.new("RGB", (8, 8), "black")
        turned.putpixel((0, 0), (255, 255, 255))
        exif = Image.Exif()
        exif[0x0112] = 3  # upside down
        turned.save(tmp_path / "turned.png", exif=exif)
        Image.new("RGBA", (8, 8), (10, 20, 30, 0)).save(tmp_path / "clear.png")
        Image.fromarray(np.full((8, 8), 257 * 77, np.uint16)).save(tmp_path / "deep.png")
        files = [str(tmp_path / f"{name}.png") for name in ("turned", "clear", "deep")]
        part = self.part(3, image=files).cast_column("image", self.datasets.Image())
        data = HuggingFace(self.save(tmp_path / "odd", train=part, test=part), batch_size=1)
        images = data.splits.train_images
        assert images[0, 0, 7, 7] > 200 and images[0].sum() == 3 * 255, "upright as the orientation requires"
        assert images[1].unique().tolist() == [255], "white behind a transparent pixel"
        assert images[2].unique().tolist() == [77], "16 bits scaled to 8"

    def test_rejects_what_does_not_fit(self, tmp_path: Path) -> None:
        path = self.save(tmp_path / "set", train=self.part(6), other=self.part(3), test=self.part(3))
        bare = self.save(tmp_path / "bare", train=self.part(6))
        (tmp_path / "empty").mkdir()
        unlabeled = self.part(2).cast(self.part(2).features)
        unlabeled = self.datasets.Dataset.from_dict({"image": unlabeled["image"][:], "label": [-1, 0]}).cast(
            unlabeled.features
        )
        for given, phrase in (
            ({"path": bare}, "dataset.test=null: there is no split test or validation, only train"),
            ({"path": path, "train": "trian"}, "unknown dataset.train 'trian': did you mean 'train'?"),
            ({"path": path, "test": "train"}, "dataset.test=train: is the split of the training images"),
            ({"path": path, "image_column": "img"}, "unknown dataset.image_column 'img'"),
            ({"path": path, "label_column": "image"}, "dataset.label_column=image: holds no labels"),
            ({"path": path, "load_size": 4}, "load_size=4: use a whole number from 8"),
            ({"path": str(tmp_path / "empty")}, "cannot be loaded"),
            ({"path": "nobody/nothing"}, "dataset.path=nobody/nothing: cannot be loaded"),
            ({"path": self.save(tmp_path / "u", train=self.part(6), test=unlabeled)}, "row 0 has the label -1"),
        ):
            with pytest.raises(NasError) as caught:
                HuggingFace(**given).setup()
            assert phrase in str(caught.value) and "\n" not in str(caught.value), caught.value

    def test_search_and_training(self, tmp_path: Path) -> None:
        path = self.save(tmp_path / "set", train=self.part(20), test=self.part(9))
        common = ("epochs=1", "dataset.batch_size=5", "threads=1")
        search = ("dataset=hf", f"dataset.path={path}", "space.channels=4", "space.cells_per_stage=1", *common)
        found = run("search", *search, f"hydra.run.dir={tmp_path}/s")
        found.succeeded()
        assert f"20 training and 9 test images of 3 x 8 x 8 in 3 classes from {path}" in found.said
        network = ("network.channels=4", "network.cells_per_stage=1", *common)
        run("train", f"genotype={tmp_path}/s", *network, f"hydra.run.dir={tmp_path}/t").succeeded()
        summary = json.loads((tmp_path / "t" / "summary.json").read_text())
        assert (summary["dataset"], summary["images"]) == ("hf", 9)
        run("search", "dataset=hf", "method=gdas").refused("dataset.path=null: missing")
