"""Recurrent cells against the equations, computed node by node."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nas.architecture.cell import CellGenotype, EdgeWeights, Link, one_hot_weights, sample_cell
from nas.spaces.recurrent.cell import ACTIVATIONS, GenotypeCell, RecurrentCell
from nas.spaces.recurrent.search_cell import SearchCell, plan_node
from nas.spaces.recurrent.space import Recurrent

SIZE, BATCH, STEPS = 5, 3, 4
CELL = Recurrent((), 7, nodes=4).cells["recurrent"]
Gates = Callable[[Tensor], tuple[Tensor, Tensor]]
Node = Callable[[int, list[Tensor], Gates], Tensor]
Masks = tuple[Tensor, Tensor]


def expected(
    cell: RecurrentCell,
    x: Tensor,
    h: Tensor,
    node: Node,
    norm: Callable[[Tensor], Tensor],
    masks: tuple[Tensor, Tensor],
) -> Tensor:
    """Compute the hidden states [T, B, n] by the equations of the paper."""

    def gates(linear: nn.Module, value: Tensor) -> tuple[Tensor, Tensor]:
        c, u = (value @ linear.get_parameter("weight").T).split(SIZE, dim=-1)
        return torch.sigmoid(c), u

    outputs, (input_mask, hidden_mask) = [], masks
    for value in x:
        first = nn.Linear(2 * SIZE, 2 * SIZE, bias=False, dtype=x.dtype)
        first.weight = nn.Parameter(torch.cat([cell.input.weight, cell.hidden.weight], dim=1))
        c, u = gates(first, torch.cat([value * input_mask, h * hidden_mask], dim=1))
        states = [norm(h + c * (torch.tanh(u) - h))]
        for number, linear in enumerate(cell.nodes, start=1):
            states.append(norm(node(number, states, lambda s, linear=linear: gates(linear, s * hidden_mask))))
        h = torch.stack([states[n] for n in outputs_of(cell)]).mean(dim=0)
        outputs.append(h)
    return torch.stack(outputs)


def outputs_of(cell: RecurrentCell) -> tuple[int, ...]:
    return cell.output if isinstance(cell, GenotypeCell) else CELL.output


def masks(cell: RecurrentCell, monkeypatch: pytest.MonkeyPatch) -> Masks:
    """Replace the random masks by given ones."""
    found = []
    for dropout in (cell.input_dropout, cell.hidden_dropout):
        mask = torch.rand(BATCH, SIZE, dtype=torch.float64)
        monkeypatch.setattr(dropout, "mask", lambda like, mask=mask: mask)
        found.append(mask)
    return found[0], found[1]


def inputs() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(STEPS, BATCH, SIZE, dtype=torch.float64), torch.randn(BATCH, SIZE, dtype=torch.float64)


@pytest.mark.parametrize("output", [(1, 2, 3), (2,)])
def test_cell_of_a_genotype_follows_the_equations(output: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    x, h = inputs()
    links = (Link("sigmoid", 0, 1), Link("identity", 0, 2), Link("relu", 1, 3))
    cell = GenotypeCell(SIZE, CellGenotype(links, output), 0.5, 0.5).double()

    def node(number: int, states: list[Tensor], gates: Gates) -> Tensor:
        op, source, _ = links[number - 1]
        state = states[source]
        c, u = gates(state)
        return state + c * (ACTIVATIONS[op](u) - state)

    truth = expected(cell, x, h, node, lambda s: s, masks(cell, monkeypatch))
    torch.testing.assert_close(cell(x, h), truth, rtol=1e-10, atol=1e-12)


def active_tables() -> dict[str, list[list[bool]]]:
    """Return the executed ops of relaxations of all kinds."""
    generator = torch.Generator().manual_seed(1)
    sampled = torch.randint(5, (10,), generator=generator)
    some = torch.rand(10, 5, generator=generator) < 0.5
    return {
        "all": [[True] * 5] * 10,
        "one per edge": torch.nn.functional.one_hot(sampled, 5).bool().tolist(),
        "some": some.tolist(),
        "none": [[True] + [False] * 4] * 10,
    }


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", active_tables())
def test_cell_of_the_supernet_sums_the_active_candidates(
    name: str, scaled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, h = inputs()
    active = active_tables()[name]
    op = torch.rand(10, 5, dtype=torch.float64, requires_grad=True)
    edge = torch.rand(10, dtype=torch.float64) if scaled else None
    cell = SearchCell(SIZE, CELL, 0.5, 0.5).double()

    def node(number: int, states: list[Tensor], gates: Gates) -> Tensor:
        total = torch.zeros_like(states[0])
        for row in CELL.into(number):
            state = states[CELL.edges[row][0]]
            c, u = gates(state)
            for column, activation in enumerate(CELL.ops):
                if activation != "none" and active[row][column]:
                    weight = op[row, column] if edge is None else op[row, column] * edge[row]
                    total = total + weight * (state + c * (ACTIVATIONS[activation](u) - state))
        return total

    truth = expected(cell, x, h, node, cell.norm, masks(cell, monkeypatch))
    found = cell(x, h, {"recurrent": EdgeWeights(op, active, edge)})
    torch.testing.assert_close(found, truth, rtol=1e-9, atol=1e-10)
    if name != "none":
        weights = torch.randn_like(truth)
        (got,) = torch.autograd.grad((found * weights).sum(), op)
        (exact,) = torch.autograd.grad((truth * weights).sum(), op)
        torch.testing.assert_close(got, exact, rtol=1e-8, atol=1e-10)


def test_supernet_computes_the_cell_of_a_genotype() -> None:
    """Up to batch norm, which statistics of mean 0 and variance 1 make the identity."""
    x, h = inputs()
    search = SearchCell(SIZE, CELL, 0.5, 0.5).double().eval()
    search.norm.eps = 0.0
    genotype = sample_cell(CELL, random.Random(3))
    single = GenotypeCell(SIZE, genotype, 0.5, 0.5).double().eval()
    single.load_state_dict({k: v for k, v in search.state_dict().items() if not k.startswith("norm.")})
    arch = {"recurrent": one_hot_weights(CELL, genotype, like=x)}
    torch.testing.assert_close(search(x, h, arch), single(x, h), rtol=1e-10, atol=1e-12)


def test_executes_only_the_chosen_sources_of_a_sample() -> None:
    active = [[False] * 5 for _ in CELL.edges]
    active[CELL.edges.index((2, 4))][1] = active[CELL.edges.index((0, 4))][3] = True
    plan = plan_node(CELL, 4, EdgeWeights(torch.rand(10, 5), active))
    assert (plan.sources, plan.ops, plan.ends) == ([2, 0], ["tanh", "sigmoid"], [1, 2])
    assert plan_node(CELL, 3, EdgeWeights(torch.rand(10, 5), active)).sources == []
