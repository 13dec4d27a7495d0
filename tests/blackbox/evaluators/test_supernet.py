"""Evaluation with a supernet against its own validation accuracy."""

from __future__ import annotations

import math
import random
from itertools import islice

import pytest
import torch

from nas.architecture.cell import Genotype
from nas.blackbox.evaluator import tie_of
from nas.blackbox.evaluators.supernet import SupernetAccuracy
from nas.data.synthetic import Synthetic
from nas.searches.base import SupernetSearch
from nas.spaces.nas_bench_201.notation import from_index
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
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
    chosen = {int(label) for _, y in part._batches for label in y}
    assert len(chosen) > 1, "not the first images, which may be of one class"
    with pytest.raises(NasError, match="bilevel=true"):
        SupernetAccuracy(search, small_images(bilevel=False))


def test_recalibration_averages_the_statistics_of_a_genotype() -> None:
    torch.manual_seed(0)
    space = ShuffleNetV2Space((3, 8, 8), 100, widths=(8,), depths=(3,), strides=(1,), stem_width=4, head=6)
    data = Synthetic(shape=(3, 8, 8), classes=100, size=64, batch_size=8, eval_batch_size=16)
    search = _Supernet(space, "one_shot")
    evaluator = SupernetAccuracy(search, data, batches=2, recalibration=3)
    genotype = space.sample(random.Random(0))
    before = {name: value.clone() for name, value in search.state_dict().items()}
    random_state = torch.get_rng_state()
    found = evaluator(genotype)
    value, top5 = found.value, tie_of(found)
    assert all(torch.equal(before[name], value) for name, value in search.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state()) and search.supernet.training
    again = evaluator(genotype)
    assert (again.value, tie_of(again)) == (value, top5), "the same images for each query"

    network = search.supernet
    indices = data.part_indices()["train"]
    loader = data.build_loader(indices=indices, augment=True, shuffle=True, batch_size=8)
    for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.reset_running_stats()
    arch = space.encode(genotype)
    with torch.no_grad():
        for x, _ in islice(loader, 3):
            network.train()(x, arch)
        ranked = [network.eval()(x, arch).topk(5).indices.eq(y[:, None]) for x, y in evaluator._batches]
    hits = torch.cat(ranked)
    assert len(hits) == 32
    assert (value, top5) == pytest.approx(
        (100 * float(hits[:, 0].float().mean()), 100 * float(hits.any(1).float().mean()))
    )
    with pytest.raises(NasError, match="evaluator.recalibration=1: batch norm of this supernet tracks no statistics"):
        bare = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1, track_statistics=False)
        SupernetAccuracy(_Supernet(bare, "one_shot"), small_images(), recalibration=1)
