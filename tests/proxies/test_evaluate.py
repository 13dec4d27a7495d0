"""Evaluation of proxies on genotypes: deterministic and in float32."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from nas.architecture.cell import Genotype
from nas.proxies.evaluate import ProxyEvaluator
from nas.spaces.nas_bench_201.notation import from_ops
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.compose_tools import CONF
from tests.support.proxy_tools import (
    CELL,
    CONV1,
    CONV3,
    NONE,
    PROXY_FILES,
    SKIP,
    load_proxy,
    proxy_batches,
    small_network,
)


@pytest.mark.parametrize("file", PROXY_FILES, ids=lambda file: file.stem)
def test_proxy_evaluator_is_deterministic_and_ranks_disconnected_cells_last(file: Path) -> None:
    """The score depends only on genotype, seed and data; cells whose output ignores the input are last."""
    space = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
    first, second = from_ops(CELL), from_ops([CONV3] * 6)
    empty, disconnected = from_ops([NONE] * 6), from_ops([CONV3, NONE, CONV3, NONE, NONE, NONE])
    evaluator = ProxyEvaluator(space, load_proxy(file), proxy_batches(), seed=3)
    values = [evaluator(first), evaluator(second)]
    torch.rand(5)
    again = ProxyEvaluator(space, load_proxy(file), proxy_batches(), seed=3)
    assert [again(second), again(first)] == values[::-1]
    assert all(map(math.isfinite, values))
    sign = 1 if evaluator.higher_is_better else -1
    for genotype in (empty, disconnected):
        if evaluator.proxy.needs_signal:
            assert sign * evaluator(genotype) < min(sign * value for value in values)
    if not evaluator.proxy.needs_signal:  # the number of parameters ignores connectivity
        assert evaluator(empty) == evaluator(from_ops([SKIP] * 6)) < evaluator(disconnected) < evaluator(second)


@pytest.mark.parametrize("file", PROXY_FILES, ids=lambda file: file.stem)
def test_proxies_measure_cells_with_nodes_without_inputs_or_outputs(file: Path) -> None:
    """Node 1 has no input but leads to convolutions, or has an input that no other node reads."""
    space = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
    evaluator = ProxyEvaluator(space, load_proxy(file), proxy_batches(), seed=3)
    without_input = from_ops([NONE, CONV3, CONV1, CONV3, CONV3, CONV1])
    without_output = from_ops([CONV3, CONV3, NONE, CONV3, NONE, CONV1])
    assert math.isfinite(evaluator(without_input)) and math.isfinite(evaluator(without_output))


@pytest.mark.parametrize("name", ["synflow", "grad_norm", "ntk", "zen"])
def test_proxy_evaluator_measures_in_float32_under_any_precision(name: str) -> None:
    """Emulate Lightning's bf16-mixed, bf16-true and 64-true."""
    space = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
    proxy = load_proxy(CONF / "proxy" / f"{name}.yaml")
    images = proxy_batches()
    plain = ProxyEvaluator(space, proxy, images)(from_ops(CELL))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ProxyEvaluator(space, proxy, images)(from_ops(CELL)) == plain
    for dtype in (torch.bfloat16, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            assert ProxyEvaluator(space, proxy, images)(from_ops(CELL)) == plain
            assert torch.get_default_dtype() == dtype
        finally:
            torch.set_default_dtype(torch.float32)


def test_proxy_evaluator_takes_network_options() -> None:
    space = NasBench201((3, 8, 8), 10)
    evaluator = ProxyEvaluator(
        space, load_proxy(CONF / "proxy" / "params.yaml"), proxy_batches(), {"channels": 4, "cells_per_stage": 1}
    )
    expected = sum(p.numel() for p in small_network().parameters())
    assert evaluator(from_ops(CELL)) == expected
    with pytest.raises(NasError, match="does not fit"):
        evaluator(Genotype("darts", {}))
