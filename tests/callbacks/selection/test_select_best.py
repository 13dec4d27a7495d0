"""Selection of the best sampled genotype: candidates, validation batches, and training of SETN."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.architecture.cell import Architecture, CellGenotype, Genotype
from nas.architecture.masks import Masks
from nas.architecture.top_genotypes import top_genotypes
from nas.callbacks.selection.select_best import SelectBest, SelectHighestScores
from nas.gradients.base import Batch
from nas.relaxations.uniform import Uniform, UniformWeights
from nas.searches.base import Observation
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.limits import Limit, Limits
from nas.spaces.nas_bench_201.notation import CELL
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.network_cost import network_costs
from tests.architecture.test_top_genotypes import worth
from tests.support.search_tools import weight_step

SHAPE = (3, 8, 8)


def searching(space: Any, relaxation: Any) -> GradientSearch:
    torch.manual_seed(0)
    return GradientSearch(space, relaxation, weight_step())


def test_select_highest_scores_among_remaining_ops() -> None:
    space = Darts(SHAPE, 10, channels=2, layers=3)
    search = searching(space, lambda cells: UniformWeights(cells, init_std=1.0))
    keep = torch.ones(14, 8, dtype=torch.bool)
    keep[:, 4] = False
    search.masks.restrict("normal", keep)
    found = SelectHighestScores().candidates(search, 20)
    assert len(set(found)) == 20
    for genotype in found:
        space.check(genotype)
        assert not any(link.op == space.cells["normal"].ops[4] for link in genotype.cells["normal"].links)
    scores = search.relaxation.scores(search.masks)

    def total(genotype: Genotype) -> float:
        return sum(worth(space.cells[k], scores[k].log(), c.links) for k, c in genotype.cells.items())

    totals = [total(genotype) for genotype in found]
    assert totals == sorted(totals, reverse=True)
    rng = random.Random(0)
    assert max(total(space.sample(rng)) for _ in range(300)) <= totals[0] + 1e-5


def test_uniform_samples_are_within_the_limits_or_else_the_derived_genotype(monkeypatch: pytest.MonkeyPatch) -> None:
    space = NasBench201(SHAPE, 10, channels=2, cells_per_stage=1)
    macs = network_costs(space)[1]
    costs = sorted(map(macs, (space.sample(random.Random(seed)) for seed in range(9))))
    search = searching(space, UniformWeights)
    search.use_limits(Limits(space, [Limit(macs, costs[4])]), 0.01)
    found = SelectBest().candidates(search, 6)
    assert len(found) == 6 and all(macs(one) <= costs[4] for one in found)
    monkeypatch.setattr("nas.callbacks.selection.select_best.MAX_TRIES", 20)
    search.use_limits(Limits(space, [Limit(macs, min(map(macs, map(space.from_index, range(15_625)))))]), 0.01)
    assert SelectBest().candidates(search, 6) == [search.genotype()]


class Tried:
    """Search that records its evaluations, with a trainer at the end of an epoch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, accuracies: list[float], epoch: int = 0) -> None:
        self.search = searching(NasBench201(SHAPE, 10, channels=2, cells_per_stage=1), Uniform)
        self.batches: list[float] = []
        self.archs: list[Architecture] = []
        results = iter(accuracies)

        def evaluate(batch: Batch, arch: Architecture) -> tuple[Tensor, Tensor]:
            self.batches.append(float(batch[0]))
            self.archs.append(arch)
            return torch.tensor(0.0), torch.tensor(next(results))

        monkeypatch.setattr(self.search, "evaluate", evaluate)
        loader = [(torch.tensor(float(i)), torch.tensor(0)) for i in range(3)]
        self.trainer: Any = SimpleNamespace(
            is_last_batch=True,
            received_sigterm=False,
            world_size=1,
            current_epoch=epoch,
            max_epochs=2,
            datamodule=SimpleNamespace(val_dataloader=lambda: loader),
            strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor),
        )


@pytest.mark.parametrize(("batches", "seen"), [("common", [0.0] * 5), ("own", [0.0, 1.0, 2.0, 0.0, 1.0])])
def test_each_candidate_is_evaluated_on_its_batch(
    monkeypatch: pytest.MonkeyPatch, batches: Any, seen: list[float]
) -> None:
    tried = Tried(monkeypatch, [10.0, 30.0, 20.0, 30.0, 5.0])
    select = SelectBest(samples=5, final=2, batches=batches)
    select.on_train_batch_end(tried.trainer, tried.search, None, None, 0)
    assert tried.batches == seen
    assert tried.search.selected is not None
    best = tried.search.space.encode(tried.search.selected)["cell"]
    assert torch.equal(best.op, tried.archs[1]["cell"].op), "of equals the first"


def test_last_epoch_evaluates_final_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = Tried(monkeypatch, [1.0] * 7, epoch=1)
    select = SelectBest(samples=2, final=7)
    tried.trainer.is_last_batch = False
    select.on_train_batch_end(tried.trainer, tried.search, None, None, 0)
    assert not tried.batches and tried.search.selected is None
    tried.trainer.is_last_batch = True
    select.on_train_batch_end(tried.trainer, tried.search, None, None, 0)
    assert len(tried.batches) == 7


def test_setn_trains_weights_on_uniform_paths_and_alphas_on_the_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    search = searching(NasBench201(SHAPE, 10, channels=2, cells_per_stage=1), UniformWeights)
    monkeypatch.setattr(search, "log_step", lambda *given: None)
    monkeypatch.setattr(search, "manual_backward", lambda loss: loss.backward())
    seen: list[Observation] = []
    search.observers.append(seen.append)
    sgd = SimpleNamespace(
        optimizer=torch.optim.SGD(search.relaxation.parameters(), 0.1), step=lambda: None, zero_grad=lambda **k: None
    )
    batch = torch.randn(4, *SHAPE), torch.zeros(4, dtype=torch.int64)
    for _ in range(40):
        search.train_weights(batch, sgd)
    search.train_architecture({"train": batch, "val": batch}, [sgd, sgd])
    *paths, mixture = [observation.arch["cell"] for observation in seen]
    assert torch.equal(mixture.op, search.relaxation.alpha["cell"].softmax(-1)) or mixture.op.gt(0).all()
    assert all(all(row) for row in mixture.active)
    drawn = torch.stack([path.op for path in paths])
    assert torch.equal(drawn, torch.tensor([path.active for path in paths]).float())
    assert (drawn.sum(-1) == 1).all() and len({str(path.active) for path in paths}) > 30


def test_uniform_paths_of_setn_are_uniform() -> None:
    relaxation, masks = UniformWeights({"cell": CELL}, init_std=3.0), Masks({"cell": CELL})
    counts = torch.stack([relaxation.sample_for_weights(masks)["cell"].op for _ in range(3000)]).mean(0)
    torch.testing.assert_close(counts, torch.full((6, 5), 0.2), atol=0.03, rtol=0)
    assert isinstance(top_genotypes({"cell": CELL}, relaxation.scores(masks), 1)[0]["cell"], CellGenotype)
