"""Tests of the exclusion of candidate ops."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from nas.callbacks.schedules.excluded_ops import ExcludedOps
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.search_tools import weight_step

TRAINER: Any = SimpleNamespace()


def build_search() -> GradientSearch:
    torch.manual_seed(0)
    return GradientSearch(NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1), Softmax, weight_step())


def test_excluded_ops_have_no_weight_and_are_not_derived() -> None:
    search = build_search()
    search.relaxation.alpha["cell"].data[:, 0] = 9.0
    assert {link.op for link in search.genotype().cells["cell"].links} == {"none"}
    ExcludedOps(["none"]).on_fit_start(TRAINER, search)
    weights = search.relaxation.sample(search.masks)["cell"].op
    assert not weights[:, 0].any() and torch.allclose(weights[:, 1:].sum(-1), torch.ones(6))
    assert "none" not in {link.op for link in search.genotype().cells["cell"].links}
    again = build_search()
    again.load_state_dict(search.state_dict())
    ExcludedOps(["none"]).on_fit_start(TRAINER, again)
    assert again.masks.lists("cell") == [[False, True, True, True, True]] * 6


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        (["max_pool"], "has the ops none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3"),
        ("none", "Use a list"),
        (["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"], "no other op"),
    ],
)
def test_excluded_ops_are_checked(ops: Any, message: str) -> None:
    with pytest.raises(NasError, match=message) as error:
        ExcludedOps(ops).on_fit_start(TRAINER, build_search())
    assert "\n" not in str(error.value)


def test_an_op_that_genotypes_can_contain_must_remain() -> None:
    """Without the convolution only none would remain, which cells of the DARTS space cannot keep."""
    space = Darts((3, 8, 8), 10, channels=2, layers=3, ops=["none", "sep_conv_3x3"])
    search = GradientSearch(space, Softmax, weight_step())
    with pytest.raises(NasError, match="no other op"):
        ExcludedOps(["sep_conv_3x3"]).on_fit_start(TRAINER, search)


def test_exclusions_add_up() -> None:
    search = build_search()
    ExcludedOps(["none", "skip_connect", "nor_conv_1x1"]).on_fit_start(TRAINER, search)
    with pytest.raises(NasError, match="no other op"):
        ExcludedOps(["nor_conv_3x3", "avg_pool_3x3"]).on_fit_start(TRAINER, search)


def test_search_without_a_supernet_is_refused() -> None:
    with pytest.raises(NasError, match="trains no supernet"):
        ExcludedOps(["none"]).on_fit_start(TRAINER, pl.LightningModule())
