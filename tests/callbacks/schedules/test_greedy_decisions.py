"""Tests of greedy decisions (SGAS): scores by hand, decisions by brute force, schedule, pruning and resuming."""

from __future__ import annotations

import math
from functools import partial
from io import BytesIO
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from nas.architecture.cell import NONE
from nas.callbacks.schedules.greedy_decisions import GreedyDecisions, edge_scores
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.support.search_tools import weight_step

SHAPE = (3, 8, 8)
SCORES = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.8, 0.0], [0.4, 0.45, 0.15]])
OPS = torch.tensor([[False, True, True]] * 3)
CERTAINTY = 1 - (0.75 * math.log2(4 / 3) + 0.25 * math.log2(4))
"""Certainty of the third edge, whose two ops have the probabilities 3/4 and 1/4; 0 and 1 are those of the others."""


def build_search(space: Any = None, relaxation: Any = Softmax) -> GradientSearch:
    torch.manual_seed(0)
    space = Darts(SHAPE, 10, channels=2, layers=3) if space is None else space
    return GradientSearch(space, relaxation, weight_step())


def start_epoch(callback: GreedyDecisions, search: GradientSearch, epoch: int, epochs: int = 50) -> None:
    trainer: Any = SimpleNamespace(max_epochs=epochs, current_epoch=epoch)
    callback.on_train_epoch_start(trainer, search)


def train(search: GradientSearch, generator: torch.Generator) -> None:
    """Move alpha as an epoch might."""
    for parameter in search.relaxation.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator)


def test_edge_scores_by_hand() -> None:
    """The importances 0.5, 0.8 and 0.6 scale to 0, 1 and 1/3, the intersections 1, 0.5 and 1 to 1, 0 and 1."""
    assert edge_scores(SCORES, OPS).tolist() == pytest.approx([0, 1, CERTAINTY / 3], abs=1e-6)
    before = torch.tensor([[0.0, 0.5, 0.5], [0.0, 0.5, 0.5], [0.0, 0.75, 0.25]])
    assert edge_scores(SCORES, OPS, [before]).tolist() == pytest.approx([0, 0, CERTAINTY / 3], abs=1e-6)
    other = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])  # mean intersections 0.75, 0.75, 0.875
    assert edge_scores(SCORES, OPS, [before, other]).tolist() == pytest.approx([0, 0, CERTAINTY / 3], abs=1e-6)


def test_a_part_that_is_equal_for_all_edges_is_left_out() -> None:
    found = edge_scores(torch.tensor([[0.75, 0.25], [0.5, 0.5], [1.0, 0.0]]), torch.ones(3, 2).bool())
    assert found.tolist() == pytest.approx([CERTAINTY, 0, 1], abs=1e-6)
    assert edge_scores(torch.ones(2, 1), torch.ones(2, 1).bool()).tolist() == [1, 1], "no choice: no entropy"


def test_decisions_are_spread_over_the_run() -> None:
    due = GreedyDecisions().due
    steps = [due(8, completed, 50) - due(8, completed - 1, 50) for completed in range(1, 51)]
    assert [epoch for epoch, count in enumerate(steps, 1) if count] == [10, 15, 20, 25, 30, 35, 40, 45]
    assert [due(6, completed, 50) for completed in (9, 10, 16, 17, 45)] == [0, 1, 1, 2, 6]
    assert [due(8, completed, 10) for completed in range(10)] == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert (due(1, 9, 50), due(1, 10, 50), due(8, 0, 1)) == (0, 1, 0)


def brute_force(alpha: Tensor, history: list[list[list[float]]] | None) -> tuple[int, int]:
    """Return edge and op of the first decision on a cell with ``none`` in column 0, by the equations of the paper."""
    rows = alpha.double().softmax(-1).tolist()
    importance = [sum(row[1:]) for row in rows]
    p = [[value / total for value in row[1:]] for row, total in zip(rows, importance, strict=True)]
    certainty = [1 + sum(v * math.log(v) for v in row) / math.log(len(row)) for row in p]
    parts = [importance, certainty]
    if history is not None:
        overlaps = [[sum(map(min, row, old)) for row, old in zip(p, past, strict=True)] for past in history]
        parts.append([sum(column) / len(history) for column in zip(*overlaps, strict=True)])
    scaled = [[(v - min(part)) / (max(part) - min(part)) for v in part] for part in parts]
    products = [math.prod(column) for column in zip(*scaled, strict=True)]
    edge = products.index(max(products))
    return edge, 1 + p[edge].index(max(p[edge]))


@pytest.mark.parametrize("criterion", [1, 2])
def test_first_decision_equals_brute_force(criterion: Literal[1, 2]) -> None:
    search, callback, generator = build_search(), GreedyDecisions(criterion), torch.Generator().manual_seed(2)
    history: list[list[list[float]]] = []
    for epoch in range(1, 11):
        train(search, generator)
        alpha = search.relaxation.alpha["normal"].detach().clone()
        start_epoch(callback, search, epoch)
        table = search.masks.table("normal")
        if epoch < 10:
            assert table.all()
            history.append([[v / sum(row[1:]) for v in row[1:]] for row in alpha.double().softmax(-1).tolist()])
    edge, op = brute_force(alpha, history[-4:] if criterion == 2 else None)
    assert table.sum(-1).lt(8).nonzero().tolist() == [[edge]] and table[edge].nonzero().tolist() == [[op]]
    assert brute_force(alpha, None) != brute_force(alpha, history[-4:]), "the criteria differ here"


def test_nodes_keep_two_edges_and_prune_the_others() -> None:
    search, callback, generator = build_search(), GreedyDecisions(), torch.Generator().manual_seed(0)
    numbers = []
    for epoch in range(1, 50):
        train(search, generator)
        start_epoch(callback, search, epoch)
        numbers.append(int(callback.cells["reduce"].chosen.sum()))
        if epoch == 30:
            early = {name: table.clone() for name, table in search.masks.named_buffers()}
    assert numbers == [min(max(epoch // 5 - 1, 0), 8) for epoch in range(1, 50)]
    for name, cell in search.space.cells.items():
        table, state = search.masks.table(name), callback.cells[name]
        for node in cell.nodes:
            assert int(state.chosen[cell.into(node)].sum()) == 2
        assert (table.sum(-1) == 1).all() and state.decided.all()
        assert (table[~state.chosen, cell.ops.index(NONE)]).all(), "pruned edges have none"
        decided = early[name].sum(-1) == 1
        assert torch.equal(table[decided], early[name][decided]), "decisions are final"
        links = search.genotype().cells[name].links
        chosen = {(cell.ops[op], *cell.edges[e]) for e, op in table.nonzero().tolist() if state.chosen[e]}
        assert {tuple(link) for link in links} == chosen


def test_importance_has_the_edge_weights() -> None:
    """With equal ops the edge with the largest weight is decided first."""
    search = build_search(relaxation=partial(EdgeNormalized, init_std=0.0))
    for alpha in search.relaxation.alpha.values():
        alpha.data.zero_()
        alpha.data[:, 3] = 1.0
    search.relaxation.beta["normal"].data[7] = 5.0
    start_epoch(GreedyDecisions(), search, 10)
    assert search.masks.table("normal")[7].sum() == 1 and search.masks.table("normal")[2:5].all()


@pytest.mark.parametrize(
    "space",
    [
        pytest.param(NasBench201(SHAPE, 10, channels=2, cells_per_stage=1), id="nas_bench_201"),
        pytest.param(Darts(SHAPE, 10, channels=2, layers=3, ops=["skip_connect", "sep_conv_3x3"]), id="no none"),
        pytest.param(NasBench1Shot1(SHAPE, 10, channels=2, cells_per_stage=1), id="nas_bench_1shot1"),
        pytest.param(NatsSize(SHAPE, 10, (2, 3, 4)), id="nats_size"),
    ],
)
@pytest.mark.parametrize("relaxation", [Softmax, Dirichlet])
def test_every_edge_is_decided_in_each_space(space: Any, relaxation: Any) -> None:
    search, callback, generator = build_search(space, relaxation), GreedyDecisions(2), torch.Generator().manual_seed(0)
    for epoch in range(1, 50):
        train(search, generator)
        start_epoch(callback, search, epoch)
    assert all(state.decided.all() for state in callback.cells.values())
    search.space.check(search.genotype())
    loss = search.loss((torch.randn(4, *SHAPE), torch.arange(4)))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss) and all(
        torch.isfinite(w.grad).all() for w in search.weights.values() if w.grad is not None
    )


def test_resumed_decisions_are_those_of_an_uninterrupted_run() -> None:
    """The state is stored after epoch 20; an epoch that starts twice is counted once."""
    whole, generator = build_search(), torch.Generator().manual_seed(3)
    callback = GreedyDecisions(2)
    for epoch in range(1, 50):
        train(whole, generator)
        start_epoch(callback, whole, epoch)
        if epoch == 20:
            broken = build_search()
            broken.load_state_dict(whole.state_dict())
            resumed, again = GreedyDecisions(2), torch.Generator()
            resumed.load_state_dict(torch.load(_saved(callback.state_dict()), weights_only=True))
            again.set_state(generator.get_state())
    start_epoch(resumed, broken, 20)
    for epoch in range(21, 50):
        train(broken, again)
        start_epoch(resumed, broken, epoch)
    assert all(torch.equal(a, b) for a, b in zip(whole.masks.buffers(), broken.masks.buffers(), strict=True))


def _saved(state: dict[str, Any]) -> Any:
    file = BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


@pytest.mark.parametrize("options", [{"first": 46}, {"last": 50}, {"of": 45}])
def test_epochs_out_of_order_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(NasError, match="GreedyDecisions: first="):
        GreedyDecisions(**options)  # type: ignore[arg-type]
