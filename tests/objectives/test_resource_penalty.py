"""SNAS: the concrete's density, what ops cost, the resource penalty and its gradient, edges that all stay."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import RelaxedOneHotCategorical

from nas.architecture.cell import Cell, EdgeWeights, Genotype, Link
from nas.architecture.discretization import discretize_all_edges
from nas.architecture.masks import Masks
from nas.callbacks.schedules.anneal import Anneal
from nas.nn.macs import count_macs
from nas.objectives.concrete_density import concrete_log_density
from nas.objectives.resource_penalty import KINDS, ResourcePenalty, op_costs
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.notation import parse
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.cost import nas_bench_201_cost
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.search_tools import arch_step, weight_step

SHAPE = (3, 8, 8)


@pytest.mark.parametrize("tau", [0.2, 1.0, 3.0])
def test_density_is_that_of_torch(tau: float) -> None:
    logits = torch.randn(4, 5, dtype=torch.float64)
    law = RelaxedOneHotCategorical(torch.tensor(tau, dtype=torch.float64), logits=logits)
    draw = law.sample()
    mask = torch.ones_like(logits, dtype=torch.bool)
    torch.testing.assert_close(concrete_log_density(logits, draw, tau, mask), law.log_prob(draw))
    wider = torch.cat([draw, torch.zeros(4, 1)], -1), torch.cat([mask, ~mask[:, :1]], -1)
    got = concrete_log_density(torch.cat([logits, torch.ones(4, 1)], -1), wider[0], tau, wider[1])
    torch.testing.assert_close(got, law.log_prob(draw))


@pytest.mark.parametrize("tau", [0.5, 2.0])
def test_draws_of_the_relaxation_have_that_density(tau: float) -> None:
    """Of two ops: the share of draws below each point against the integral of the density."""
    cells = {"cell": Cell(tuple((0, n) for n in range(1, 20001)), ("a", "b"), (1,))}
    torch.manual_seed(0)
    relaxation, masks = Gumbel(cells, hard=False, tau=tau, init_mean=1.0, init_std=0.0), Masks(cells)
    relaxation.alpha["cell"].data[:, 0] += 0.7
    drawn = relaxation.sample(masks)["cell"].op[:, 0].detach().double()
    grid = torch.linspace(0, 1, 100_001, dtype=torch.float64)[1:-1]
    points = torch.stack([grid, 1 - grid], -1)
    logits = torch.tensor([1.7, 1.0], dtype=torch.float64)
    density = concrete_log_density(logits, points, tau, torch.ones_like(points, dtype=torch.bool)).exp()
    below = density.cumsum(0) / 100_000
    assert float(below[-1]) == pytest.approx(1, abs=0.01)
    for at in (0.05, 0.3, 0.5, 0.8, 0.97):
        expected = float(below[int(at * 100_000) - 1])
        assert float((drawn < at).double().mean()) == pytest.approx(expected, abs=0.015)


def test_costs_are_those_of_the_networks() -> None:
    """An op's multiply-adds are what a network of it costs more than one without; closed forms for the rest."""
    space = NasBench201(SHAPE, 10, channels=4, cells_per_stage=2, affine=True)
    costs = op_costs(space.supernet(), space.cells, SHAPE)["cell"]
    assert costs.shape == (3, 6, 6, 5)
    for op in ("nor_conv_1x1", "nor_conv_3x3"):
        column = space.cells["cell"].ops.index(op)
        all_of_it = space.parse(f"|{op}~0|+|{op}~0|{op}~1|+|{op}~0|{op}~1|{op}~2|")
        nothing = space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
        more = count_macs(space.network(all_of_it, 4, 2), SHAPE) - count_macs(space.network(nothing, 4, 2), SHAPE)
        assert int(costs[1, ..., column].sum()) == more
        parameters = nas_bench_201_cost(all_of_it, SHAPE, 10, 4, 2)[0] - nas_bench_201_cost(nothing, SHAPE, 10, 4, 2)[0]
        norms = 2 * 6 * 2 * (4 + 8 + 16)
        assert int(costs[0, ..., column].sum()) == parameters - norms
    none, skip, conv, _, pool = costs[:, 0, 0].T.tolist()
    assert none == [0, 0, 0] and skip == [0, 0, 2 * 4 * 64] and pool == [0, 9 * 4 * 64, 2 * 4 * 64]
    assert conv == [16, 16 * 64, 2 * 4 * 64 + 16]


def test_costs_of_darts_ops_by_the_formulas_of_the_authors() -> None:
    """y is the side of an op's output, C its width: the counts of SNAS/operations.py, at both strides."""
    space = Darts(SHAPE, 10, channels=4, layers=3)
    network = space.supernet()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    costs = op_costs(network, space.cells, SHAPE)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert costs["normal"].shape == (3, 1, 14, 8) and costs["reduce"].shape == (3, 2, 14, 8)
    for kind, cell, y, c, edge, s in (("normal", 0, 8, 4, 0, 1), ("reduce", 0, 4, 8, 0, 2), ("reduce", 1, 2, 16, 4, 1)):
        found = dict(zip(space.cells[kind].ops, costs[kind][:, cell, edge].T.tolist(), strict=True))
        area = y * y
        for kernel in (3, 5):
            size = 2 * c * kernel**2 + 2 * c * c
            assert found[f"sep_conv_{kernel}x{kernel}"][0] == size
            assert found[f"sep_conv_{kernel}x{kernel}"][2] == area * ((7 if s == 1 else 10) * c + c) + size
            size = c * kernel**2 + c * c
            assert found[f"dil_conv_{kernel}x{kernel}"] == [
                size,
                size * area,
                area * (3 * (s == 1) + 6 * (s == 2) + 1) * c + size,
            ]
        for pool in ("max_pool_3x3", "avg_pool_3x3"):
            assert found[pool] == [0, 9 * area * c, (2 if s == 1 else 5) * area * c]
        skip = [0, 0, 2 * area * c] if s == 1 else [c * c, c * c * area, 2 * area * (4 * c + c // 2) + c * c]
        assert found["skip_connect"] == skip and found["none"] == [0, 0, 0]


def penalized(estimator: Any, tau: float = 0.7, **options: Any) -> tuple[ResourcePenalty, Gumbel, Masks]:
    space = NasBench201(SHAPE, 10, channels=2, cells_per_stage=1)
    torch.manual_seed(0)
    relaxation = Gumbel(space.cells, hard=False, tau=tau, init_std=1.0)
    return (
        ResourcePenalty(space.supernet(), space.cells, SHAPE, estimator=estimator, **options),
        relaxation,
        Masks(space.cells),
    )


@pytest.mark.parametrize("kind", [*KINDS, "all"])
@pytest.mark.parametrize("log", [False, True])
def test_penalty_value_by_value(kind: Any, log: bool) -> None:
    resource, relaxation, masks = penalized("sample", kind=kind, log=log, strength=0.5)
    arch = relaxation.sample(masks)
    table, op = resource.get_buffer("cell"), arch["cell"].op.detach()
    total = 0.0
    for cell in range(table.shape[1]):
        for e in range(6):
            parts = [float(sum(table[k, cell, e, o] * op[e, o] for o in range(5))) for k in range(3)]
            if log:
                parts = [float(torch.tensor(max(part, 1.0)).log()) for part in parts]
                value = sum(parts) / 3
            else:
                value = 0.43 * (2 * parts[0] + parts[1] / 4000 + parts[2] / 100)
            total += value if kind == "all" else parts[KINDS.index(kind)]
    assert resource(arch, relaxation, masks).item() == pytest.approx(0.5 * total / table.shape[1], rel=1e-4)


def test_gradients_of_the_three_weighings_agree_in_the_mean() -> None:
    """d E[cost]/d alpha: by the draw, by its score, and, where the temperature is low, by the expectation."""
    found = {}
    for estimator, draws in (("sample", 3000), ("policy", 30000), ("expected", 1)):
        resource, relaxation, masks = penalized(estimator, tau=0.7, kind="size", log=False, strength=0.01)
        alpha = relaxation.alpha["cell"]
        cells = {"cell": Cell(((0, 1),) * draws, relaxation.cells["cell"].ops, (1,))}
        many = Gumbel(cells, hard=False, tau=0.7)
        many.alpha["cell"] = alpha[:1].detach().expand(draws, -1).clone().requires_grad_()
        table = resource.get_buffer("cell")[:, :, :1].expand(-1, -1, draws, -1)
        resource.register_buffer("cell", table, persistent=False)
        value = resource(many.sample(Masks(cells)), many, Masks(cells)) / draws
        found[estimator] = torch.autograd.grad(value, many.alpha["cell"])[0].sum(0)
    torch.testing.assert_close(
        found["policy"], found["sample"], rtol=0.1, atol=0.05 * float(found["sample"].abs().max())
    )
    assert float(torch.cosine_similarity(found["expected"], found["sample"], dim=0)) > 0.95


def test_expectation_has_the_gradient_of_the_softmax() -> None:
    resource, relaxation, masks = penalized("expected", kind="macs", log=False, strength=1.0)
    alpha = relaxation.alpha["cell"]
    (got,) = torch.autograd.grad(resource(relaxation.sample(masks), relaxation, masks), alpha)
    costs = resource.get_buffer("cell")[1].mean(0)
    p = alpha.detach().softmax(-1)
    torch.testing.assert_close(got, p * (costs - (p * costs).sum(-1, keepdim=True)))


def test_nothing_below_the_least_multiply_adds() -> None:
    arch: Mapping[str, EdgeWeights]
    resource, relaxation, masks = penalized("expected", kind="macs", log=False)
    arch = relaxation.sample(masks)
    spent = float((resource.get_buffer("cell")[1] * arch["cell"].op.detach()).sum())
    for least, on in ((0.99 * spent, True), (1.01 * spent, False)):
        resource.min_macs = least
        assert (float(resource(dict(arch), relaxation, masks)) > 0) == on


def test_score_function_needs_a_temperature() -> None:
    resource, _, masks = penalized("policy")
    relaxation = Softmax(NasBench201(SHAPE, 10).cells)
    with pytest.raises(NasError, match="Softmax"):
        resource(relaxation.sample(masks), relaxation, masks)
    with pytest.raises(NasError, match="kind=weight"):
        penalized("sample", kind="weight")


def searching(**options: Any) -> GradientSearch:
    space = NasBench201(SHAPE, 10, channels=2, cells_per_stage=1)
    torch.manual_seed(0)
    return GradientSearch(space, lambda cells: Gumbel(cells, hard=False), weight_step(), arch_step(**options))


def test_alpha_moves_along_its_clipped_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    moves = []
    for norm in (None, 1e-3):
        search = searching(clip_norm=norm)
        monkeypatch.setattr(search, "log_step", lambda *given: None)
        alpha = search.relaxation.alpha["cell"]
        before = alpha.detach().clone()
        batch = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1)), torch.zeros(4, dtype=torch.int64)
        sgd = SimpleNamespace(optimizer=torch.optim.SGD([alpha], 1.0))
        search.train_architecture({"train": batch, "val": batch}, [sgd, sgd])
        moves.append(alpha.detach() - before)
    assert float(moves[0].norm()) > 1e-3 and float(moves[1].norm()) == pytest.approx(1e-3, rel=1e-2)
    torch.testing.assert_close(moves[0] / moves[0].norm(), moves[1] / moves[1].norm(), rtol=1e-2, atol=1e-3)


def test_the_search_adds_the_penalty() -> None:
    search = searching(resource=lambda *given: ResourcePenalty(*given, strength=3.0))
    assert not any("resource" in key for key in search.state_dict()), "tables are not part of a checkpoint"
    batch = torch.randn(4, *SHAPE), torch.zeros(4, dtype=torch.int64)
    state = search.relaxation.generators.get_extra_state()
    value = search.loss(batch)
    search.relaxation.generators.set_extra_state(state)
    arch = search.relaxation.sample(search.masks)
    assert search.resource is not None
    bare = search.task.loss(search.supernet(batch[0], arch), batch[1])
    torch.testing.assert_close(value, bare + search.resource(arch, search.relaxation, search.masks))


NESTED = Darts(SHAPE, 10).cells["normal"]


def scores(best: Mapping[int, str]) -> Tensor:
    """Scores under which edge e prefers ``best[e]``, the others none."""
    table = torch.zeros(14, 8)
    for e in range(14):
        table[e, NESTED.ops.index(best.get(e, "none"))] = 1.0 + e
    return table


def test_all_edges_stay_but_those_without_an_op() -> None:
    found = discretize_all_edges(
        NESTED, scores({0: "skip_connect", 2: "sep_conv_3x3", 3: "max_pool_3x3", 4: "dil_conv_3x3"})
    )
    # strongest first; node 4 and 5 are empty
    assert found.links[1:] == (Link("dil_conv_3x3", 2, 3), Link("max_pool_3x3", 1, 3), Link("sep_conv_3x3", 0, 3))
    assert found.links[0] == Link("skip_connect", 0, 2) and found.output == (2, 3)
    # edge 11 reads node 2, which is empty
    found = discretize_all_edges(NESTED, scores({9: "skip_connect", 11: "sep_conv_3x3", 13: "sep_conv_5x5"}))
    assert found.links == (Link("skip_connect", 0, 5),) and found.output == (5,)
    full = discretize_all_edges(NESTED, scores(dict.fromkeys(range(14), "sep_conv_3x3")))
    assert len(full.links) == 14 and full.output == (2, 3, 4, 5)


def test_a_cell_of_none_keeps_one_link() -> None:
    table = scores({})
    table[5, NESTED.ops.index("dil_conv_5x5")] = 0.5
    assert discretize_all_edges(NESTED, table).links == (Link("dil_conv_5x5", 0, 4),)


def test_every_edge_genotype_is_a_network_of_its_space() -> None:
    """Native text and back; the supernet under its weights and the network agree in what they compute."""
    space = Darts(SHAPE, 10, channels=4, layers=3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        cells = {k: discretize_all_edges(c, torch.rand(14, 8, generator=generator)) for k, c in space.cells.items()}
        genotype = Genotype("darts", cells)
        space.check(genotype)
        assert sorted(parse(space.native(genotype)).cells["normal"].links) == sorted(cells["normal"].links)
        x = torch.randn(2, *SHAPE)
        assert space.network(genotype, 4, 3, auxiliary=False)(x).shape == (2, 10)
        assert torch.isfinite(space.supernet()(x, space.encode(genotype))).all()


def test_keeps_none_where_a_genotype_may() -> None:
    cell = NasBench201(SHAPE, 10).cells["cell"]
    table = torch.zeros(6, 5)
    table[:, 0] = 1
    assert [link.op for link in discretize_all_edges(cell, table).links] == ["none"] * 6


def test_temperature_ends_at_its_end() -> None:
    """T = (1 - (e + 1) / 150) * 0.97 + 0.03 for e from 0."""
    anneal = Anneal("relaxation.tau", 1.0, 0.03, inclusive=False, ahead=1)
    for epoch in (0, 1, 74, 148, 149):
        assert anneal.value(epoch, 150) == pytest.approx((1 - (epoch + 1) / 150) * 0.97 + 0.03)
    assert anneal.value(149, 150) == pytest.approx(0.03)


def test_alpha_begins_around_its_mean() -> None:
    torch.manual_seed(0)
    alpha = Gumbel({"normal": NESTED}, init_mean=1.0, init_std=0.01).alpha["normal"]
    assert float(alpha.mean()) == pytest.approx(1, abs=0.005) and 0.008 < float(alpha.std()) < 0.012
