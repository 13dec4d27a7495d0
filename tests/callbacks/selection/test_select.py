"""Selection by trial: which genotypes are tried, on which batches (RSPS, SETN), and what SETN trains on."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.architecture.cell import Architecture, Cell, CellGenotype, Genotype, Link
from nas.architecture.masks import Masks
from nas.architecture.top_k import best_sums, strongest
from nas.callbacks.selection.select import SelectBest, SelectStrongest
from nas.relaxations.single_path import UniformWeights
from nas.relaxations.uniform import Uniform
from nas.searches.base import Batch, Observation
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import TABLE, NasBench201, from_index

SHAPE = (3, 8, 8)
NESTED = Cell(
    ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)),
    ("none", "a", "b"),
    (2, 3),
    inputs=2,
    excluded=frozenset({(0, "a"), (3, "none"), (4, "b")}),
)


def every(cell: Cell) -> list[tuple[Link, ...]]:
    """All genotypes of a cell that keeps two links a node."""
    nodes = []
    for node in cell.nodes:
        found = []
        for rows in itertools.combinations(cell.into(node), 2):
            for ops in itertools.product(*(cell.choices(e) for e in rows)):
                found.append(tuple(Link(op, *cell.edges[e]) for e, op in zip(rows, ops, strict=True)))
        nodes.append(found)
    return [tuple(itertools.chain(*links)) for links in itertools.product(*nodes)]


def worth(cell: Cell, scores: Tensor, links: tuple[Link, ...]) -> float:
    return float(sum(scores[cell.edges.index((s, t)), cell.ops.index(op)] for op, s, t in links))


def test_strongest_of_the_benchmark_by_brute_force() -> None:
    scores = torch.randn(6, 5, dtype=torch.float64).log_softmax(-1)
    ranked = sorted((from_index(i).cells["cell"] for i in range(15625)), key=lambda c: -worth(TABLE, scores, c.links))
    assert [found["cell"] for found in strongest({"cell": TABLE}, {"cell": scores}, 100)] == ranked[:100]


def test_strongest_of_nested_cells_by_brute_force() -> None:
    cells = {"normal": NESTED, "reduce": NESTED}
    scores = {name: torch.randn(5, 3, dtype=torch.float64).log_softmax(-1) for name in cells}
    pairs = itertools.product(every(NESTED), every(NESTED))
    ranked = sorted(pairs, key=lambda pair: -sum(worth(NESTED, scores[n], p) for n, p in zip(cells, pair, strict=True)))
    found = strongest(cells, scores, 10_000)
    assert len(found) == len(ranked) == len(every(NESTED)) ** 2
    assert [(f["normal"].links, f["reduce"].links) for f in found] == ranked


def test_sums_fall_and_each_comes_once() -> None:
    groups = [sorted(random.Random(i).sample(range(10), 4), reverse=True) for i in range(4)]
    found = list(best_sums(groups))
    sums = [sum(g[i] for g, i in zip(groups, choice, strict=True)) for choice in found]
    assert len(set(found)) == 4**4 and sums == sorted(sums, reverse=True)


def searching(space: Any, relaxation: Any) -> GradientSearch:
    torch.manual_seed(0)
    return GradientSearch(space, relaxation, lambda p: torch.optim.SGD(p, 0.1))


def test_candidates_of_setn_are_the_strongest_of_what_is_left() -> None:
    space = Darts(SHAPE, 10, channels=2, layers=3)
    search = searching(space, lambda cells: UniformWeights(cells, init_std=1.0))
    keep = torch.ones(14, 8, dtype=torch.bool)
    keep[:, 4] = False
    search.masks.restrict("normal", keep)
    found = SelectStrongest().candidates(search, 20)
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


class Tried:
    """A search whose evaluation notes what it was asked, and a trainer at the end of an epoch."""

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
            current_epoch=epoch,
            max_epochs=2,
            datamodule=SimpleNamespace(val_dataloader=lambda: loader),
            strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor),
        )


@pytest.mark.parametrize(("batches", "seen"), [("common", [0.0] * 5), ("own", [0.0, 1.0, 2.0, 0.0, 1.0])])
def test_each_candidate_has_its_batch(monkeypatch: pytest.MonkeyPatch, batches: Any, seen: list[float]) -> None:
    tried = Tried(monkeypatch, [10.0, 30.0, 20.0, 30.0, 5.0])
    select = SelectBest(samples=5, final=2, batches=batches)
    select.on_train_batch_end(tried.trainer, tried.search, None, None, 0)
    assert tried.batches == seen
    assert tried.search.selected is not None
    best = tried.search.space.encode(tried.search.selected)["cell"]
    assert torch.equal(best.op, tried.archs[1]["cell"].op), "of equals the first"


def test_the_last_epoch_tries_more_and_no_other_batch_does(monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(search, "_record", lambda *given: None)
    monkeypatch.setattr(search, "manual_backward", lambda loss: loss.backward())
    seen: list[Observation] = []
    search.observers.append(seen.append)
    sgd = SimpleNamespace(
        optimizer=torch.optim.SGD(search.relaxation.parameters(), 0.1), step=lambda: None, zero_grad=lambda **k: None
    )
    batch = torch.randn(4, *SHAPE), torch.zeros(4, dtype=torch.int64)
    for _ in range(40):
        search._weight_step(batch, sgd)
    search._arch_step({"train": batch, "val": batch}, [sgd, sgd])
    *paths, mixture = [observation.arch["cell"] for observation in seen]
    assert torch.equal(mixture.op, search.relaxation.alpha["cell"].softmax(-1)) or mixture.op.gt(0).all()
    assert all(all(row) for row in mixture.active)
    drawn = torch.stack([path.op for path in paths])
    assert torch.equal(drawn, torch.tensor([path.active for path in paths]).float())
    assert (drawn.sum(-1) == 1).all() and len({str(path.active) for path in paths}) > 30


def test_uniform_paths_of_setn_are_uniform() -> None:
    relaxation, masks = UniformWeights({"cell": TABLE}, init_std=3.0), Masks({"cell": TABLE})
    counts = torch.stack([relaxation.for_weights(masks)["cell"].op for _ in range(3000)]).mean(0)
    torch.testing.assert_close(counts, torch.full((6, 5), 0.2), atol=0.03, rtol=0)
    assert isinstance(strongest({"cell": TABLE}, relaxation.scores(masks), 1)[0]["cell"], CellGenotype)
