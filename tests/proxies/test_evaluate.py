"""The value of a proxy for a genotype: the same network and images each time, in float32."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from nas.architecture.cell import Genotype
from nas.proxies.evaluate import ProxyEvaluator
from nas.proxies.precision import in_float32
from nas.spaces.nas_bench_201.notation import from_ops
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.proxies.test_proxies import CELL, CONV3, FILES, NONE, SKIP, draws, network, proxy
from tests.support.compose_tools import CONF


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_proxy_evaluator_is_deterministic_and_ranks_disconnected_cells_last(file: Path) -> None:
    """A function of genotype, seed and data; a cell that carries nothing is last."""
    space = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
    first, second = from_ops(CELL), from_ops([CONV3] * 6)
    empty, blind = from_ops([NONE] * 6), from_ops([CONV3, NONE, CONV3, NONE, NONE, NONE])
    evaluator = ProxyEvaluator(space, proxy(file), draws(), seed=3)
    values = [evaluator(first), evaluator(second)]
    torch.rand(5)
    again = ProxyEvaluator(space, proxy(file), draws(), seed=3)
    assert [again(second), again(first)] == values[::-1]
    assert all(map(math.isfinite, values))
    sign = 1 if evaluator.higher_is_better else -1
    for genotype in (empty, blind):
        if evaluator.proxy.of_signal:
            assert sign * evaluator(genotype) < min(sign * value for value in values)
    if not evaluator.proxy.of_signal:  # what the others have to beat knows nothing of paths
        assert evaluator(empty) == evaluator(from_ops([SKIP] * 6)) < evaluator(blind) < evaluator(second)


@pytest.mark.parametrize("name", ["synflow", "grad_norm", "ntk", "zen"])
def test_proxy_evaluator_measures_in_float32_under_any_precision(name: str) -> None:
    """What Lightning's bf16-mixed, bf16-true and 64-true do around a step."""
    space = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
    one = proxy(CONF / "proxy" / f"{name}.yaml")
    images = draws()
    plain = ProxyEvaluator(space, one, images)(from_ops(CELL))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ProxyEvaluator(space, one, images)(from_ops(CELL)) == plain
    for dtype in (torch.bfloat16, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            assert ProxyEvaluator(space, one, images)(from_ops(CELL)) == plain
            assert torch.get_default_dtype() == dtype
        finally:
            torch.set_default_dtype(torch.float32)


def test_convolutions_of_a_gpu_do_not_round() -> None:
    before = torch.backends.cudnn.allow_tf32
    with pytest.raises(ValueError), in_float32(torch.device("cpu")):
        assert not torch.backends.cudnn.allow_tf32
        raise ValueError
    assert torch.backends.cudnn.allow_tf32 == before


def test_proxy_evaluator_takes_network_options() -> None:
    space = NasBench201((3, 8, 8), 10)
    evaluator = ProxyEvaluator(
        space, proxy(CONF / "proxy" / "params.yaml"), draws(), {"channels": 4, "cells_per_stage": 1}
    )
    wanted = sum(p.numel() for p in network().parameters())
    assert evaluator(from_ops(CELL)) == wanted
    with pytest.raises(NasError, match="does not fit"):
        evaluator(Genotype("darts", {}))
