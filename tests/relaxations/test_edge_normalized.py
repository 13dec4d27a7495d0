"""Tests of edge normalization (PC-DARTS)."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from nas.architecture.cell import Cell, EdgeWeights
from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.nn.edges.mixed import unbind_rows
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.gumbel import Gumbel
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import CELL


@pytest.mark.parametrize("cells", [Darts((3, 8, 8), 10).cells, {"cell": CELL}], ids=["darts", "nas_bench_201"])
def test_edge_normalized_weights_sum_to_one_per_node(cells: dict[str, Cell]) -> None:
    torch.manual_seed(0)
    relaxation = EdgeNormalized(cells, init_std=1.0)
    arch = relaxation.sample(Masks(cells))
    for name, cell in cells.items():
        weights = arch[name].edge
        assert weights is not None and len(unbind_rows(arch[name])) == len(cell.edges)
        for node in cell.nodes:
            beta = relaxation.beta[name][cell.into(node)]
            torch.testing.assert_close(weights[cell.into(node)], beta.exp() / beta.exp().sum())


def test_edge_normalized_registers_parameters_once_and_preserves_samples() -> None:
    cells = Darts((3, 8, 8), 10).cells
    relaxation = EdgeNormalized(cells, partial(Gumbel, tau=1.0))
    names = [name for name, _ in relaxation.named_parameters()]
    assert names == ["alpha.normal", "alpha.reduce", "beta.normal", "beta.reduce"]
    state = {key: value for key, value in relaxation.state_dict().items()}
    masks = Masks(cells)
    first: dict[str, EdgeWeights] = relaxation.sample(masks)
    other = EdgeNormalized(cells, partial(Gumbel, tau=1.0))
    other.load_state_dict(state)
    second = other.sample(masks)
    assert all(torch.equal(first[name].op, second[name].op) for name in cells)
    assert any(not torch.equal(first[name].op, row.op) for name, row in relaxation.sample(masks).items())


def test_discretize_multiplies_ops_by_edges() -> None:
    """A strong op on a weak edge has a lower product than a weaker op on a strong edge."""
    cell = Cell(((0, 3), (1, 3), (2, 3)), ("none", "a", "b"), (3,), inputs=2)
    scores = torch.tensor([[0.1, 0.8, 0.1], [0.1, 0.3, 0.6], [0.1, 0.5, 0.4]])
    edges = torch.tensor([0.1, 0.4, 0.5])  # products: 0.08, 0.24, 0.25
    assert [link.source for link in discretize(cell, scores).links] == [0, 1]
    found = discretize(cell, scores, edges).links
    assert [(link.op, link.source) for link in found] == [("a", 2), ("b", 1)]


def test_edge_normalized_derives_genotypes_from_both_weights() -> None:
    """The edges that beta prefers are kept although all ops are equally likely."""
    cells = Darts((3, 8, 8), 10).cells
    relaxation, masks = EdgeNormalized(cells), Masks(cells)
    last = [e for e, (_, target) in enumerate(cells["normal"].edges) if target == 5]
    relaxation.beta["normal"].data[last[2:4]] = 3.0
    scores = relaxation.edge_scores(masks)
    for name in cells:
        torch.testing.assert_close(scores[name], relaxation.edge_weights(name).detach())
    found = relaxation.mode(masks, dict.fromkeys(cells, discretize))["normal"].links
    assert {link.source for link in found if link.target == 5} == {2, 3}


def test_edge_normalized_keeps_the_penalty_of_its_relaxation() -> None:
    cells = {"cell": CELL}
    relaxation = EdgeNormalized(cells, partial(Dirichlet, reg_scale=0.1, init_std=1.0))
    alpha = relaxation.alpha["cell"].detach()
    torch.testing.assert_close(torch.as_tensor(relaxation.penalty()).detach(), 0.05 * alpha.square().sum())
