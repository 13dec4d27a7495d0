"""Accuracies with the weights of a supernet that a search has trained."""

from __future__ import annotations

import time
from itertools import islice

import torch

from nas.architecture.cell import Genotype
from nas.blackbox.evaluator import Evaluation, Evaluator
from nas.data.base import ImageData
from nas.searches.base import SupernetSearch
from nas.utils.errors import NasError


class SupernetAccuracy(Evaluator):
    """The validation accuracy (percent) of a genotype in the supernet of ``search``, by batch statistics.

    ``batches`` of the validation images are looked at, all where None; always the same ones. Measured seconds.
    """

    unit = "validation accuracy with the supernet's weights (%)"

    def __init__(
        self, search: SupernetSearch, data: ImageData, device: torch.device | None = None, batches: int | None = None
    ) -> None:
        if batches is not None and batches < 1:
            raise NasError(f"evaluator.batches={batches}: give a number of batches, at least 1, or null for all")
        self.search = search.to(device)
        self._like = torch.zeros((), device=device)
        valid = data.val_dataloader()
        if isinstance(valid, list):
            raise NasError("evaluator=supernet needs validation images, and dataset.bilevel=false leaves none")
        self._batches = [(x.to(device), y.to(device)) for x, y in islice(valid, batches)]

    def __call__(self, genotype: Genotype, fidelity: int | None = None) -> Evaluation:
        began = time.perf_counter()
        arch = self.search.space.encode(genotype, like=self._like)
        images = sum(len(y) for _, y in self._batches)
        right = sum(self.search.evaluate(batch, arch)[1] * len(batch[1]) for batch in self._batches)
        return Evaluation(float(right) / images, time.perf_counter() - began)
