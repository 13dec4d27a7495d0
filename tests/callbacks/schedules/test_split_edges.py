"""GM-NAS: gradients of candidate ops, selection of the edge, branches, and refused options."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import SGD, Adam

from nas.architecture.cell import EdgeWeights
from nas.callbacks.schedules.split_edges import SplitEdges, shared_weights
from nas.data.synthetic import Synthetic
from nas.gradients.matching import Division, divide
from nas.relaxations.softmax import Softmax
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError


def build(callback: Any = None, space: Any = None) -> GradientSearch:
    torch.manual_seed(0)
    space = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1) if space is None else space
    weights = WeightStep(partial(SGD, lr=0.05, momentum=0.9))
    step = ArchStep(partial(Adam, lr=0.05))
    return GradientSearch(
        space, partial(Softmax, init_std=1.0), weights, step, callbacks=[callback] if callback else []
    )


def test_gradients_are_those_of_the_other_edges_with_one_op_on_the_edge() -> None:
    search = build()
    batch = torch.randn(4, 3, 8, 8), torch.arange(4)
    weights = shared_weights(search, "cell", 2)
    names = {n for n, p in search.supernet.named_parameters() if any(p is w for w in weights)}
    assert names == {n for n in search.weights if ".edges." in n and ".edges.1_2." not in n}
    buffers = {n: b.clone() for n, b in search.supernet.named_buffers()}
    found = SplitEdges._gradients(search, batch, "cell", 2, [1, 3], weights)
    assert all(torch.equal(b, buffers[n]) for n, b in search.supernet.named_buffers()), "statistics are kept"
    for i, column in enumerate((1, 3)):
        op = search.relaxation.scores(search.masks)["cell"].clone()
        op[2] = torch.eye(5)[column]
        active = [[True] * 5 for _ in range(6)]
        loss = search.task.loss(search.supernet(batch[0], {"cell": EdgeWeights(op, active)}), batch[1])
        expected = torch.autograd.grad(loss, weights, allow_unused=True)
        for got, grad in zip(found, expected, strict=True):
            torch.testing.assert_close(got[i], torch.zeros_like(got[i]) if grad is None else grad, rtol=1e-4, atol=1e-6)


def test_shared_weights_contain_other_cell_types() -> None:
    search = build(space=Darts((3, 8, 8), 10, channels=2, layers=3))
    names = {
        n for n, p in search.supernet.named_parameters() if any(p is w for w in shared_weights(search, "normal", 0))
    }
    assert any(n.startswith("cells.1.graph.edges.0_2.") for n in names), "the first edge of a reduction"
    assert not any(n.startswith("cells.0.graph.edges.0_2.") for n in names)


class Fixed(SplitEdges):
    """Splits whose distances are given for each edge."""

    def _distances(self, trainer: Any, search: Any, name: str, edge: int, columns: Any) -> Tensor:
        second = torch.tensor([column in (edge % 4, 4) for column in range(len(columns))])
        found = torch.where(second[:, None] == second, 0.1, 1 - 0.1 * edge)
        return found


@pytest.mark.parametrize("branch", range(4))
def test_branches_are_the_groups_of_the_best_edges(branch: int) -> None:
    search, callback = build(), Fixed([1, 2], 3, branch)
    for level in range(2):
        callback.split(None, search, level)  # type: ignore[arg-type]
    # the distance between the groups is largest on edge 0, then on edge 1
    rows = search.masks.lists("cell")
    groups = [[{0, 4}, {1, 2, 3}], [{1, 4}, {0, 2, 3}]]
    for level in range(2):
        kept = {c for c, on in enumerate(rows[level]) if on}
        assert kept == groups[level][branch >> level & 1]
    assert all(all(row) for row in rows[2:])


def test_criteria_agree_on_the_edge_of_equal_totals() -> None:
    distances = torch.rand(5, 5, generator=torch.Generator().manual_seed(0))
    distances = distances + distances.T
    cut, inside = divide(distances, "cut"), divide(distances, "inside")
    assert isinstance(cut, Division) and (cut.first, cut.second) == (inside.first, inside.second)
    assert cut.score > 0 > inside.score


class Epochs(pl.Callback):
    """Record masks, alpha and a weight at the end of each epoch."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, Tensor, Tensor]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        masked = sum(not on for row in pl_module.masks.lists("cell") for on in row)
        alpha = pl_module.relaxation.alpha["cell"].detach().clone()
        self.seen.append((masked, alpha, pl_module.supernet.classifier.weight.detach().clone()))


@pytest.mark.filterwarnings("ignore")
def test_branches_share_the_epochs_before_the_first_split() -> None:
    found = []
    for branch in (0, 1):
        search, seen = build(SplitEdges([1, 2], 4, branch, batches=2)), Epochs()
        data = Synthetic(shape=(3, 8, 8), size=32, test_size=8, batch_size=8)
        quiet: dict[str, Any] = dict.fromkeys(("logger", "enable_progress_bar", "enable_checkpointing"), False)
        trainer = pl.Trainer(accelerator="cpu", max_epochs=4, limit_val_batches=0, callbacks=[seen], **quiet)
        trainer.fit(search, datamodule=data)
        found.append(seen.seen)
        assert [masked > 0 for masked, *_ in seen.seen] == [False, True, True, True]
        assert seen.seen[1][0] < seen.seen[2][0] == seen.seen[3][0]
        frozen = [torch.equal(alpha, seen.seen[0][1]) for _, alpha, _ in seen.seen]
        assert frozen == [True, True, False, False], "alpha is frozen before the last split"
        search.space.check(search.genotype())
    for epoch, (one, other) in enumerate(zip(*found, strict=True)):
        assert torch.equal(one[2], other[2]) == (epoch == 0)
    assert found[0][1][0] + found[1][1][0] == 5, "the two groups are the ops of one edge"


@pytest.mark.parametrize(("epochs", "warned"), [(2, True), (3, True), (4, False), (60, False)])
def test_runs_that_are_too_short_for_the_splits_are_named(
    epochs: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    trainer: Any = type("T", (), {"max_epochs": epochs})()
    SplitEdges([15, 30], 60).on_train_start(trainer, build())
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == warned and all("Set epochs=4 or more." in line for line in lines)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"branch": 4}, "2 splits give branches 0 to 3"),
        ({"epochs": [2, 1]}, "ascending"),
        ({"epochs": [3, 9]}, "below of=9"),
        ({"distance": "angle"}, "distance=angle: unknown"),
        ({"criterion": "best"}, "criterion=best: unknown"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message):
        SplitEdges(**{"epochs": [1, 2], "of": 9, **options})
