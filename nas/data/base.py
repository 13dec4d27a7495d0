"""Base class of all image data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypedDict

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor

from nas.data.image_log import log_images
from nas.data.pipeline.cifar_augmentation import EvalTransform, TrainTransform
from nas.data.pipeline.loader import Loader, TensorLoader, Transform
from nas.data.pipeline.resize import Resize
from nas.data.placement import placement_of
from nas.data.splits.official import EQUAL_HALVES, OfficialSplit
from nas.data.splits.partition import Partition, Splits
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, FINITE, PADDING, PIXELS, POSITIVE, SEED, check_ranges

Images = Literal["weights", "all"]
"""Training images of a measurement: the part that trains the weights, or all of the data set."""


class ImageOptions(TypedDict, total=False):
    """Options of ``ImageData`` with the same meaning and default for every data set."""

    batch_size: int
    eval_batch_size: int
    split: str | float
    test_split: str | Path | None
    hold_out: bool
    bilevel: bool
    cutout: int
    seed: int
    on_device: bool
    image_size: int | None
    resize: int | None


@check_ranges(mean=FINITE, std=POSITIVE, batch_size=COUNT, eval_batch_size=COUNT, seed=SEED)
@check_ranges(pad=PADDING, cutout=PADDING, image_size=PIXELS, resize=PIXELS)
class ImageData(pl.LightningDataModule):
    """Labeled images in memory. A subclass sets ``name``, ``shape`` and ``classes``, and implements ``load``.

    With ``bilevel`` the training batches are ``{"train": (x, y), "val": (x, y)}`` for the weights and for the
    architecture, both augmented and shuffled. The shorter of the two parts is cycled. Validation uses the part of the
    architecture, in order and without augmentation. Without ``bilevel`` the training batches are ``(x, y)`` from the
    whole training set, and there is no validation. In every batch x is float32 [B, C, H, W] and y is int64 [B].

    With ``split="nas_bench_201"`` all training images train the weights, half of the test images train the
    architecture, and the other half is the test set. A training is tested on that half too. On CIFAR-10 the training
    images are halved instead. An official list of the benchmark selects the images if it is available
    (``OfficialSplit``), and equal halves otherwise. With ``hold_out`` a
    training uses only the weights' part of ``split`` and is tested on the other part (cifar10-valid of NAS-Bench-201).

    Args:
        mean, std: normalization of pixels scaled to 0..1, a value per channel.
        batch_size: training images per step and rank.
        eval_batch_size: images per step and rank in validation and test.
        split: ``"halves"``, the fraction for the weights or the path of a split file (see ``split_train_images``), or
            ``"nas_bench_201"``.
        test_split: file with the halves of ``"nas_bench_201"`` (see ``split_test_images``), or ``"halves"`` for equal
            ones; None: the official list.
        hold_out: see above.
        bilevel: load batches for a search over weights and architecture. False: for a single network.
        pad: pixels of black padding for the random crop; 0: no crop.
        flip: mirror training images at random.
        cutout: side in pixels of the hole in each training image; 0: none.
        seed: seed of the order and the augmentation.
        on_device: store the whole data set on the training device, and augment there.
        image_size: side of the images that networks see; None: as stored.
        resize: shorter side before ``image_size`` is cut out, from the middle or, in training, at random; None: same
            as ``image_size``.

    Raises:
        NasError: if a value is out of range, or, from ``train_dataloader``, if ``batch_size`` is larger than a part.
    """

    inputs: ClassVar[str] = "images"  # the kind of data, as in Space.inputs
    halves_training: ClassVar[bool] = False
    """True if NAS-Bench-201 halves the training images of this data set, and not its test images."""
    official: OfficialSplit | None = None
    """Official list of NAS-Bench-201 for this data set, if there is one."""

    name: str
    shape: tuple[int, int, int]
    """Channels, height and width of an image, as networks see it."""
    stored_shape: tuple[int, int, int]
    """Channels, height and width of an image in memory."""
    classes: int
    class_names: tuple[str, ...] = ()
    """Names by label; empty if unknown. Some data sets read them in ``setup``."""
    test_every_epoch = False
    """Flag of a training: test the network after each epoch."""

    def __init__(
        self,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        batch_size: int = 64,
        eval_batch_size: int = 512,
        split: str | float = "halves",
        test_split: str | Path | None = None,
        hold_out: bool = False,
        bilevel: bool = True,
        pad: int = 4,
        flip: bool = True,
        cutout: int = 0,
        seed: int = 0,
        on_device: bool = True,
        image_size: int | None = None,
        resize: int | None = None,
    ) -> None:
        super().__init__()
        self.stored_shape = self.shape
        self.resize = self._build_resize(image_size, resize)
        if self.resize is not None:
            self.shape = (self.stored_shape[0], self.resize.size, self.resize.size)
        self.mean, self.std = tuple(float(m) for m in mean), tuple(float(s) for s in std)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.pad, self.flip, self.cutout = pad, flip, cutout
        self._check_options()
        self.partition = Partition(split, test_split, hold_out, bilevel, self.halves_training)
        self.split, self.test_split, self.hold_out, self.bilevel = split, test_split, hold_out, bilevel
        self.train_transform = TrainTransform(self.mean, self.std, pad, flip, cutout, self.resize)
        self.seed, self.on_device = seed, on_device
        self._splits: Splits | None = None
        self._split_name: str | None = None
        self._loaded_size = 0  # training images of the data set, before the partition

    def _build_resize(self, size: int | None, side: int | None) -> Resize | None:
        if size is not None:
            return Resize(size, side)
        if side is not None:
            raise NasError(f"dataset.resize={side}: has no effect without dataset.image_size. Set both.")
        return None

    def _check_options(self) -> None:
        channels, height, width = self.shape
        if len(self.mean) != channels or len(self.std) != channels:
            raise NasError(
                f"dataset.mean={list(self.mean)}, dataset.std={list(self.std)}: do not fit {self.name}. "
                f"Set {channels} value(s) each, one per channel."
            )
        if self.classes < 2:
            raise NasError(f"dataset={self.name}: has {self.classes} class(es). Classification needs at least 2.")
        if self.pad > min(height, width):
            raise NasError(f"dataset.pad={self.pad}: larger than the images of {self.name} ({height}x{width}).")
        hole, side = self.cutout, max(height, width)
        if hole // 2 >= side - 1 and hole - hole // 2 >= side:
            covered = f"covers the whole image of {self.name} ({height}x{width})"
            raise NasError(f"dataset.cutout={hole}: {covered}. Set a smaller side, or dataset.cutout=0.")

    def prepare_data(self) -> None:
        """Fetch the official list of the split if it is missing. A trainer calls it on one process per machine."""
        if self.official is not None and self.partition.uses_official_list:
            self.official.fetch()

    def load(self) -> Splits:
        """Read the data set. ``setup`` calls it once on every rank."""
        raise NotImplementedError(f"{type(self).__name__} has no load()")

    def setup(self, stage: str | None = None) -> None:
        """Load the data set on the first call, whatever the ``stage``.

        Raises:
            NasError: if the images have another shape than declared, or a split file does not fit.
        """
        if self._splits is not None:
            return
        if self.official is not None and self.partition.uses_official_list:
            content = self.official.choose(self.trainer)
            self.partition = self.partition.with_official(content)
            self._split_name = EQUAL_HALVES if content is None else self.official.name
        loaded = self.load()
        shapes = [tuple(images.shape[1:]) for images in (loaded.train_images, loaded.test_images)]
        if any(shape != self.stored_shape for shape in shapes):
            raise NasError(
                f"dataset={self.name}: images have shapes {shapes[0]} (train) and {shapes[1]} (test), but the class "
                f"declares {self.stored_shape}. Set the attribute shape to the shape of the images."
            )
        loaded = self.partition.mix_classes(loaded)
        self._loaded_size = len(loaded.train_labels)
        self._splits = self.partition.select(loaded, "a file" if self.official is None else self.official.file.name)
        log_images(self)

    def describe_split(self) -> str | None:
        """Describe a split of NAS-Bench-201 that has an official list, None for any other split; after ``setup``."""
        return self._split_name

    def describe_test_images(self) -> str:
        """Describe the images of ``test_dataloader``, for logs and summaries."""
        return self.partition.describe_test_images()

    @property
    def splits(self) -> Splits:
        """Training and test images; loaded on first access."""
        self.setup()
        assert self._splits is not None
        return self._splits

    def sizes(self) -> dict[str, int]:
        """Return the number of images by part: ``train``, ``val`` (only with ``bilevel``) and ``test``."""
        parts = {part: len(indices) for part, indices in self.part_indices().items()}
        return {**parts, "test": len(self.splits.test_labels)}

    def part_indices(self) -> dict[str, Tensor]:
        """Return the indices (int64) of the training images by part: ``train`` and, with ``bilevel``, ``val``."""
        size = len(self.splits.train_labels)
        return self.partition.part_indices(size, self._loaded_size)

    def count_validated(self, total: int) -> int:
        """Return the number of different validation images among ``total`` that all ranks together have read.

        Ranks repeat an image if the number of images is no multiple of their number.
        """
        return min(total, len(self.part_indices()["val"]))

    def train_dataloader(self) -> CombinedLoader | Loader:
        """Return augmented and shuffled batches: pairs from both parts with ``bilevel``, else all training images.

        With ``trainer.overfit_batches`` every epoch has the same batches, without augmentation.
        """
        loaders = {}
        overfit = getattr(self.trainer, "overfit_batches", 0) > 0
        for stream, (part, indices) in enumerate(self.part_indices().items()):
            if overfit:  # in a fixed random order: folders of images are sorted by class
                indices = indices[torch.randperm(len(indices), generator=torch.Generator().manual_seed(self.seed))]
            loader = self.build_loader(
                indices=indices, augment=not overfit, shuffle=not overfit, stream=stream, batch_size=self.batch_size
            )
            if self.batch_size > loader.share:
                raise NasError(
                    f"dataset.batch_size={self.batch_size}: larger than the {part} part of {self.name} "
                    f"({len(indices)} images on {loader.world} rank(s)). Set at most {loader.share}."
                )
            loaders[part] = loader
        return CombinedLoader(loaders, mode="max_size_cycle") if self.bilevel else loaders["train"]

    def val_dataloader(self) -> Loader | list[Loader]:
        """Return the part of the architecture in order, not augmented.

        Without ``bilevel``, return the test images if ``test_every_epoch`` is set, else an empty list.
        """
        if not self.bilevel:
            return self.test_dataloader() if self.test_every_epoch else []
        return self._eval_loader(indices=self.part_indices()["val"])

    def test_dataloader(self) -> Loader:
        """Return the test set in order, not augmented. Each image is on one rank, so some ranks may have one less."""
        return self._eval_loader(test=True, wrap=False)

    def all_train_indices(self) -> Tensor:
        """Return the indices (int64) of the data set's training images, whatever part they belong to.

        Test images that train the architecture (``split="nas_bench_201"``) are not among them.
        """
        return torch.arange(min(len(self.splits.train_labels), self._loaded_size))

    def measurement_loader(self, augment: bool, images: Images = "weights") -> Loader:
        """Return training images in order, for measurements.

        Args:
            augment: apply the training augmentation.
            images: "weights": the part that trains the weights; "all": all training images of the data set.
        """
        indices = self.all_train_indices() if images == "all" else self.part_indices()["train"]
        return self.build_loader(indices=indices, augment=augment, shuffle=False, batch_size=self.eval_batch_size)

    def build_loader(self, test: bool = False, augment: bool = False, **options: Any) -> Loader:
        """Build a loader of the test or training images, for the share and the device of this process.

        Args:
            test: load test images rather than training images.
            augment: apply the training augmentation.
            options: options of ``Loader``, such as ``indices`` and ``batch_size``.
        """
        rank, world, device = placement_of(self.trainer, self.on_device)
        transform: Transform = self.train_transform if augment else EvalTransform(self.mean, self.std, self.resize)
        # Moved once and kept, so that the loaders share one copy on the device.
        self._splits = splits = self.splits.to(device)
        images, labels = (
            (splits.test_images, splits.test_labels) if test else (splits.train_images, splits.train_labels)
        )
        return TensorLoader(
            images, labels, transform=transform, seed=self.seed, rank=rank, world=world, device=device, **options
        )

    def _eval_loader(self, **options: Any) -> Loader:
        return self.build_loader(shuffle=False, batch_size=self.eval_batch_size, **options)
