"""ImageNet16-120: the first 120 classes of ImageNet at 16 x 16 pixels, as in NAS-Bench-201."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import torch
from torch import Tensor

from nas.data.base import ImageData, ImageOptions
from nas.data.pipeline.unpickle import unpickle_arrays
from nas.data.splits.nas_bench_201 import NAS_BENCH_201
from nas.data.splits.partition import Splits
from nas.utils.errors import NasError, one_line

log = logging.getLogger(__name__)

Md5 = Literal["warn", "stop", "skip"]
FOLDER = "ImageNet16"
MD5 = {
    "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
    "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
    "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
    "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
    "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
    "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
    "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
    "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
    "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
    "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
    "val_data": "3410e3017fdaefba8d5073aaa65e4bd6",
}
"""The md5 sums of the files of NAS-Bench-201."""
TRAIN_FILES, VAL_FILE = tuple(MD5)[:-1], "val_data"


class ImageNet16(ImageData):
    """151,700 training and 6,000 validation images of 16 x 16 pixels in 120 classes.

    ``root`` holds ``train_data_batch_1`` to ``_10`` and ``val_data`` of the downsampled ImageNet (Chrabaszcz et al.,
    2017), or the folder ``ImageNet16`` with them. Images of labels 1 to 120 are kept.

    Args:
        root: see above.
        mean, std: normalization of pixels scaled to 0..1, a value per channel.
        md5: ``warn`` logs a warning for a file with another md5 sum than the published one, ``stop`` raises, and
            ``skip`` does not check.
        pad, flip: see ``ImageData``.
        options: options of ``ImageData``. ``split`` is ``"nas_bench_201"`` by default. With another split, all
            validation images are the test set.

    Raises:
        NasError: from ``setup``, if files are missing or invalid.
    """

    name = "imagenet16_120"
    shape = (3, 16, 16)
    classes = 120
    sums: Mapping[str, str] = MD5
    published_test_split = "imagenet-16-120-test-split.txt"

    def __init__(
        self,
        root: str | Path,
        *,
        mean: Sequence[float] = (0.48109804, 0.45749020, 0.40788235),  # (122.68, 116.66, 104.01) / 255
        std: Sequence[float] = (0.24792157, 0.24023529, 0.25525490),  # (63.22, 61.26, 65.09) / 255
        md5: Md5 = "warn",
        pad: int = 2,
        flip: bool = True,
        **options: Unpack[ImageOptions],
    ) -> None:
        options.setdefault("split", NAS_BENCH_201)
        super().__init__(mean=mean, std=std, pad=pad, flip=flip, **options)
        if md5 not in ("warn", "stop", "skip"):
            raise NasError(f"dataset.md5={md5}: unknown. Choose from skip, stop, warn.")
        self.root, self.md5 = Path(root).expanduser(), md5

    def load(self) -> Splits:
        """Read all files."""
        train = [self._read(name) for name in TRAIN_FILES]
        images, labels = (torch.cat(part) for part in zip(*train, strict=True))
        return Splits(images, labels, *self._read(VAL_FILE))

    def _read(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the images (uint8 [N, 3, 16, 16]) and labels of a file, restricted to the first 120 classes."""
        path = self._file(name)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise NasError(f"{path}: cannot be read ({one_line(error)}).") from error
        self._check_md5(path, content)
        entry = unpickle_arrays(content, path, "latin1")
        side = self.stored_shape[1]
        try:
            labels = torch.tensor([int(label) for label in entry["labels"]], dtype=torch.int64)
            pixels = torch.from_numpy(np.ascontiguousarray(entry["data"])).view(len(labels), *self.stored_shape)
            if pixels.dtype != torch.uint8 or min(labels.tolist()) < 1:
                raise ValueError("pixels are not 8-bit, or labels do not start at 1")
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise NasError(
                f"{path}: not a file of the downsampled ImageNet with {side} x {side} pixels "
                f"({one_line(repr(error))}). Replace it by a file from https://image-net.org/download-images."
            ) from error
        kept = labels <= self.classes
        return pixels[kept], labels[kept] - 1

    def _file(self, name: str) -> Path:
        for folder in (self.root / FOLDER, self.root):
            if (folder / name).is_file():
                return folder / name
        raise NasError(
            f"{(self.root / FOLDER).absolute()}: {name} is missing, also in {self.root.absolute()}. Put the files of "
            "the downsampled ImageNet (16 x 16, train and val) from https://image-net.org/download-images there."
        )

    def _check_md5(self, path: Path, content: bytes) -> None:
        expected = self.sums[path.name]
        if self.md5 == "skip":
            return
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if md5 == expected:
            return
        problem = f"{path}: md5 is {md5}, but the file of NAS-Bench-201 has {expected}."
        if self.md5 == "stop":
            raise NasError(f"{problem} Replace the file, or set dataset.md5=warn.")
        log.warning("%s Results will not be comparable.", problem)
