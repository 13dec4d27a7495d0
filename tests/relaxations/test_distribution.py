"""Distributions over discrete architectures: frequencies of samples, excluded ops, and the kind of each relaxation."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import elu, one_hot

from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.distribution import Distribution, DistributionKind
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.sigmoid import Sigmoid
from nas.relaxations.softmax import Softmax
from nas.relaxations.uniform import Uniform
from nas.spaces.nas_bench_201.notation import CELL

TABLE = torch.tensor([[3.0, 1.0, 0.0, 0.5], [0.2, 0.2, 0.2, 0.0]], dtype=torch.float64)
COUNT = 20_000


def frequencies(kind: DistributionKind) -> torch.Tensor:
    """Return the share of each op [edges, ops] in the samples of ``TABLE``."""
    generator = torch.Generator().manual_seed(0)
    columns = Distribution(kind, {"cell": TABLE}).sample(COUNT, generator)["cell"]
    assert columns.shape == (COUNT, 2)
    return one_hot(columns, 4).double().mean(0)


def test_categorical_samples_have_the_probabilities() -> None:
    torch.testing.assert_close(frequencies("categorical"), TABLE / TABLE.sum(-1, keepdim=True), rtol=0, atol=0.015)


def test_dirichlet_samples_have_the_largest_coordinate() -> None:
    torch.manual_seed(1)
    expected = torch.zeros(2, 4, dtype=torch.float64)
    for edge, row in enumerate(TABLE):
        kept = row > 0
        points = torch.distributions.Dirichlet(row[kept]).sample((COUNT,))
        expected[edge, kept] = one_hot(points.argmax(-1), int(kept.sum())).double().mean(0)
    found = frequencies("dirichlet")
    torch.testing.assert_close(found, expected, rtol=0, atol=0.015)
    assert found[0, 0] > 0.8, "and not its mean of 0.67"


def test_mode_and_rounded_tables() -> None:
    distribution = Distribution("categorical", {"cell": torch.tensor([[0.1, 0.5000004, 0.4999996]])})
    assert distribution.mode()["cell"].tolist() == [1]
    assert distribution.rounded().parameters["cell"].tolist() == [[0.1, 0.5, 0.5]]


def test_relaxations_have_their_distribution() -> None:
    torch.manual_seed(0)
    cells = {"cell": CELL}
    masks = Masks(cells)
    keep = torch.ones(6, 5, dtype=torch.bool)
    keep[2, 1] = False
    masks.restrict("cell", keep)
    relaxation = Dirichlet(cells, init_std=1.0)
    found = relaxation.distribution(masks)
    assert found is not None and found.kind == "dirichlet"
    torch.testing.assert_close(found.parameters["cell"], (elu(relaxation.alpha["cell"].detach()) + 1) * keep)
    for build in (Softmax, EdgeNormalized):
        softmax: Relaxation = build(cells)
        found = softmax.distribution(masks)
        assert found is not None and found.kind == "categorical"
        torch.testing.assert_close(found.parameters["cell"], softmax.scores(masks)["cell"])


@pytest.mark.parametrize("build", [Sigmoid, Uniform])
def test_relaxations_without_a_distribution(build: type[Sigmoid] | type[Uniform]) -> None:
    cells = {"cell": CELL}
    assert build(cells).distribution(Masks(cells)) is None
