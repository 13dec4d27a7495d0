"""Cells of published spaces, written with choices: equal losses, gradients and genotypes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import Architecture, EdgeWeights, Link
from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.choices import ModelSpace, space
from nas.nn.edges.mixed import MixedEdge
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.sigmoid import Sigmoid
from nas.relaxations.softmax import Softmax
from nas.spaces.base import Network, Space
from nas.spaces.darts.notation import DARTS_OPS
from nas.spaces.nas_bench_201.notation import OPS as NB201_OPS
from tests.support.choice_cells import CLASSES, DARTS, NB201, SHAPE, Net201, NetDarts, translate

Split = Callable[[Tensor, str], dict[str, Tensor]]


def split_201(table: Tensor, cell: str) -> dict[str, Tensor]:
    """Return the rows of the table of NAS-Bench-201 [6, ...] by decision."""
    return {f"edge_{s}_{t}": table[e : e + 1] for e, (s, t) in enumerate(NB201.cells[cell].edges)}


def split_darts(table: Tensor, cell: str) -> dict[str, Tensor]:
    """Return the rows of a table of DARTS [14, ...] by decision, the node of each row."""
    return {f"{cell}_{node}": table[DARTS.cells[cell].into(node)] for node in range(2, 6)}


CASES: dict[str, tuple[Space, type[nn.Module], Split, tuple[str, ...], list[str]]] = {
    "nas_bench_201": (NB201, Net201, split_201, NB201_OPS, ["cell"]),
    "darts": (DARTS, NetDarts, split_darts, DARTS_OPS, ["normal", "reduce"]),
}
RELAXATIONS: dict[str, Any] = {
    "softmax": partial(Softmax, init_std=1.0),
    "gumbel": partial(Gumbel, init_std=1.0),
    "dirichlet": partial(Dirichlet, init_std=1.0),
    "sigmoid": partial(Sigmoid, init_std=1.0),
}


def supernets(case: str, edge: Any = MixedEdge) -> tuple[ModelSpace, Network, Network]:
    """Return the space of choices, and both supernets in float64 with the same weights."""
    published, model, _, names, _ = CASES[case]
    torch.manual_seed(0)
    own = space(model, SHAPE, CLASSES)
    reference, supernet = published.supernet(edge).double(), own.supernet(edge).double()
    supernet.load_state_dict(translate(reference.state_dict(), names))
    return own, reference, supernet


def split(case: str, arch: Architecture) -> Architecture:
    """Return an architecture of a published space by decision."""
    _, _, rows, _, _ = CASES[case]
    found = {}
    for cell, weights in arch.items():
        active = {name: rows_.tolist() for name, rows_ in rows(torch.tensor(weights.active), cell).items()}
        found.update({n: EdgeWeights(table, active[n]) for n, table in rows(weights.op, cell).items()})
    return found


def losses_and_gradients(network: Network, arch: Architecture, leaves: list[Tensor]) -> tuple[Tensor, list[Any]]:
    """Return the loss of a batch, and its gradients with respect to ``leaves``."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4, *SHAPE, generator=generator, dtype=torch.float64)
    loss = F.cross_entropy(network(x, arch), torch.arange(4))
    return loss, list(torch.autograd.grad(loss, leaves, allow_unused=True, retain_graph=True))


@pytest.mark.parametrize("relaxation", RELAXATIONS)
@pytest.mark.parametrize("case", CASES)
def test_losses_gradients_and_genotypes_are_equal(case: str, relaxation: str) -> None:
    published, _, rows, names, cells = CASES[case]
    edge = partial(MixedEdge, add_inactive=relaxation == "gumbel")
    own, reference, supernet = supernets(case, edge)
    torch.manual_seed(2)
    built, masks = RELAXATIONS[relaxation](published.cells).double(), Masks(published.cells)
    arch = built.sample(masks)
    alphas, theirs = list(built.alpha.values()), dict(reference.named_parameters())
    mine = {translate({name: theirs[name]}, names).popitem()[0]: name for name in theirs}

    loss, expected = losses_and_gradients(reference, arch, [*alphas, *theirs.values()])
    arch = {name: EdgeWeights(weights.op, weights.active) for name, weights in arch.items()}
    found, actual = losses_and_gradients(supernet, split(case, arch), [*alphas, *supernet.parameters()])
    torch.testing.assert_close(found, loss, rtol=1e-12, atol=1e-12)
    order = [list(theirs).index(mine[name]) for name, _ in supernet.named_parameters()]
    reordered = [*expected[: len(alphas)], *(expected[len(alphas) + i] for i in order)]
    assert any(gradient is not None and gradient.any() for gradient in actual[: len(alphas)])
    for ours, other in zip(actual, reordered, strict=True):
        assert (ours is None or not ours.any()) if other is None else True
        if other is not None and ours is not None:
            torch.testing.assert_close(ours, other, rtol=1e-9, atol=1e-12)
        else:
            assert other is None or not other.any()

    scores = built.scores(masks)
    by_decision = {name: table for cell in cells for name, table in rows(scores[cell], cell).items()}
    decided = {name: discretize(cell, by_decision[name]) for name, cell in own.cells.items()}
    links = {cell: list(discretize(published.cells[cell], scores[cell]).links) for cell in cells}
    if case == "darts":
        assert {c: [link for n in range(2, 6) for link in decided[f"{c}_{n}"].links] for c in cells} == links
    else:
        edges = published.cells["cell"].edges
        assert [Link(decided[f"edge_{s}_{t}"].links[0].op, s, t) for s, t in edges] == links["cell"]


def test_equivalence_detects_other_weights() -> None:
    """Another weight changes the loss, so the comparison above can fail."""
    _, reference, supernet = supernets("nas_bench_201")
    arch = {name: EdgeWeights(torch.ones(6, 5), c.allowed().tolist()) for name, c in NB201.cells.items()}
    loss, _ = losses_and_gradients(reference, arch, list(reference.parameters()))
    with torch.no_grad():
        weight = next(p for n, p in supernet.named_parameters() if "candidates.3" in n)
        weight.add_(0.1 * torch.randn_like(weight))
    changed, _ = losses_and_gradients(supernet, split("nas_bench_201", arch), list(supernet.parameters()))
    assert float((changed - loss).detach().abs()) > 1e-6
