"""Tests of op costs and of the resource penalty."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nas.architecture.cell import Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.nn.macs import count_macs
from nas.objectives.resource_penalty import KINDS, ResourcePenalty, op_costs
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.cost import nas_bench_201_cost
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.search_tools import arch_step, weight_step

SHAPE = (3, 8, 8)


def test_op_costs_match_network_costs() -> None:
    """Compare the cost of an op with the difference between networks with and without it, or with a closed form."""
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


def test_op_costs_match_snas_formulas() -> None:
    """Compare with SNAS/operations.py at both strides, for outputs of side y and width c."""
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
def test_resource_penalty_matches_explicit_sum(kind: Any, log: bool) -> None:
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


def test_resource_penalty_estimators_agree_in_the_mean() -> None:
    """Estimate d E[cost] / d alpha by samples, by the score function and by the expectation."""
    found = {}
    for estimator, count in (("sample", 3000), ("policy", 30000), ("expected", 1)):
        resource, relaxation, masks = penalized(estimator, tau=0.7, kind="size", log=False, strength=0.01)
        alpha = relaxation.alpha["cell"]
        cells = {"cell": Cell(((0, 1),) * count, relaxation.cells["cell"].ops, (1,))}
        many = Gumbel(cells, hard=False, tau=0.7)
        many.alpha["cell"] = alpha[:1].detach().expand(count, -1).clone().requires_grad_()
        table = resource.get_buffer("cell")[:, :, :1].expand(-1, -1, count, -1)
        resource.register_buffer("cell", table, persistent=False)
        value = resource(many.sample(Masks(cells)), many, Masks(cells)) / count
        found[estimator] = torch.autograd.grad(value, many.alpha["cell"])[0].sum(0)
    torch.testing.assert_close(
        found["policy"], found["sample"], rtol=0.1, atol=0.05 * float(found["sample"].abs().max())
    )
    assert float(torch.cosine_similarity(found["expected"], found["sample"], dim=0)) > 0.95


def test_expected_resource_penalty_has_the_softmax_gradient() -> None:
    resource, relaxation, masks = penalized("expected", kind="macs", log=False, strength=1.0)
    alpha = relaxation.alpha["cell"]
    (got,) = torch.autograd.grad(resource(relaxation.sample(masks), relaxation, masks), alpha)
    costs = resource.get_buffer("cell")[1].mean(0)
    p = alpha.detach().softmax(-1)
    torch.testing.assert_close(got, p * (costs - (p * costs).sum(-1, keepdim=True)))


def test_resource_penalty_is_zero_below_min_macs() -> None:
    arch: Mapping[str, EdgeWeights]
    resource, relaxation, masks = penalized("expected", kind="macs", log=False)
    arch = relaxation.sample(masks)
    macs = float((resource.get_buffer("cell")[1] * arch["cell"].op.detach()).sum())
    for min_macs, on in ((0.99 * macs, True), (1.01 * macs, False)):
        resource.min_macs = min_macs
        assert (float(resource(dict(arch), relaxation, masks)) > 0) == on


def test_policy_estimator_requires_a_temperature() -> None:
    resource, _, masks = penalized("policy")
    relaxation = Softmax(NasBench201(SHAPE, 10).cells)
    with pytest.raises(NasError, match="Softmax"):
        resource(relaxation.sample(masks), relaxation, masks)
    with pytest.raises(NasError, match="ResourcePenalty: kind=weight: unknown"):
        penalized("sample", kind="weight")


def searching(**options: Any) -> GradientSearch:
    space = NasBench201(SHAPE, 10, channels=2, cells_per_stage=1)
    torch.manual_seed(0)
    return GradientSearch(space, lambda cells: Gumbel(cells, hard=False), weight_step(), arch_step(**options))


def test_arch_step_clips_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_search_loss_includes_the_resource_penalty() -> None:
    search = searching(resource=lambda *given: ResourcePenalty(*given, strength=3.0))
    assert not any("resource" in key for key in search.state_dict()), "cost tables are not saved in checkpoints"
    batch = torch.randn(4, *SHAPE), torch.zeros(4, dtype=torch.int64)
    state = search.relaxation.generators.get_extra_state()
    value = search.loss(batch)
    search.relaxation.generators.set_extra_state(state)
    arch = search.relaxation.sample(search.masks)
    assert search.resource is not None
    task_loss = search.task.loss(search.supernet(batch[0], arch), batch[1])
    torch.testing.assert_close(value, task_loss + search.resource(arch, search.relaxation, search.masks))
