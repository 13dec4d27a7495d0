"""Images in folders, one a class: ImageNet, and data of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch
from PIL import Image
from torch import Tensor

from nas.data.base import ImageData, Splits
from nas.data.pipeline.archive import write_whole
from nas.data.pipeline.decode import Crop, Decode
from nas.data.pipeline.file_loader import UNREADABLE, FileLoader, OnBrokenImage
from nas.data.pipeline.loader import Loader
from nas.data.splits import class_subset as subsets
from nas.data.splits.class_list import ClassList, read_class_list
from nas.data.splits.folder_index import FolderIndex, check_classes, class_folders, images_in, index_folder
from nas.utils.errors import NasError, one_line

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY_MEAN, GREY_STD = (0.449,), (0.226,)


class FolderOptions(TypedDict, total=False):
    """The options that ``Folder`` shares with ``ImageData``."""

    batch_size: int
    eval_batch_size: int
    bilevel: bool
    flip: bool
    cutout: int
    seed: int


class Folder(ImageData):
    """Images under ``root``: ``train/CLASS/`` and, to be tested on, ``val/CLASS/``; labels are places of sorted names.

    They are read as they are needed. With ``bilevel`` each class gives a portion of its training images to the weights
    and another to the architecture, chosen from ``subset_seed`` and written to ``subset_file``; that list can be given
    back as ``subset``. Without ``bilevel`` all training images are used. See ``ImageData`` for the batches, ``Decode``
    for the augmentation.

    Args:
        root: the folder above ``train`` and ``val``.
        name: what the data set is called.
        classes: how many there are; ``None``: as many as folders in ``train``, which is looked at at once.
        class_list: a file of the classes to use, in the order of their labels (see ``read_class_list``), which then
            tells how many there are; ``None``: all folders, sorted.
        image_size: side of the images that networks see; ``None``: the shorter side of the first training image.
        channels: 3, 1 for gray images; ``None``: those of the first training image.
        mean, std: of pixels scaled to 0..1; ``None``: those of ImageNet.
        crop, scale, color_jitter, lighting, flip, pad, cutout: of the training images, see ``Decode``.
        subset_fractions: of each class for the weights and for the architecture.
        subset: a file list from which the two parts are taken instead.
        subset_seed: selects the images of ``subset_fractions``.
        subset_file: where the list of them is written.
        on_broken_image: ``stop`` at an image that cannot be read, or ``skip`` and name it.
        num_workers: processes that decode images; ``None``: one a core, at most 8.
        batch_size, eval_batch_size, bilevel, seed: see ``ImageData``.

    Raises:
        NasError: if a value is out of range, or what is looked up at once is not there; from ``setup``, if the folders
            are not as they should be.
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
        on_broken_image: OnBrokenImage = "stop",
        num_workers: int | None = None,
        **options: Unpack[FolderOptions],
    ) -> None:
        if root is None:
            raise NasError("dataset.root is missing: give the folder that holds train/CLASS/ and val/CLASS/")
        self.root, self.name = Path(root).expanduser(), name
        self._listed = None if class_list is None else _listed(Path(class_list).expanduser(), self.root / "train")
        first = _first_image(self.root / "train", self._listed) if None in (image_size, channels) else (0, 0)
        side, channels = image_size or first[0], channels or first[1]
        if side < 8 or channels not in (1, 3) or (num_workers or 0) < 0:
            raise NasError(
                f"dataset={name}: image_size={side}, channels={channels}, num_workers={num_workers} are out of range. "
                "Set image_size to at least 8, channels to 1 or 3 and num_workers to at least 0."
            )
        self.classes, self.shape = _count(self.root / "train", self._listed, classes), (channels, side, side)
        mean = (GREY_MEAN if channels == 1 else IMAGENET_MEAN) if mean is None else mean
        std = (GREY_STD if channels == 1 else IMAGENET_STD) if std is None else std
        options.setdefault("eval_batch_size", 256)
        super().__init__(mean=mean, std=std, pad=pad, on_device=False, **options)
        self.crop, self.on_broken_image, self.num_workers = crop, on_broken_image, num_workers
        self.scale, self.color_jitter, self.lighting = tuple(scale), tuple(color_jitter), lighting
        self.subset_fractions, self.subset, self.subset_seed = tuple(subset_fractions), subset, subset_seed
        self.subset_file = None if subset_file is None else Path(subset_file)
        self._decode(True)  # its values are looked at now rather than in the first step
        if subset is not None and not self.bilevel:
            raise NasError(f"subset {subset}: without bilevel, as in a training, all images are used: leave it out")
        self._index: dict[str, FolderIndex] = {}
        self._chosen: dict[str, Tensor] = {}

    def load(self) -> Splits:
        """Never: the images are not held in memory."""
        raise NasError(f"the images of {self.name} are read as they are needed, not held in memory")

    def setup(self, stage: str | None = None) -> None:
        """Look at all folders, and share out the training images; the same for every ``stage``."""
        if self._index:
            return
        folders = None if self._listed is None else self._listed.folders
        train, val = (index_folder(self.root / part, folders) for part in ("train", "val"))
        check_classes(train.classes, val.classes, self.root)
        if len(train.classes) != self.classes:
            raise NasError(
                f"{self.root.absolute()} has {len(train.classes)} classes, where dataset.classes={self.classes}: "
                "give the number that there are"
            )
        self.class_names = train.classes if self._listed is None else self._listed.names
        if self.bilevel:
            self._chosen = self._choose(train)
        else:
            self._chosen = {"train": torch.arange(len(train.files))}
        self._index = {"train": train, "val": val}

    def sizes(self) -> dict[str, int]:
        """Number of images by part: ``train``, ``val`` (only with ``bilevel``) and ``test``."""
        return {**{part: len(chosen) for part, chosen in self._parts().items()}, "test": len(self._index["val"].files)}

    def _choose(self, train: FolderIndex) -> dict[str, Tensor]:
        if self.subset is None:
            weights, architecture = subsets.choose(train, self.subset_fractions, self.subset_seed)
        else:
            weights, architecture = subsets.read(Path(self.subset).expanduser(), train)
        if self.subset_file is not None and (self.trainer is None or self.trainer.is_global_zero):
            text = subsets.to_text(train, weights, architecture)
            if self.subset_file.exists() and self.subset_file.read_text() != text:
                raise NasError(
                    f"{self.subset_file} lists other images than those that {train.root} gives now: the folder has "
                    f"changed since this run began; dataset.subset={self.subset_file} keeps to the list"
                )
            self.subset_file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.subset_file, text.encode())
        return {"train": weights, "val": architecture}

    def _parts(self) -> dict[str, Tensor]:
        self.setup()
        return self._chosen

    def _decode(self, augment: bool) -> Decode:
        return Decode(
            self.shape[1],
            self.mean,
            self.std,
            augment,
            crop=self.crop,
            scale=self.scale,
            color_jitter=self.color_jitter,
            flip=self.flip,
            pad=self.pad if augment else 0,
            cutout=self.cutout,
            lighting=self.lighting,
        )

    def _loader(self, test: bool = False, augment: bool = False, **options: Any) -> Loader:
        self.setup()
        rank, world, _ = self._place()
        index = self._index["val" if test else "train"]
        device = None if self.trainer is None else self.trainer.strategy.root_device
        return FileLoader(
            str(index.root),
            index.files,
            index.labels,
            decode=self._decode(augment),
            on_broken_image=self.on_broken_image,
            num_workers=self.num_workers,
            pinned=device is not None and device.type == "cuda",
            seed=self.seed,
            rank=rank,
            world=world,
            **options,
        )


def _listed(path: Path, root: Path) -> ClassList:
    return read_class_list(path, class_folders(root))


def _count(root: Path, listed: ClassList | None, given: int | None) -> int:
    """The number of classes: of those in a list, or else as it is given, or else of the folders that there are."""
    if listed is not None:
        return len(listed.folders)
    return len(class_folders(root)) if given is None else given


def _first_image(root: Path, listed: ClassList | None) -> tuple[int, int]:
    """The shorter side of the first training image, and its number of channels. Raises NasError where there is none."""
    folder = root / (class_folders(root) if listed is None else listed.folders)[0]
    names = images_in(folder)
    if not names:
        raise NasError(f"class folder {folder.absolute()} holds no images: remove it or fill it")
    try:
        with Image.open(folder / names[0]) as image:
            return min(image.size), 1 if image.mode in ("1", "L", "I;16", "I", "F") else 3
    except UNREADABLE as error:
        raise NasError(
            f"cannot read {folder / names[0]} ({one_line(error)}), whose size the images would have: give "
            "dataset.image_size and dataset.channels"
        ) from error
