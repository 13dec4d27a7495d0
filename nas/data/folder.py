"""Images in class folders: ImageNet and custom data sets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor

from nas.data.base import ImageData
from nas.data.image_log import log_images
from nas.data.pipeline.decode import Augmentation, Crop, ImageDecoder
from nas.data.pipeline.file_loader import FileLoader, OnBrokenImage
from nas.data.pipeline.loader import Loader
from nas.data.placement import placement_of
from nas.data.splits.class_list import ClassList, read_class_list
from nas.data.splits.class_subset import ClassSubset
from nas.data.splits.flat_split import FlatSplit, Parts
from nas.data.splits.folder_index import FolderIndex, check_classes, class_folders, shared_index
from nas.data.splits.folder_layout import FolderLayout, find_layout
from nas.data.splits.image_survey import ImageSurvey, survey_images
from nas.data.splits.partition import Splits
from nas.utils.errors import NasError
from nas.utils.ranges import CLASSES, FRACTION, NOT_NEGATIVE, PIXELS, PROBABILITY, SEED, Range, check_ranges
from nas.utils.user_path import user_path

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GRAY_MEAN, GRAY_STD = (0.449,), (0.226,)


class FolderOptions(TypedDict, total=False):
    """Options that ``Folder`` shares with ``ImageData``."""

    batch_size: int
    eval_batch_size: int
    bilevel: bool
    flip: bool
    cutout: int
    seed: int


@check_ranges(classes=CLASSES, image_size=PIXELS, channels=Range(1, 3, whole=True))
@check_ranges(scale=FRACTION, color_jitter=NOT_NEGATIVE, lighting=NOT_NEGATIVE, num_workers=Range(0, 512, whole=True))
@check_ranges(subset_fractions=PROBABILITY, subset_seed=SEED, test_seed=SEED)
@check_ranges(test_fraction=Range(0, 1, above=True, below=True))
class Folder(ImageData):
    """Training images in ``train/CLASS/`` and test images in ``val/CLASS/``; labels follow the sorted class names.

    A class folder contains its images, also in subfolders. Without ``val`` the test images are those of ``test``,
    ``valid`` or ``validation``. Without ``train`` the class folders are directly in ``root``, and a fraction of the
    images of each class is tested; these images are sampled from ``test_seed`` and written to ``test_list_file``.

    The first rank lists the files once; they are decoded on access. With ``bilevel`` a part of each class's training
    images trains the weights and another part the architecture. Both are sampled from ``subset_seed`` and written
    to ``subset_file``, which can be passed as ``subset``. See ``ImageData`` for batches and ``ImageDecoder``.

    Args:
        root: folder that contains ``train`` and ``val``, or class folders.
        name: name of the data set.
        classes: number of classes; None: the number of folders in ``train``.
        class_list: file with the classes to use, in the order of their labels (see ``read_class_list``); it also sets
            the number of classes. None: all folders, sorted.
        image_size: side of the images that networks see; None: the median of the shorter sides of the training images
            (``survey_images``).
        channels: 3 for RGB, 1 for grayscale images; None: 3 if any training image has color.
        mean, std: normalization of pixels scaled to 0..1, a value per channel; None: that of ImageNet.
        crop, scale, color_jitter, lighting, flip, pad, cutout: training augmentation, see ``Augmentation``.
        subset_fractions: fractions of each class for the weights and for the architecture.
        subset: file list with the images of both parts, instead of a random sample.
        subset_seed: seed of the sample.
        subset_file: path for the file list of the sample.
        test_folder: name of the folder of test images; None: the first of val, test, valid and validation.
        test_fraction: fraction of each class to test, for class folders without ``train``.
        test_seed: seed of the sample of test images.
        test_list: file list with the training and test images, instead of a random sample.
        test_list_file: path for the file list of that sample; an existing list is used again.
        on_broken_image: ``stop`` at an image that cannot be read, or ``skip`` it with a warning.
        num_workers: processes that decode images; None: one per core, at most 8.
        batch_size, eval_batch_size, bilevel, seed: see ``ImageData``.

    Raises:
        NasError: if a value is out of range or ``root`` has no class folders; from ``setup``, if the folders are
            incomplete.
    """

    def __init__(
        self,
        root: str | Path | None,
        *,
        name: str = "folder",
        classes: int | None = None,
        class_list: str | Path | None = None,
        image_size: int | None = None,
        channels: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        crop: Crop = "random",
        scale: Sequence[float] = (0.08, 1.0),
        color_jitter: Sequence[float] = (0.4, 0.4, 0.4, 0.2),
        lighting: float = 0.0,
        pad: int = 0,
        subset_fractions: Sequence[float] = (0.5, 0.5),
        subset: str | Path | None = None,
        subset_seed: int = 0,
        subset_file: str | Path | None = None,
        test_folder: str | None = None,
        test_fraction: float = 0.2,
        test_seed: int = 0,
        test_list: str | Path | None = None,
        test_list_file: str | Path | None = None,
        on_broken_image: OnBrokenImage = "stop",
        num_workers: int | None = None,
        **options: Unpack[FolderOptions],
    ) -> None:
        if root is None:
            raise NasError("dataset.root=null: missing. Set the folder that contains train/CLASS/ and val/CLASS/.")
        self.root, self.name = user_path(root), name
        self.test_folder = test_folder
        self.flat_split = FlatSplit(test_fraction, test_seed, test_list, test_list_file)
        self._class_list = None if class_list is None else self._read_class_list(Path(class_list))
        self.shape = self._infer_shape(image_size, channels)
        self._check_files(num_workers)
        self.classes = self._count_classes(classes)
        usual_mean, usual_std = (GRAY_MEAN, GRAY_STD) if self.shape[0] == 1 else (IMAGENET_MEAN, IMAGENET_STD)
        mean, std = usual_mean if mean is None else mean, usual_std if std is None else std
        options.setdefault("eval_batch_size", 256)
        super().__init__(mean=mean, std=std, pad=pad, on_device=False, **options)
        self.on_broken_image, self.num_workers = on_broken_image, num_workers
        self.augmentation = Augmentation(
            crop, tuple(scale), tuple(color_jitter), self.flip, self.pad, self.cutout, lighting
        )
        self.subset = ClassSubset(tuple(subset_fractions), subset, subset_seed, subset_file)
        self._check_options_of_use()
        self._index: dict[str, FolderIndex] = {}
        self._part_indices: dict[str, Tensor] = {}

    @cached_property
    def layout(self) -> FolderLayout:
        """Folders of the training and test images, read from the disk on the first access."""
        return find_layout(self.root, self.test_folder)

    def _check_files(self, num_workers: int | None) -> None:
        channels, side, _ = self.shape
        if side < 8 or channels not in (1, 3) or (num_workers or 0) < 0:
            raise NasError(
                f"dataset={self.name}: image_size={side}, channels={channels}, num_workers={num_workers} are out of "
                "range. Set image_size to at least 8, channels to 1 or 3 and num_workers to at least 0."
            )
        given = self.flat_split.files
        if given is not None and self.layout.test is not None:
            raise NasError(f"dataset.test_list={given}: {self.root} has a folder of test images. Leave it out.")

    def _check_options_of_use(self) -> None:
        self._build_decoder(augment=True)  # raises for invalid options before the first step
        given = self.subset.files
        if given is not None and not self.bilevel:
            raise NasError(f"dataset.subset={given}: a training uses all images. Leave out dataset.subset.")

    def load(self) -> Splits:
        """Raise NasError: the images are not stored in memory."""
        raise NasError(f"dataset={self.name}: images are decoded on access and not stored in memory.")

    def setup(self, stage: str | None = None) -> None:
        """List all folders and sample the parts on the first call, whatever the ``stage``."""
        if self._index:
            return
        train, test = self._read_parts()
        if len(train.classes) != self.classes:
            raise NasError(
                f"dataset.classes={self.classes}: {self.root.absolute()} has {len(train.classes)} classes. "
                f"Set dataset.classes={len(train.classes)}."
            )
        self.class_names = train.classes if self._class_list is None else self._class_list.names
        if self.bilevel:
            weights, architecture = self.subset.select(train, self._writes_lists())
            self._part_indices = {"train": weights, "val": architecture}
        else:
            self._part_indices = {"train": torch.arange(len(train.files))}
        self._index = {"train": train, "val": test}
        log_images(self, self._image_notes())

    def _image_notes(self) -> list[str]:
        """Return notes on the files for the log line."""
        notes = [] if self._survey is None else [self._survey.describe()]
        if self.layout.test is None:
            notes.append(f"test images sampled from {self.root}")
        elif self.layout.unused:
            notes.append(f"tested on {self.layout.test.name}/, not on {', '.join(self.layout.unused)}/")
        return notes

    def sizes(self) -> dict[str, int]:
        """Return the number of images by part: ``train``, ``val`` (only with ``bilevel``) and ``test``."""
        parts = {part: len(indices) for part, indices in self.part_indices().items()}
        return {**parts, "test": len(self._index["val"].files)}

    def part_indices(self) -> dict[str, Tensor]:
        """Return the indices (int64) of the training images by part: ``train`` and, with ``bilevel``, ``val``."""
        self.setup()
        return self._part_indices

    def all_train_indices(self) -> Tensor:
        """Return the indices (int64) of all images in ``train``."""
        self.setup()
        return torch.arange(len(self._index["train"].files))

    def build_loader(self, test: bool = False, augment: bool = False, **options: Any) -> Loader:
        """Build a loader of the test or training images for the share of this process; see ``ImageData``."""
        self.setup()
        rank, world, _ = placement_of(self.trainer, self.on_device)
        index = self._index["val" if test else "train"]
        device = None if self.trainer is None else self.trainer.strategy.root_device
        return FileLoader(
            str(index.root),
            index.files,
            index.labels,
            decode=self._build_decoder(augment),
            on_broken_image=self.on_broken_image,
            num_workers=self.num_workers,
            pin_memory=device is not None and device.type == "cuda",
            seed=self.seed,
            rank=rank,
            world=world,
            **options,
        )

    def _read_class_list(self, path: Path) -> ClassList:
        return read_class_list(user_path(path), class_folders(self.layout.train))

    def _infer_shape(self, side: int | None, channels: int | None) -> tuple[int, int, int]:
        self._survey: ImageSurvey | None = None
        if side is None or channels is None:
            self._survey = survey_images(self.layout.train, self._train_index.files)
            side, channels = side or self._survey.side, channels or self._survey.channels
        return channels, side, side

    def _count_classes(self, classes: int | None) -> int:
        if self._class_list is not None:
            return len(self._class_list.folders)
        return len(class_folders(self.layout.train)) if classes is None else classes

    @cached_property
    def _train_index(self) -> FolderIndex:
        """Index of the folder of training images, which holds the test images too in a flat layout."""
        return shared_index(self.layout.train, None if self._class_list is None else self._class_list.folders)

    def _read_parts(self) -> Parts:
        """Return the indices of the training and test images."""
        train = self._train_index
        if self.layout.test is not None:
            test = shared_index(self.layout.test, None if self._class_list is None else self._class_list.folders)
            check_classes(train.classes, test.classes, self.root, self.layout.test.name)
            return train, test
        return self.flat_split.divide(train, self._writes_lists())

    def _writes_lists(self) -> bool:
        return self.trainer is None or self.trainer.is_global_zero

    def _build_decoder(self, augment: bool) -> ImageDecoder:
        return ImageDecoder(self.shape[1], self.mean, self.std, self.augmentation, augment)
