"""Street View House Numbers (SVHN): the cropped digits of 32 x 32 pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np
import torch
from torch import Tensor

from nas.data.base import ImageData, ImageOptions
from nas.data.published import SVHN_EXTRA, SVHN_TEST, SVHN_TRAIN
from nas.data.splits.partition import Splits
from nas.utils.download import download as download_file
from nas.utils.errors import NasError, one_line
from nas.utils.remote_file import RemoteFile
from nas.utils.user_path import user_path


class Svhn(ImageData):
    """73,257 training and 26,032 test images of digits in 10 classes; class k is the digit k.

    ``root`` is the directory of ``svhn`` with ``train_32x32.mat`` and ``test_32x32.mat``, or of these files.
    ``prepare_data`` downloads missing files. A trainer calls it on one process per machine.

    Args:
        root: see above.
        mean, std: normalization of pixels scaled to 0..1, a value per channel. The default is that of RobustDARTS.
        download: download missing files.
        extra: append the 531,131 additional images, which are less difficult, to the training images.
        pad, flip, options: see ``ImageData``. RobustDARTS and SmoothDARTS mirror the digits too.

    Raises:
        NasError: from ``prepare_data`` and ``setup``, if the files are missing and unavailable, or damaged.
    """

    name = "svhn"
    shape = (3, 32, 32)
    classes = 10
    class_names = tuple("0123456789")
    train_file: ClassVar[RemoteFile] = SVHN_TRAIN
    test_file: ClassVar[RemoteFile] = SVHN_TEST
    extra_file: ClassVar[RemoteFile] = SVHN_EXTRA

    def __init__(
        self,
        root: str | Path,
        *,
        mean: Sequence[float] = (0.4377, 0.4438, 0.4728),
        std: Sequence[float] = (0.1980, 0.2010, 0.1970),
        download: bool = True,
        extra: bool = False,
        pad: int = 4,
        flip: bool = True,
        **options: Unpack[ImageOptions],
    ) -> None:
        super().__init__(mean=mean, std=std, pad=pad, flip=flip, **options)
        self.root, self.download, self.extra = user_path(root), download, extra

    def prepare_data(self) -> None:
        """Download the files that are missing in ``root``."""
        super().prepare_data()
        for file in self._files():
            if self._path(file).is_file():
                continue
            if not self.download:
                raise self._missing(file, "dataset.download=false")
            try:
                download_file(file, self.root)
            except NasError as error:
                path, url = self._path(file).absolute(), file.urls[0]
                fix = f"Put it there from {url}, or set paths.data to the directory of svhn/."
                raise NasError(f"{path}: missing, and {str(error).rstrip('.')}. {fix}") from error

    def load(self) -> Splits:
        """Read all files after verifying their md5 sums."""
        test, *train = [self._read(file) for file in (self.test_file, *self._files()[:-1])]
        images, labels = (torch.cat(part) for part in zip(*train, strict=True))
        return Splits(images, labels, *test)

    def _files(self) -> list[RemoteFile]:
        return [self.train_file, *([self.extra_file] if self.extra else []), self.test_file]

    def _path(self, file: RemoteFile) -> Path:
        """Return the path of a file, which may also be directly in ``root``."""
        beside = self.root / Path(file.name).name
        return beside if beside.is_file() else self.root / file.name

    def _missing(self, file: RemoteFile, reason: str) -> NasError:
        return NasError(
            f"{self._path(file).absolute()}: missing, and {reason}. Run python -m nas data get svhn"
            f"{'_extra' if file is self.extra_file else ''} paths.data={self.root}"
        )

    def _read(self, file: RemoteFile) -> tuple[Tensor, Tensor]:
        """Return the images (uint8 [N, 3, 32, 32]) and labels (int64 [N]) of a file."""
        path = self._path(file)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise self._missing(file, "prepare_data() was not called") from None
        except OSError as error:
            raise NasError(f"{path}: cannot be read ({one_line(error)}).") from error
        if not file.fits(content):
            raise NasError(
                f"{path}: damaged (expected {file.algorithm} {file.digest}). Delete it to download it again."
            )
        return _decode(content, path)


def _decode(content: bytes, path: Path) -> tuple[Tensor, Tensor]:
    # imported here, since it takes long and other data sets do not need it
    from scipy.io import loadmat

    try:
        arrays: dict[str, Any] = loadmat(io.BytesIO(content), variable_names=["X", "y"])
        images, labels = arrays["X"], arrays["y"].reshape(-1).astype(np.int64) % 10  # the digit 0 has the label 10
        if images.dtype != np.uint8 or images.shape != (32, 32, 3, len(labels)):
            raise ValueError(f"pixels are {images.dtype} of shape {images.shape}")
    except Exception as error:  # scipy raises many kinds for a file of another format
        raise NasError(f"{path}: not a file of SVHN ({one_line(repr(error))}).") from error
    return torch.from_numpy(np.ascontiguousarray(images.transpose(3, 2, 0, 1))), torch.from_numpy(labels)
