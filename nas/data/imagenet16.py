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
from nas.data.published import IMAGENET16, IMAGENET16_SPLIT
from nas.data.splits.nas_bench_201 import NAS_BENCH_201
from nas.data.splits.official import OfficialSplit
from nas.data.splits.partition import Splits
from nas.utils.errors import NasError, one_line
from nas.utils.ranges import check_ranges
from nas.utils.read_file import read_bytes
from nas.utils.user_path import user_path

log = logging.getLogger(__name__)

Md5 = Literal["warn", "stop", "skip"]
FOLDER = "ImageNet16"
MD5 = IMAGENET16
TRAIN_FILES, VAL_FILE = tuple(MD5)[:-1], "val_data"


@check_ranges()
class ImageNet16(ImageData):
    """151,700 training and 6,000 validation images of 16 x 16 pixels in 120 classes.

    ``root`` holds ``train_data_batch_1`` to ``_10`` and ``val_data`` of the downsampled ImageNet (Chrabaszcz et al.,
    2017), or the folder ``ImageNet16`` with them. Images of labels 1 to 120 are kept.

    Args:
        root: see above.
        mean, std: normalization of pixels scaled to 0..1, a value per channel.
        md5: ``warn`` logs a warning for a file with another md5 sum than the published one, ``stop`` raises, and
            ``skip`` does not check.
        download: fetch the list of ``split="nas_bench_201"`` if it is missing.
        split_record: file that stores whether the list was used, and is followed if it exists; None: none.
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

    def __init__(
        self,
        root: str | Path,
        *,
        mean: Sequence[float] = (0.48109804, 0.45749020, 0.40788235),  # (122.68, 116.66, 104.01) / 255
        std: Sequence[float] = (0.24792157, 0.24023529, 0.25525490),  # (63.22, 61.26, 65.09) / 255
        md5: Md5 = "warn",
        download: bool = True,
        split_record: str | Path | None = None,
        pad: int = 2,
        flip: bool = True,
        **options: Unpack[ImageOptions],
    ) -> None:
        options.setdefault("split", NAS_BENCH_201)
        super().__init__(mean=mean, std=std, pad=pad, flip=flip, **options)
        self.root, self.md5, self.download = user_path(root), md5, download
        self.official = OfficialSplit(
            IMAGENET16_SPLIT, self.root, download, None if split_record is None else Path(split_record)
        )

    def load(self) -> Splits:
        """Read all files."""
        train = [self._read(name) for name in TRAIN_FILES]
        images, labels = (torch.cat(part) for part in zip(*train, strict=True))
        return Splits(images, labels, *self._read(VAL_FILE))

    def _read(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the images (uint8 [N, 3, 16, 16]) and labels of a file, restricted to the first 120 classes."""
        path = self._file(name)
        try:
            content = read_bytes(path)
        except (OSError, ValueError) as error:
            raise NasError(f"{path}: cannot be read ({one_line(error)}).") from error
        self._check_md5(path, content)
        entry = unpickle_arrays(content, path, "latin1", verified=False)
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
