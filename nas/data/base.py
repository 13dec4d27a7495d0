"""The base of all image data sets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypedDict

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor

from nas.data.pipeline.augment import EvalTransform, TrainTransform
from nas.data.pipeline.loader import Loader, TensorLoader, Transform
from nas.data.pipeline.resize import Resize
from nas.data.splits.nas_bench_201 import (
    NAS_BENCH_201,
    check_split_options,
    describe_test_images,
    split_test_images,
)
from nas.data.splits.train_split import split_train_images
from nas.utils.errors import NasError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Splits:
    """A data set in memory: images uint8 [N, C, H, W] (or float in 0..1), labels int64 [N]."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def to(self, device: torch.device) -> Splits:
        """The same on ``device``."""
        tensors = (self.train_images, self.train_labels, self.test_images, self.test_labels)
        return Splits(*(tensor.to(device) for tensor in tensors))


class ImageOptions(TypedDict, total=False):
    """The options of ``ImageData`` that mean the same, and have the same default, for every data set."""

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


class _Place(NamedTuple):
    """Which share of the data this process takes, and where it holds it."""

    rank: int
    world: int
    device: torch.device


class ImageData(pl.LightningDataModule):
    """Images with labels, held in memory. A subclass sets ``name``, ``shape``, ``classes`` and writes ``load``.

    With ``bilevel`` the training batches are ``{"train": (x, y), "val": (x, y)}``, both augmented and shuffled, for
    the weights and for the architecture; the shorter of the two parts is cycled. Validation is on the part of the
    architecture, in order and without augmentation. Without ``bilevel`` the training batches are ``(x, y)`` from the
    whole training set and there is no validation. In every batch x is float32 [B, C, H, W] and y int64 [B].

    With ``split="nas_bench_201"`` all training images train the weights, half of the test images train the
    architecture, and the other half is the test set. A training is tested on that half too. With ``hold_out`` a
    training uses only the weights' part of ``split`` and is tested on the other part (cifar10-valid of NAS-Bench-201).

    Args:
        mean, std: normalization, one value a channel, of pixels scaled to 0..1.
        batch_size: training images a step, on each rank.
        eval_batch_size: images a step of validation and test, on each rank.
        split: ``"halves"``, the portion for the weights, or the path of a split file (see ``split_train_images``); or
            ``"nas_bench_201"``, see above.
        test_split: a published file that says what the halves of ``"nas_bench_201"`` are (see ``split_test_images``).
        hold_out: see above.
        bilevel: a search over weights and architecture, rather than the training of one network.
        pad: pixels of black padding for the random crop; 0 for no crop.
        flip: mirror training images at random.
        cutout: side in pixels of the hole in each training image; 0 for none.
        seed: of the order and of the augmentation.
        on_device: hold the whole data set on the device that trains and augment there.
        image_size: side of the images that networks see; as they are held if ``None``.
        resize: side that images are brought to, of which ``image_size`` is then cut out: the middle, or in training a
            part at random; ``image_size`` if ``None``.

    Raises:
        NasError: if a value is out of range. Also from ``train_dataloader``: if ``batch_size`` is larger than a part.
    """

    published_test_split: ClassVar[str] = "a file"
    """The name of the published ``test_split``."""

    name: str
    shape: tuple[int, int, int]
    """Channels, height and width of an image, as networks see it."""
    held: tuple[int, int, int]
    """The same of the images in memory."""
    classes: int
    class_names: tuple[str, ...] = ()
    """By label; empty until known (some data sets learn them in ``setup``)."""
    watch_test = False
    """Whether the training of one network is tested after each epoch."""

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
        self.held = self.shape
        self.resize = self._resize(image_size, resize)
        if self.resize is not None:
            self.shape = (self.held[0], self.resize.size, self.resize.size)
        self.mean, self.std = tuple(float(m) for m in mean), tuple(float(s) for s in std)
        if len(self.mean) != self.shape[0] or len(self.std) != self.shape[0] or min(self.std) <= 0:
            raise NasError(
                f"mean {self.mean} and std {self.std} do not fit {self.name}: "
                f"it has {self.shape[0]} channel(s), and each needs a mean and a positive std"
            )
        least = {"batch_size": (batch_size, 1), "eval_batch_size": (eval_batch_size, 1), "pad": (pad, 0)}
        for option, (value, bound) in {**least, "cutout": (cutout, 0)}.items():
            if value < bound:
                raise NasError(f"{option} is {value} for {self.name}: it must be at least {bound}")
        if self.classes < 2:
            raise NasError(f"{self.name} has {self.classes} class(es): it takes two to tell apart")
        if cutout // 2 >= max(self.shape[1:]) - 1 and cutout - cutout // 2 >= max(self.shape[1:]):
            raise NasError(
                f"cutout {cutout} leaves nothing of {self.name}, whose images are {self.shape[1]}x{self.shape[2]}: "
                "give a smaller hole, or dataset.cutout=0"
            )
        check_split_options(split, test_split, hold_out, bilevel)
        self.test_split, self.hold_out = test_split, hold_out
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.split, self.bilevel = split, bilevel
        self.pad, self.flip, self.cutout = pad, flip, cutout
        self.train_transform = TrainTransform(self.mean, self.std, pad, flip, cutout, self.resize)
        self.seed, self.on_device = seed, on_device
        self._splits: Splits | None = None
        self._weights = 0  # training images with split=nas_bench_201, which the images for the architecture follow

    def _resize(self, size: int | None, side: int | None) -> Resize | None:
        if size is not None:
            return Resize(size, side)
        if side is not None:
            raise NasError(f"resize={side} for {self.name}: give image_size too, the side that is cut out of it")
        return None

    def load(self) -> Splits:
        """Read the data set; called once, by ``setup``, on every rank."""
        raise NotImplementedError(f"{type(self).__name__} has no load()")

    def setup(self, stage: str | None = None) -> None:
        """Load the data set unless that was done before; the same for every ``stage``."""
        if self._splits is not None:
            return
        splits = self.load()
        if splits.train_images.shape[1:] != self.held or splits.test_images.shape[1:] != self.held:
            raise NasError(
                f"{self.name} has images of shape {tuple(splits.train_images.shape[1:])} (train) and "
                f"{tuple(splits.test_images.shape[1:])} (test), but declares {self.held}"
            )
        self._splits = self._shared_out(splits)

    def _shared_out(self, splits: Splits) -> Splits:
        """What is trained and tested on by the rule of ``split`` or ``hold_out``, where it is not what was loaded."""
        images, labels, test_images, test_labels = vars(splits).values()
        self._weights, size = len(labels), len(test_labels)
        if self.hold_out:
            first, second = split_train_images(self.split, self._weights)
            log.info(
                "hold-out       training on %d of %d training images, testing on the other %d (dataset.split=%s)",
                *(len(first), self._weights, len(second), self.split),
            )
            return Splits(images[first], labels[first], images[second], labels[second])
        if self.split != NAS_BENCH_201:
            return splits
        xvalid, xtest = split_test_images(self.test_split, size, self.published_test_split)
        if self.test_split is None:
            log.info(
                "test split     the second half of the %d test images in their order; for the halves of NAS-Bench-201 "
                "set dataset.test_split=%s",
                *(size, self.published_test_split),
            )
        if self.bilevel:
            images, labels = torch.cat([images, test_images[xvalid]]), torch.cat([labels, test_labels[xvalid]])
        return Splits(images, labels, test_images[xtest], test_labels[xtest])

    @property
    def tested_on(self) -> str:
        """What the images of ``test_dataloader`` are, in words."""
        return describe_test_images(self.split, self.test_split, self.hold_out)

    @property
    def splits(self) -> Splits:
        """The data, loaded where that was not done yet."""
        self.setup()
        assert self._splits is not None
        return self._splits

    def sizes(self) -> dict[str, int]:
        """Number of images by part: ``train``, ``val`` (only with ``bilevel``) and ``test``."""
        parts = {part: len(indices) for part, indices in self._parts().items()}
        return {**parts, "test": len(self.splits.test_labels)}

    def train_dataloader(self) -> CombinedLoader | Loader:
        """Augmented and shuffled batches: of both parts in pairs with ``bilevel``, else of all training images."""
        loaders = {}
        for stream, (part, indices) in enumerate(self._parts().items()):
            loader = self._loader(
                indices=indices, augment=True, shuffle=True, stream=stream, batch_size=self.batch_size
            )
            if self.batch_size > loader.share:
                raise NasError(
                    f"batch_size {self.batch_size} is larger than the {part} split of {self.name} "
                    f"({len(indices)} images on {loader.world} rank(s)): use at most {loader.share}"
                )
            loaders[part] = loader
        return CombinedLoader(loaders, mode="max_size_cycle") if self.bilevel else loaders["train"]

    def val_dataloader(self) -> Loader | list[Loader]:
        """The part of the architecture in order, not augmented.

        Without ``bilevel`` there is none: the test images with ``watch_test``, else nothing.
        """
        if not self.bilevel:
            return self.test_dataloader() if self.watch_test else []
        return self._eval_loader(indices=self._parts()["val"])

    def test_dataloader(self) -> Loader:
        """The test set in order, not augmented; distributed, each image is on one rank, so ranks may have one less."""
        return self._eval_loader(test=True, once=True)

    def weights_loader(self, augment: bool) -> Loader:
        """The images that train weights, in order, augmented or not: for measurements."""
        return self._loader(
            indices=self._parts()["train"], augment=augment, shuffle=False, batch_size=self.eval_batch_size
        )

    def _parts(self) -> dict[str, Tensor]:
        """The indices of the training images by their use."""
        size = len(self.splits.train_labels)
        if not self.bilevel:
            return {"train": torch.arange(size)}
        if self.split == NAS_BENCH_201:
            return {"train": torch.arange(self._weights), "val": torch.arange(self._weights, size)}
        return dict(zip(("train", "val"), split_train_images(self.split, size), strict=True))

    def _place(self) -> _Place:
        if self.trainer is None:
            return _Place(0, 1, torch.device("cpu"))
        device = self.trainer.strategy.root_device if self.on_device else torch.device("cpu")
        return _Place(self.trainer.global_rank, self.trainer.world_size, device)

    def _eval_loader(self, **options: Any) -> Loader:
        return self._loader(shuffle=False, batch_size=self.eval_batch_size, **options)

    def _loader(self, test: bool = False, augment: bool = False, **options: Any) -> Loader:
        """A loader of the test images, or of the training images, on this process's share and device."""
        rank, world, device = self._place()
        transform: Transform = self.train_transform if augment else EvalTransform(self.mean, self.std, self.resize)
        # Moved once and kept, so that the loaders share one copy on the device.
        self._splits = splits = self.splits.to(device)
        images, labels = (
            (splits.test_images, splits.test_labels) if test else (splits.train_images, splits.train_labels)
        )
        return TensorLoader(
            images, labels, transform=transform, seed=self.seed, rank=rank, world=world, device=device, **options
        )
