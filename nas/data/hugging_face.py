"""Image classification data sets of Hugging Face ``datasets``: from the Hub, from local files or from the disk."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Unpack

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from nas.data.base import ImageData, ImageOptions
from nas.data.folder import GRAY_MEAN, GRAY_STD, IMAGENET_MEAN, IMAGENET_STD
from nas.data.splits.partition import Splits
from nas.utils.errors import NasError, one_line, unknown
from nas.utils.quiet_logger import quiet_logger
from nas.utils.ranges import Range, check_ranges
from nas.utils.user_path import user_path

log = logging.getLogger(__name__)

_LARGEST = 16 << 30  # bytes of all images in memory
_GRAY = ("1", "L", "I;16", "I", "F")


@check_ranges(load_size=Range(8, 2**14, whole=True), channels=Range(1, 3, whole=True))
class HuggingFace(ImageData):
    """Images and labels of two columns of a data set, decoded into memory. Needs the extra ``hf``.

    No code of a data set is run: version 4 of ``datasets`` has no loading scripts.

    Args:
        path: name on the Hub (``uoft-cs/cifar10``), a local directory of images or Parquet files, a format
            (``parquet``, ``imagefolder``) with ``data_files`` or ``data_dir``, or a directory of ``save_to_disk``.
        config: name of the configuration of the data set; None: its only one.
        data_dir, data_files, revision: arguments of ``datasets.load_dataset``.
        train: name of the split with the training images.
        test: name of the split with the test images; None: test, or validation.
        image_column, label_column: names of the columns; None: the only columns of images and of labels.
        load_size: side to which all images are scaled (shorter side) and cropped in the middle; None: as stored, which
            needs images of one shape.
        channels: 3 for RGB, 1 for grayscale images; None: as in the first training image.
        mean, std: normalization of pixels scaled to 0..1, a value per channel; None: that of ImageNet.
        pad, flip, options: see ``ImageData``.

    Raises:
        NasError: if ``datasets`` is not installed, or the data set cannot be read or does not fit the options; from
            ``setup``, if an image cannot be decoded or has another shape.
    """

    name = "hf"

    def __init__(
        self,
        path: str | None,
        *,
        config: str | None = None,
        data_dir: str | None = None,
        data_files: Any = None,
        revision: str | None = None,
        train: str = "train",
        test: str | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        load_size: int | None = None,
        channels: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad: int = 4,
        flip: bool = True,
        **options: Unpack[ImageOptions],
    ) -> None:
        if path is None:
            raise NasError(
                "dataset.path=null: missing. Set a name on the Hub, such as uoft-cs/cifar10, or a directory."
            )
        if (load_size is not None and load_size < 8) or channels not in (None, 1, 3):
            raise NasError(
                f"dataset.load_size={load_size}, dataset.channels={channels}: out of range. Set load_size to at least "
                "8 and channels to 1 or 3."
            )
        self.path, self.load_size = path, load_size
        parts = _load(path, config, data_dir=data_dir, data_files=data_files, revision=revision)
        self._train, self._test = _choose_splits(parts, train, test)
        self.image_column, self.label_column = _choose_columns(self._train.features, image_column, label_column)
        self.class_names = _class_names(self._train, self.label_column)
        self.classes = len(self.class_names)
        first = self._image(self._train, 0)
        self.channels = channels or (1 if first.mode in _GRAY else 3)
        size = (first.height, first.width) if load_size is None else (load_size, load_size)
        self.shape = (self.channels, *size)
        gray = self.channels == 1
        mean = (GRAY_MEAN if gray else IMAGENET_MEAN) if mean is None else mean
        std = (GRAY_STD if gray else IMAGENET_STD) if std is None else std
        super().__init__(mean=mean, std=std, pad=pad, flip=flip, **options)

    def load(self) -> Splits:
        """Decode all images."""
        count = len(self._train) + len(self._test)
        needed = count * int(np.prod(self.stored_shape))
        if needed > _LARGEST:
            raise NasError(
                f"dataset.path={self.path}: {count} images of {self.stored_shape} take {needed >> 30} GB of memory. "
                "Set a smaller dataset.load_size, or store them as files for dataset=folder."
            )
        log.info(
            "data           %d training and %d test images of %s in %d classes from %s",
            *(len(self._train), len(self._test), " x ".join(map(str, self.stored_shape)), self.classes, self.path),
        )
        return Splits(*self._decode(self._train), *self._decode(self._test))

    def _decode(self, part: Any) -> tuple[Tensor, Tensor]:
        """Return the images (uint8 [N, C, H, W]) and labels (int64 [N]) of a split."""
        images = torch.empty(len(part), *self.stored_shape, dtype=torch.uint8)
        for number in range(len(part)):
            image = self._fit(self._image(part, number))
            pixels = torch.from_numpy(np.array(image))
            pixels = pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1)
            if pixels.shape != self.stored_shape:
                raise NasError(
                    f"dataset.path={self.path}: image {number} has shape {tuple(pixels.shape)}, but the first one has "
                    f"{self.stored_shape}. Set dataset.load_size, such as dataset.load_size=32."
                )
            images[number] = pixels
        return images, self._labels(part)

    def _labels(self, part: Any) -> Tensor:
        numbers = {name: number for number, name in enumerate(self.class_names)}
        values = list(part[self.label_column])
        if hasattr(part.features[self.label_column], "names"):
            labels = [-1 if value is None else int(value) for value in values]
        else:
            labels = [numbers.get(str(value), -1) for value in values]
        wrong = next((row for row, label in enumerate(labels) if not 0 <= label < self.classes), None)
        if wrong is not None:
            raise NasError(
                f"dataset.label_column={self.label_column}: row {wrong} has the label {values[wrong]!r}, which is not "
                "among those of the training images. Choose another split by dataset.test=NAME."
            )
        return torch.tensor(labels, dtype=torch.int64)

    def _image(self, part: Any, number: int) -> Image.Image:
        """Return an image, upright."""
        try:
            image = part[number][self.image_column]
            if not isinstance(image, Image.Image):
                raise TypeError(f"{type(image).__name__} instead of an image")
            return ImageOps.exif_transpose(image)
        except Exception as error:  # Pillow and pyarrow raise many kinds
            raise NasError(
                f"dataset.image_column={self.image_column}: image {number} cannot be read ({one_line(error)[:200]})."
            ) from error

    def _fit(self, image: Image.Image) -> Image.Image:
        """Convert an image to the channels of the data set, and scale and crop it to ``load_size``."""
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:  # white background, as in image viewers
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        if image.mode.startswith("I;16"):
            image = Image.fromarray(np.round(np.asarray(image, dtype=np.float32) / 257).astype(np.uint8))
        if image.mode in ("I", "F"):
            raise NasError(f"dataset.path={self.path}: has images of 32-bit pixels. Convert them to 8 or 16 bits.")
        image = image.convert("L" if self.channels == 1 else "RGB")
        side = self.load_size
        return image if side is None else ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)


def _load(path: str, config: str | None, **options: Any) -> Mapping[str, Any]:
    """Return the splits of a data set by name."""
    try:
        import datasets
    except ImportError:
        raise NasError("dataset=hf: needs the package datasets. Run pip install 'nas-compose[hf]'.") from None
    if int(datasets.__version__.split(".")[0]) < 4:
        raise NasError(
            f"dataset=hf: needs datasets 4 or newer, which runs no code of a data set; {datasets.__version__} is "
            "installed. Run pip install --upgrade datasets."
        )
    if path == "pandas":
        raise NasError("dataset.path=pandas: files of pickles could run any code. Set dataset.path=parquet.")
    local = user_path(path)
    given = {key: value for key, value in options.items() if value is not None}
    try:
        if any((local / name).is_file() for name in ("dataset_dict.json", "state.json")):
            loaded = datasets.load_from_disk(str(local))
        else:
            # the client of the hub logs each retry twice, and a log needs no bars
            with quiet_logger("huggingface_hub"), _bars_on_terminals_only(datasets):
                loaded = datasets.load_dataset(str(local) if local.is_dir() else path, config, **given)
    except Exception as error:  # datasets raises its own exceptions and those of the Hub and of pyarrow
        text = one_line(error)[:300] or type(error).__name__
        raise NasError(f"dataset.path={path}: cannot be loaded ({text}).") from error
    return loaded if isinstance(loaded, Mapping) else {"train": loaded}


@contextmanager
def _bars_on_terminals_only(datasets: ModuleType) -> Iterator[None]:
    """Show the progress bars of ``datasets`` on a terminal only."""
    chosen = os.environ.get("HF_DATASETS_DISABLE_PROGRESS_BARS") is not None
    hidden = not chosen and not sys.stderr.isatty() and not datasets.are_progress_bars_disabled()
    if hidden:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if hidden:
            datasets.enable_progress_bars()


def _choose_splits(parts: Mapping[str, Any], train: str, test: str | None) -> tuple[Any, Any]:
    """Return the splits for training and test."""
    test = test or next((name for name in ("test", "validation", "valid", "val") if name in parts), None)
    if test is None:
        raise NasError(
            f"dataset.test=null: there is no split test or validation, only {', '.join(parts)}. Set dataset.test=NAME."
        )
    for key, name in (("train", train), ("test", test)):
        if name not in parts:
            raise unknown(f"dataset.{key}", name, parts)
        if len(parts[name]) == 0:
            raise NasError(f"dataset.{key}={name}: this split is empty.")
    if train == test:
        raise NasError(f"dataset.test={test}: is the split of the training images. Set another one.")
    return parts[train], parts[test]


def _choose_columns(features: Mapping[str, Any], image: str | None, label: str | None) -> tuple[str, str]:
    """Return the names of the columns of images and labels."""
    kinds = {name: type(feature).__name__ for name, feature in features.items()}
    labels = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    labels = labels or [name for name in ("label", "labels") if name in kinds]
    columns = []
    for key, given, fitting in (
        ("image_column", image, [name for name, kind in kinds.items() if kind == "Image"]),
        ("label_column", label, labels),
    ):
        if given is not None and given not in kinds:
            raise unknown(f"dataset.{key}", given, kinds)
        if given is None and len(fitting) != 1:
            which = " and ".join(fitting) if fitting else "none"
            raise NasError(
                f"dataset.{key}=null: columns that fit are {which}, of {', '.join(kinds)}. Set dataset.{key}=NAME."
            )
        columns.append(fitting[0] if given is None else given)
    return columns[0], columns[1]


def _class_names(part: Any, column: str) -> tuple[str, ...]:
    """Return the names of the classes: those that the data set declares, else the sorted values of the column."""
    declared = getattr(part.features[column], "names", None)
    if declared is not None:
        return tuple(map(str, declared))
    kind = str(getattr(part.features[column], "dtype", ""))
    values = (
        set(part.unique(column)) - {None} if kind.startswith(("int", "uint", "string", "large_string", "bool")) else ()
    )
    if not values:
        raise NasError(f"dataset.label_column={column}: holds no labels, such as whole numbers or names.")
    return tuple(map(str, sorted(values, key=lambda value: (isinstance(value, str), value))))
