"""CIFAR-10 and CIFAR-100, from the official archives for Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Unpack

import numpy as np
import torch
from torch import Tensor

from nas.data.base import ImageData, ImageOptions
from nas.data.pipeline.archive import Archive
from nas.data.published import CIFAR10, CIFAR10_SPLIT, CIFAR100, CIFAR100_SPLIT
from nas.data.splits.official import OfficialSplit
from nas.data.splits.partition import Splits
from nas.utils.remote_file import RemoteFile
from nas.utils.user_path import user_path


class Cifar(ImageData):
    """Base class of CIFAR-10 and CIFAR-100, which differ in their archive and in the names of files and keys.

    ``prepare_data`` uses the unpacked folder in ``root``, unpacks the archive in ``root``, or downloads the archive.
    A trainer calls it on one process per machine. Without a trainer, call it before ``setup``.

    Args:
        root: directory of the unpacked folder or the archive.
        mean, std: normalization of pixels scaled to 0..1, a value per channel.
        download: download the archive, and the list of ``split="nas_bench_201"``, if they are missing.
        split_record: file that stores whether the list was used, and is followed if it exists; None: none.
        pad, flip, options: see ``ImageData``.

    Raises:
        NasError: from ``prepare_data`` and ``setup``, if the files are missing and unavailable, or damaged.
    """

    shape = (3, 32, 32)
    archive: ClassVar[Archive]
    split_list: ClassVar[RemoteFile]
    train_files: ClassVar[tuple[str, ...]]
    test_files: ClassVar[tuple[str, ...]]
    meta_file: ClassVar[str]
    label_key: ClassVar[bytes]
    names_key: ClassVar[bytes]

    def __init__(
        self,
        root: str | Path,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        download: bool = True,
        split_record: str | Path | None = None,
        pad: int = 4,
        flip: bool = True,
        **options: Unpack[ImageOptions],
    ) -> None:
        super().__init__(mean=mean, std=std, pad=pad, flip=flip, **options)
        self.root, self.download = user_path(root), download
        self.official = OfficialSplit(
            self.split_list, self.root, download, None if split_record is None else Path(split_record)
        )

    def prepare_data(self) -> None:
        """Unpack or download the files that are missing in ``root``."""
        super().prepare_data()
        self.archive.prepare(self.root, self.download)

    def load(self) -> Splits:
        """Read all files after verifying their md5 sums, and the names of the classes."""
        if self.archive.missing(self.root):
            raise self.archive.unavailable(self.root, "prepare_data() was not called")
        names = self.archive.read(self.root, self.meta_file)[self.names_key]
        self.class_names = tuple(name.decode() for name in names)
        return Splits(*self._read(self.train_files), *self._read(self.test_files))

    def _read(self, files: Sequence[str]) -> tuple[Tensor, Tensor]:
        parts = [self.archive.read(self.root, name) for name in files]
        images = np.concatenate([part[b"data"] for part in parts]).reshape(-1, *self.stored_shape)
        labels = np.concatenate([part[self.label_key] for part in parts])
        return torch.from_numpy(images), torch.from_numpy(labels).long()


class Cifar10(Cifar):
    """50,000 training and 10,000 test images of 32 x 32 pixels in 10 classes.

    ``root`` is the directory of ``cifar-10-batches-py``. The default normalization is that of DARTS. See ``Cifar`` for
    the source of the files and ``ImageData`` for the other options.
    """

    name = "cifar10"
    classes = 10
    train_files = tuple(f"data_batch_{number}" for number in range(1, 6))
    test_files = ("test_batch",)
    meta_file = "batches.meta"
    label_key = b"labels"
    names_key = b"label_names"
    archive = CIFAR10
    split_list = CIFAR10_SPLIT
    halves_training = True

    def __init__(
        self,
        root: str | Path,
        *,
        mean: Sequence[float] = (0.49139968, 0.48215827, 0.44653124),
        std: Sequence[float] = (0.24703233, 0.24348505, 0.26158768),
        download: bool = True,
        split_record: str | Path | None = None,
        pad: int = 4,
        flip: bool = True,
        **options: Unpack[ImageOptions],
    ) -> None:
        super().__init__(
            root, mean=mean, std=std, download=download, split_record=split_record, pad=pad, flip=flip, **options
        )


class Cifar100(Cifar):
    """50,000 training and 10,000 test images of 32 x 32 pixels in 100 (fine) classes.

    ``root`` is the directory of ``cifar-100-python``. See ``Cifar`` for the source of the files and ``ImageData`` for
    the other options.
    """

    name = "cifar100"
    classes = 100
    train_files = ("train",)
    test_files = ("test",)
    meta_file = "meta"
    label_key = b"fine_labels"
    names_key = b"fine_label_names"
    archive = CIFAR100
    split_list = CIFAR100_SPLIT

    def __init__(
        self,
        root: str | Path,
        *,
        mean: Sequence[float] = (0.50705882, 0.48666667, 0.44078431),  # (129.3, 124.1, 112.4) / 255
        std: Sequence[float] = (0.26745098, 0.25647059, 0.27607843),  # (68.2, 65.4, 70.4) / 255
        download: bool = True,
        split_record: str | Path | None = None,
        pad: int = 4,
        flip: bool = True,
        **options: Unpack[ImageOptions],
    ) -> None:
        super().__init__(
            root, mean=mean, std=std, download=download, split_record=split_record, pad=pad, flip=flip, **options
        )
