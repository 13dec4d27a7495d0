"""Evaluation with a supernet against its own validation accuracy."""

from __future__ import annotations

import math

import pytest
import torch

from nas.architecture.cell import Genotype
from nas.blackbox.evaluators.supernet import SupernetAccuracy
from nas.searches.base import SupernetSearch
from nas.spaces.nas_bench_201.notation import from_index
from nas.utils.errors import NasError
from tests.support.query_tools import SMALL_SPACE, sampled, small_images

SIZE = SMALL_SPACE.supernet_size()


class _Supernet(SupernetSearch):
    def genotype(self) -> Genotype:
        return from_index(0)


def test_supernet_accuracy_equals_validation_by_hand() -> None:
    torch.manual_seed(0)
    data = small_images(eval_batch_size=24)
    search = _Supernet(SMALL_SPACE, "one_shot")
    before = {name: value.clone() for name, value in search.state_dict().items()}
    evaluator = SupernetAccuracy(search, data)
    for genotype in sampled(SMALL_SPACE, 3):
        right = total = 0
        for x, y in data.val_dataloader():
            with torch.no_grad():
                logits = search.supernet.train()(x, SMALL_SPACE.encode(genotype))
            right, total = right + int((logits.argmax(1) == y).sum()), total + len(y)
        assert math.isclose(evaluator(genotype).value, 100 * right / total, rel_tol=1e-5) and total == 32
    search.load_state_dict(before)
    evaluator(genotype)
    assert all(torch.equal(before[name], value) for name, value in search.state_dict().items())
    assert evaluator.describe_value(None).endswith(
        f"weights (%) of the network with {SMALL_SPACE.describe_size(**SIZE)}"
    )
    part = SupernetAccuracy(search, data, batches=1)
    assert len(part._batches) == 1 and "weights (%) on 24 images of the network" in part.describe_value(None)
    with pytest.raises(NasError, match="bilevel=true"):
        SupernetAccuracy(search, small_images(bilevel=False))
