"""Multiply-adds of steps against PyTorch's counter of a forward pass."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.relaxations.uniform import Uniform
from nas.searches.gradient import GradientSearch
from nas.searches.step_macs import count_step_macs
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.search_tools import arch_step, weight_step

SHAPE = (3, 16, 16)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("space", [partial(NasBench201, SHAPE, 4, 8, 1), partial(Darts, SHAPE, 4, 8, 3)])
def test_dense_step_has_five_passes_of_all_ops(space: partial[Space], fused: bool) -> None:
    search = GradientSearch(space(fused=fused), Softmax, weight_step(), arch_step())
    reference = GradientSearch(space(), Softmax, weight_step(), arch_step())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        reference.supernet.eval()(torch.randn(1, *SHAPE), reference.relaxation.sample(reference.masks))
    assert count_step_macs(search) == pytest.approx(5 * counter.get_total_flops() / 2)


def test_sampled_step_counts_the_mean_over_ops_and_draws_no_number() -> None:
    space = NasBench201(SHAPE, 4, 8, 1)
    dense = count_step_macs(GradientSearch(space, Softmax, weight_step(), arch_step()))
    torch.manual_seed(0)
    search = GradientSearch(space, Gumbel, weight_step(), arch_step())
    state, drawn = search.relaxation.state_dict(), torch.get_rng_state()
    assert count_step_macs(search) == pytest.approx(dense / 5)
    assert torch.equal(torch.get_rng_state(), drawn)
    first = search.relaxation.sample(search.masks)["cell"].op
    search.relaxation.load_state_dict(state)
    assert torch.equal(search.relaxation.sample(search.masks)["cell"].op, first)
    one_shot = GradientSearch(space, Uniform, weight_step())
    assert count_step_macs(one_shot) == pytest.approx(dense / 5 * 3 / 5), "no architecture step"
