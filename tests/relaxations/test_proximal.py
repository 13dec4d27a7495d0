"""Proximal iterations against an independent program of the equations of the paper."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.optim import SGD, Adam

from nas.architecture.cell import Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.relaxations.proximal import Proximal
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from tests.searches.test_steps import batches, train

EDGES = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
CELL = Cell(EDGES, ("none", "x", "y"), (2, 3), inputs=2, excluded=frozenset({(4, "y")}))


def with_alpha(cell: Cell, *rows: list[float]) -> Proximal:
    relaxation = Proximal({"a": cell}).double()
    relaxation.alpha["a"].data = torch.tensor(rows, dtype=torch.float64)
    return relaxation


def test_nearest_architecture_has_the_strongest_ops_and_edges() -> None:
    rows = [0.9, 0.1, 0.2], [0.9, 0.4, 0.3], [0.0, 0.3, 0.5], [0.0, 0.2, 0.1], [0.0, 0.6, 1.0]
    relaxation, masks = with_alpha(CELL, *rows), Masks({"a": CELL})
    one_hot = [[0, 0, 1], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert relaxation.nearest("a", masks).tolist() == [2, 1, 2, -1, 1]
    sample, path = relaxation.sample(masks)["a"], relaxation.sample_for_weights(masks)["a"]
    assert sample.op.tolist() == path.op.tolist() == one_hot
    assert path.active == [[bool(on) for on in row] for row in one_hot] and sample.active == masks.lists("a")
    costs = torch.arange(15.0, dtype=torch.float64).view(5, 3)
    (grad,) = torch.autograd.grad((sample.op * costs).sum(), list(relaxation.alpha.values()))
    assert grad.tolist() == (costs * masks.table("a")).tolist(), "alpha has the gradient of all weights"
    masks.restrict("a", torch.tensor([[True, True, False]] + [[True] * 3] * 3 + [[True, False, False]]))
    assert relaxation.nearest("a", masks).tolist() == [1, 1, 2, 1, -1], "a masked edge is not kept"


def test_equal_values_select_the_first_op_other_than_none() -> None:
    relaxation = Proximal({"a": CELL})
    assert relaxation.nearest("a", Masks({"a": CELL})).tolist() == [1, 1, 1, 1, -1]
    with_none = Cell(((0, 1), (0, 2), (1, 2)), ("none", "x", "y"), (2,), keeps_none=True)
    rows = [0.5, 0.5, 0.5], [0.6, 0.5, 0.4], [0.5, 0.4, 0.5]
    assert with_alpha(with_none, *rows).nearest("a", Masks({"a": with_none})).tolist() == [1, 0, 2]


def test_alpha_stays_in_the_box() -> None:
    relaxation = with_alpha(CELL, *[[-0.5, 0.5, 1.5]] * 5)
    relaxation.finish_step(Masks({"a": CELL}))
    assert relaxation.alpha["a"].tolist() == [[0.0, 0.5, 1.0]] * 5


def test_edges_with_one_op_compete_by_alpha() -> None:
    cells = NasBench1Shot1((3, 8, 8), 10, channels=4, cells_per_stage=1).cells
    relaxation, masks = Proximal(cells), Masks(cells)
    for name, cell in cells.items():
        rows = torch.linspace(0.1, 0.9, len(cell.edges))
        relaxation.alpha[name].data = rows[:, None].expand(-1, len(cell.ops)).clone()
        scores = relaxation.edge_scores(masks)[name]
        assert scores is not None and torch.equal(scores, rows)
    assert Proximal({"a": CELL}).edge_scores(Masks({"a": CELL})) == {"a": None}


def project(alpha: Tensor) -> Tensor:
    """Return the discrete architecture of a DARTS cell, edge by edge: the first column, none, is not selected."""
    result, start = torch.zeros_like(alpha), 0
    for count in (2, 3, 4, 5):
        rows: list[list[float]] = alpha[start : start + count, 1:].tolist()
        order = sorted(range(count), key=lambda i: -max(rows[i]))
        for i in order[:2]:
            result[start + i, 1 + rows[i].index(max(rows[i]))] = 1.0
        start += count
    return result


@pytest.mark.parametrize("init_std", [0.0, 0.2])
def test_steps_match_an_independent_program(init_std: float) -> None:
    """Adam with weight decay at the continuous alpha, by gradients at the discrete one; momentum for all weights."""
    torch.manual_seed(0)
    space = Darts((3, 4, 4), 3, channels=2, layers=3)
    search = GradientSearch(
        space,
        partial(Proximal, init_std=init_std),
        WeightStep(partial(SGD, lr=0.05, momentum=0.9, weight_decay=0.01), clip_norm=0.5, decay_unsampled_weights=True),
        ArchStep(partial(Adam, lr=0.3, betas=(0.5, 0.999), weight_decay=0.01, eps=1e-3)),
    ).double()
    alphas = {name: alpha.detach().clone() for name, alpha in search.relaxation.alpha.items()}
    weights = {name: w.detach().clone() for name, w in search.supernet.named_parameters()}
    momentum: dict[str, Tensor] = {}
    first, second = ({name: torch.zeros_like(a) for name, a in alphas.items()} for _ in range(2))
    paths = []
    for number, batch in enumerate(batches(4), start=1):
        points = {name: project(a).requires_grad_() for name, a in alphas.items()}
        paths.append({name: p.detach().clone() for name, p in points.items()})
        every = {name: EdgeWeights(p, [[True] * p.shape[1]] * len(p)) for name, p in points.items()}
        x, y = batch["val"]
        loss = F.cross_entropy(functional_call(search.supernet, weights, (x, every)), y)
        grads = torch.autograd.grad(loss, list(points.values()))
        for name, grad in zip(points, grads, strict=True):
            grad = grad + 0.01 * alphas[name]
            first[name], second[name] = 0.5 * first[name] + 0.5 * grad, 0.999 * second[name] + 0.001 * grad**2
            root = (second[name] / (1 - 0.999**number)).sqrt() + 1e-3
            alphas[name] = (alphas[name] - 0.3 * first[name] / (1 - 0.5**number) / root).clamp(0, 1)
        leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
        path = {name: EdgeWeights(p, p.bool().tolist()) for name, p in ((n, project(a)) for n, a in alphas.items())}
        x, y = batch["train"]
        loss = F.cross_entropy(functional_call(search.supernet, leaves, (x, path)), y)
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        used = {name: g for name, g in zip(leaves, found, strict=True) if g is not None or name in momentum}
        norm = torch.stack([g.square().sum() for g in used.values() if g is not None]).sum().sqrt()
        for name, g in used.items():
            grad = (0.0 if g is None else g * min(1.0, 0.5 / (float(norm) + 1e-6))) + 0.01 * weights[name]
            momentum[name] = 0.9 * momentum[name] + grad if name in momentum else grad
            weights[name] = weights[name] - 0.05 * momentum[name]
    train(search, batches(4))
    assert any(not torch.equal(paths[0][name], paths[-1][name]) for name in alphas), "the architecture changes"
    for name, alpha in search.relaxation.alpha.items():
        torch.testing.assert_close(alpha.detach(), alphas[name], rtol=1e-9, atol=1e-11)
    for name, weight in search.supernet.named_parameters():
        torch.testing.assert_close(weight.detach(), weights[name], rtol=1e-8, atol=1e-11)
