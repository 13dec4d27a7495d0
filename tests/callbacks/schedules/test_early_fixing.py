"""Tests of early fixing (DSNAS)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from nas.callbacks.schedules.early_fixing import EarlyFixing
from nas.relaxations.single_path import SinglePath
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.search_tools import weight_step

SHAPE = (3, 8, 8)


def build_search(space: Any, **options: Any) -> GradientSearch:
    torch.manual_seed(0)
    return GradientSearch(space, lambda cells: SinglePath(cells, init_std=1.0), weight_step(), **options)


def test_early_fixing_restricts_edges_with_a_lead() -> None:
    search = build_search(NasBench201(SHAPE, 10, channels=2, cells_per_stage=1))
    p = torch.tensor(
        [
            [0.5, 0.2, 0.1, 0.1, 0.1],  # genotypes of this space may contain none
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
    # fixed edges stay fixed, whatever alpha is, and have no gradient
    search.relaxation.alpha["cell"].data.zero_()
    fix.on_train_epoch_start(SimpleNamespace(), search)  # type: ignore[arg-type]
    assert search.masks.table("cell").sum(-1).tolist() == left
    weights = search.relaxation.sample(search.masks)["cell"]
    (grad,) = torch.autograd.grad((weights.op * torch.randn(6, 5)).sum(), search.relaxation.alpha["cell"])
    assert (grad[[0, 2, 5]] == 0).all() and (grad[[1, 3, 4]] != 0).any(-1).all()
    ops = [link.op for link in search.genotype().cells["cell"].links]
    assert (ops[0], ops[2], ops[5]) == ("none", "avg_pool_3x3", "nor_conv_3x3")
    again = build_search(NasBench201(SHAPE, 10, channels=2, cells_per_stage=1))
    again.load_state_dict(search.state_dict())
    assert again.masks.lists("cell") == search.masks.lists("cell")


def test_early_fixing_ignores_none_if_genotypes_may_not_keep_it() -> None:
    search = build_search(Darts(SHAPE, 10, channels=2, layers=3))
    for alpha in search.relaxation.alpha.values():
        alpha.data.zero_()
        alpha.data[:, 0] = 5.0
    EarlyFixing().on_train_epoch_start(SimpleNamespace(), search)  # type: ignore[arg-type]
    assert search.masks.full("normal") and search.masks.full("reduce")
    search.space.check(search.genotype())


def test_rows_of_fixed_edges_are_restored_before_each_epoch() -> None:
    """An optimizer with momentum moves them, also in a search that is resumed."""
    search = build_search(NasBench201(SHAPE, 10, channels=2, cells_per_stage=1))
    alpha = search.relaxation.alpha["cell"]
    alpha.data.zero_()
    alpha.data[1, 3] = 4.0
    fix = EarlyFixing(0.3)
    fix.on_train_epoch_start(SimpleNamespace(), search)  # type: ignore[arg-type]
    kept = alpha[1].detach().clone()
    for callback in (fix, EarlyFixing(0.3)):
        callback.load_state_dict(fix.state_dict())
        alpha.data += torch.randn_like(alpha) * 0.01
        moved = alpha.detach().clone()
        callback.on_train_epoch_start(SimpleNamespace(), search)  # type: ignore[arg-type]
        assert torch.equal(alpha[1], kept) and torch.equal(alpha[0], moved[0])


def test_an_edge_with_one_allowed_op_is_fixed_to_it() -> None:
    search = build_search(NasBench201(SHAPE, 10, channels=2, cells_per_stage=1))
    search.relaxation.alpha["cell"].data[0] = torch.tensor([9.0, 0.0, 0.0, 0.0, 0.0])
    keep = torch.ones(6, 5, dtype=torch.bool)
    keep[0] = torch.tensor([False, True, False, False, False])
    search.masks.restrict("cell", keep)
    EarlyFixing(0.3).on_train_epoch_start(SimpleNamespace(), search)  # type: ignore[arg-type]
    assert search.masks.lists("cell")[0] == [False, True, False, False, False]


def test_edges_of_a_cell_with_a_single_op_are_never_fixed() -> None:
    space = NasBench1Shot1(SHAPE, 10, channels=2, cells_per_stage=1)
    search = build_search(space)
    fix = EarlyFixing(0.0)
    fix.on_train_epoch_start(SimpleNamespace(), search)  # type: ignore[arg-type]
    assert not fix.rows["output"].fixed.any() and fix.rows["vertex_1"].fixed[-1]
    assert search.masks.table("output").all() and search.masks.table("vertex_1")[-1].sum() == 1
