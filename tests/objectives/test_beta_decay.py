"""Tests of beta decay against its formula in float64."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch.optim import Adam

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.objectives.beta_decay import BetaDecay
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.sigmoid import Sigmoid
from nas.relaxations.softmax import Softmax
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.search_tools import weight_step

OPS = ("a", "b", "c")
CELLS = {
    "one": Cell(((0, 1), (0, 2)), OPS, (2,), excluded=frozenset({(0, "b")})),
    "two": Cell(((0, 1),), OPS, (1,), excluded=frozenset({(0, op) for op in OPS})),
}


def test_beta_decay_is_the_mean_over_edges_with_ops() -> None:
    torch.manual_seed(0)
    relaxation = Softmax(CELLS, init_std=1.0).double()
    penalty = BetaDecay(3.0)(relaxation.alpha, Masks(CELLS))
    rows = relaxation.alpha["one"].tolist()
    logs = [math.log(math.exp(rows[0][0]) + math.exp(rows[0][2])), math.log(sum(map(math.exp, rows[1])))]
    assert float(penalty.detach()) == pytest.approx(3 * sum(logs) / 2, rel=1e-12)
    one, two = torch.autograd.grad(penalty, list(relaxation.alpha.values()))
    expected = torch.tensor(rows, dtype=torch.float64)
    expected[0, 1] = -math.inf
    torch.testing.assert_close(one, 3 * expected.softmax(-1) / 2, rtol=1e-12, atol=1e-14)
    assert not two.any(), "an edge without ops has no gradient"


def search(relaxation: Any, **options: Any) -> GradientSearch:
    torch.manual_seed(0)
    space = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1)
    step = ArchStep(**{"optimizer": partial(Adam, lr=0.1), "regularizer": BetaDecay(2.0), **options})
    return GradientSearch(space, relaxation, weight_step(), step)


@pytest.mark.parametrize("relaxation", [Softmax, partial(Dirichlet, regularizer="kl", reg_scale=0.5)])
def test_beta_decay_is_added_to_the_penalty_of_the_relaxation(relaxation: Any) -> None:
    """The regularizer composes with that of DrNAS: the architecture loss is the sum of all terms."""
    found = search(relaxation)
    batch = torch.randn(4, 3, 8, 8), torch.arange(4)
    result = found.arch_forward(batch)
    terms = found.task.loss(result.logits, batch[1]) + found.relaxation.penalty()
    terms = terms + BetaDecay(2.0)(found.relaxation.alpha, found.masks)
    torch.testing.assert_close(result.loss, terms)
    assert result.loss > found.task.loss(result.logits, batch[1]) + 2


@pytest.mark.parametrize(
    ("relaxation", "options", "message"),
    [
        (Sigmoid, {}, "do not compete in Sigmoid"),
        (Softmax, {"optimizer": None}, "no architecture steps"),
        (Softmax, {"per_batch": False}, "no architecture steps"),
    ],
)
def test_beta_decay_is_refused_where_it_has_no_meaning(relaxation: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message) as error:
        search(relaxation, **options)
    assert "\n" not in str(error.value) and "method.arch_step.regularizer" in str(error.value)
