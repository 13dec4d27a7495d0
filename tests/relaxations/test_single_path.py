"""DSNAS: its gradient against exact ones by enumeration, its draws, and edges that are fixed early."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.callbacks.schedules.early_fixing import EarlyFixing
from nas.relaxations.single_path import SinglePath
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.search_tools import weight_step

SHAPE = (3, 8, 8)
TOY = {"cell": Cell(((0, 1), (1, 2)), ("a", "b"), (2,))}


def expected(relaxation: SinglePath, loss: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The mean of the estimator over all draws, each weighed by its probability; and the exact gradient of E[loss]."""
    alpha, masks = relaxation.alpha["cell"], Masks(relaxation.cells)
    p = alpha.detach().softmax(-1)
    found: dict[tuple[int, ...], Tensor] = {}
    while len(found) < 4:
        weights = relaxation.sample(masks)["cell"]
        drawn = tuple(row.index(True) for row in weights.active)
        assert torch.equal(weights.op, F.one_hot(torch.tensor(drawn), 2).to(alpha))
        (found[drawn],) = torch.autograd.grad(loss(weights.op), alpha)
    mean = torch.stack([p[0, i] * p[1, j] * slope for (i, j), slope in found.items()]).sum(0)
    q = alpha.softmax(-1)
    cost = sum(q[0, i] * q[1, j] * loss(F.one_hot(torch.tensor([i, j]), 2).to(alpha)) for i in (0, 1) for j in (0, 1))
    return mean, torch.autograd.grad(cost, alpha)[0]


def toy() -> SinglePath:
    torch.manual_seed(0)
    return SinglePath(TOY, init_std=1.0).double()


def test_estimator_is_exact_where_the_loss_is_linear_in_each_edge() -> None:
    costs = torch.randn(2, 2, dtype=torch.float64)
    mean, exact = expected(toy(), lambda w: w[0] @ costs @ w[1])
    torch.testing.assert_close(mean, exact)
    assert float(exact.abs().max()) > 1e-2


def test_estimator_expands_other_losses_to_first_order() -> None:
    """For L = (c.w)^2 of one edge the score's reward is L' = 2 c^2, twice the loss: biased, as published."""
    c = torch.tensor([1.0, 3.0], dtype=torch.float64)
    mean, exact = expected(toy(), lambda w: (w[0] @ c) ** 2)
    torch.testing.assert_close(mean, 2 * exact)


def searching(space: Any, **options: Any) -> GradientSearch:
    torch.manual_seed(0)
    return GradientSearch(space, lambda cells: SinglePath(cells, init_std=1.0), weight_step(), **options)


@pytest.mark.parametrize(
    "space", [NasBench201(SHAPE, 10, channels=2, cells_per_stage=1), Darts(SHAPE, 10, channels=2, layers=3)]
)
def test_gradient_of_a_search_is_score_times_reward(space: Any) -> None:
    search = searching(space)
    batch = torch.randn(4, *SHAPE), torch.arange(4)
    state = search.relaxation.generators.get_extra_state()
    got = torch.autograd.grad(search.loss(batch), list(search.relaxation.parameters()))
    search.relaxation.generators.set_extra_state(state)
    arch = {k: w._replace(op=w.op.detach().requires_grad_()) for k, w in search.relaxation.sample(search.masks).items()}
    rewards = torch.autograd.grad(
        search.task.loss(search.supernet(batch[0], arch), batch[1]), [w.op for w in arch.values()]
    )
    moved = 0.0
    for (name, alpha), slope, reward in zip(search.relaxation.alpha.items(), got, rewards, strict=True):
        chosen = torch.tensor(arch[name].active)
        assert (reward[~chosen] == 0).all(), "what is not run has no reward"
        p = alpha.detach().softmax(-1)
        score = chosen.float() - p  # d log p of the drawn op / d alpha
        torch.testing.assert_close(slope, score * reward.sum(-1, keepdim=True))
        moved += float(slope.abs().sum())
    assert moved > 1e-3


def test_draws_follow_the_softmax() -> None:
    cells = {"cell": Cell(((0, 1),) * 5000, ("a", "b", "c"), (1,), excluded=frozenset({(0, "a")}))}
    relaxation, masks = SinglePath(cells), Masks(cells)
    relaxation.alpha["cell"].data.copy_(torch.tensor([0.5, -1.0, 1.0]).expand(5000, -1))
    op = relaxation.sample(masks)["cell"].op
    assert op[0, 0] == 0
    torch.testing.assert_close(op[1:].mean(0).detach(), torch.tensor([0.5, -1.0, 1.0]).softmax(-1), atol=0.03, rtol=0)


def test_edges_are_fixed_at_their_lead() -> None:
    search = searching(NasBench201(SHAPE, 10, channels=2, cells_per_stage=1))
    p = torch.tensor(
        [
            [0.5, 0.2, 0.1, 0.1, 0.1],  # none may win here
            [0.49, 0.2, 0.11, 0.1, 0.1],
            [0.1, 0.1, 0.1, 0.1, 0.6],
            [0.2, 0.2, 0.2, 0.2, 0.2],
            [0.4, 0.05, 0.45, 0.05, 0.05],
            [0.02, 0.02, 0.02, 0.92, 0.02],
        ]
    )
    search.relaxation.alpha["cell"].data.copy_(p.log())
    fix = EarlyFixing(0.3 - 1e-6)
    fix.on_train_epoch_start(SimpleNamespace(), search)  # type: ignore[arg-type]
    left = search.masks.table("cell").sum(-1).tolist()
    assert left == [1, 5, 1, 5, 5, 1]
    assert search.masks.table("cell")[[0, 2, 5], [0, 4, 3]].all()
    # what is fixed stays, whatever alpha does, and has no gradient
    search.relaxation.alpha["cell"].data.zero_()
    fix.on_train_epoch_start(SimpleNamespace(), search)  # type: ignore[arg-type]
    assert search.masks.table("cell").sum(-1).tolist() == left
    weights = search.relaxation.sample(search.masks)["cell"]
    (slope,) = torch.autograd.grad((weights.op * torch.randn(6, 5)).sum(), search.relaxation.alpha["cell"])
    assert (slope[[0, 2, 5]] == 0).all() and (slope[[1, 3, 4]] != 0).any(-1).all()
    ops = [link.op for link in search.genotype().cells["cell"].links]
    assert (ops[0], ops[2], ops[5]) == ("none", "avg_pool_3x3", "nor_conv_3x3")
    again = searching(NasBench201(SHAPE, 10, channels=2, cells_per_stage=1))
    again.load_state_dict(search.state_dict())
    assert again.masks.lists("cell") == search.masks.lists("cell")


def test_none_is_not_fixed_where_no_genotype_holds_it() -> None:
    search = searching(Darts(SHAPE, 10, channels=2, layers=3))
    for alpha in search.relaxation.alpha.values():
        alpha.data.zero_()
        alpha.data[:, 0] = 5.0
    EarlyFixing().on_train_epoch_start(SimpleNamespace(), search)  # type: ignore[arg-type]
    assert search.masks.full("normal") and search.masks.full("reduce")
    search.space.check(search.genotype())
