"""Observations of data sets without files, for tests of their options."""

from __future__ import annotations

from typing import Any

import torch

from nas.data.base import ImageData
from nas.data.pipeline.loader import Loader
from nas.data.proxy_batches import ProxyBatches
from nas.data.splits.partition import Splits
from nas.data.text.base import TextData
from nas.data.text.corpus import Corpus
from tests.support.ddp_probe import digest


def in_memory(kind: Any) -> Any:
    """Return a subclass of a data set with random images in place of its files."""

    class Small(kind):  # type: ignore[misc]
        def prepare_data(self) -> None:
            pass

        def load(self) -> Splits:
            generator = torch.Generator().manual_seed(0)
            parts = []
            for count in (24, 8):
                images = torch.randint(256, (count, *self.stored_shape), generator=generator, dtype=torch.uint8)
                parts += [images, torch.arange(count) % 10]
            return Splits(*parts)

    return Small


def batches_of(loader: Loader) -> list[Any]:
    """Return digests of the batches of an epoch, with their sizes."""
    return [(len(y), digest([x, y])) for x, y in loader]


def data_set(data: ImageData) -> list[Any]:
    """Return digests of all batches of a data set, and its description."""
    seen: list[Any] = [data.name, data.shape, data.classes, data.describe_test_images(), data.sizes(), data.class_names]
    train: Any = data.train_dataloader()
    loaders = train.iterables if data.bilevel else {"train": train}
    seen += [(name, batches_of(loader)) for name, loader in loaders.items()]
    if data.bilevel:
        validation = data.val_dataloader()
        assert isinstance(validation, Loader)
        seen.append(batches_of(validation))
    return [*seen, batches_of(data.test_dataloader()), digest(ProxyBatches(data, 0)(4))]


def text_in_memory(kind: Any) -> Any:
    """Return a subclass of a text data set with the numbers 0, 1, ... in place of its files."""

    class Small(kind):  # type: ignore[misc]
        def load(self) -> Corpus:
            words = tuple(map(str, range(500)))
            return Corpus(words, torch.arange(400), torch.arange(90), torch.arange(100, 190))

    return Small


def text_set(data: TextData) -> list[Any]:
    """Return digests of all batches of a text data set, and its description."""
    seen: list[Any] = [data.name, data.classes, data.sizes()]
    for batch in data.train_dataloader():
        halves = batch.values() if isinstance(batch, dict) else [batch]
        seen += [[chunk[1:], digest([chunk.tokens, target])] for chunk, target in halves]
    for loader in (data.val_dataloader(), data.test_dataloader()):
        seen += [[chunk[1:], digest([chunk.tokens, target])] for chunk, target in loader]
    return seen
