"""Evaluation with the weights of a trained supernet."""

from __future__ import annotations

import time
from itertools import islice

import torch

from nas.blackbox.evaluator import Evaluator, QueryResult
from nas.data.kinds import DataSet
from nas.data.move_batch import move_batch
from nas.searches.base import SupernetSearch
from nas.spaces.resolve_genotype import GivenGenotype, genotype_in
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, check_ranges


@check_ranges(batches=COUNT)
class SupernetAccuracy(Evaluator):
    """Validation accuracy (percent) of a genotype with the supernet's weights and batch statistics; measured seconds.

    The value of a language model is the perplexity of the validation text, negated.

    Args:
        search: Search with the trained supernet.
        data: Images; they need a validation split.
        device: Device of the supernet.
        batches: Number of validation batches, the same for each query; None uses all.

    Raises:
        NasError: If ``batches`` is below 1 or there are no validation images.
    """

    def __init__(
        self, search: SupernetSearch, data: DataSet, device: torch.device | None = None, batches: int | None = None
    ) -> None:
        self.search = search.to(device)
        metric = search.task.metric
        self.label = metric.describe("with the supernet's weights")
        self.network_size = search.space.describe_size(**search.space.supernet_size())
        self._like = torch.zeros((), device=device)
        valid = data.val_dataloader()
        if isinstance(valid, list):
            raise NasError("evaluator=supernet: needs validation images. Set dataset.bilevel=true.")
        self._batches = [move_batch(batch, device) for batch in islice(valid, batches)]
        if batches is not None:
            self.label = f"{self.label} on {sum(len(y) for _, y in self._batches)} {metric.examples}"

    def __call__(self, genotype: GivenGenotype, fidelity: int | None = None) -> QueryResult:
        genotype, began = genotype_in(self.search.space, genotype), time.perf_counter()
        arch = self.search.space.encode(genotype, like=self._like)
        examples = sum(len(y) for _, y in self._batches)
        scores = [self.search.evaluate(batch, arch)[1] * len(batch[1]) for batch in self._batches]
        value = self.search.task.ranked(torch.stack(scores).sum() / examples)
        return QueryResult(value, time.perf_counter() - began)
