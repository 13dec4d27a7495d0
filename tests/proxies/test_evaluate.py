"""What a scorer makes of a score and a genotype: the same network and images each time, in float32."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from nas.architecture.cell import Genotype
from nas.proxies.evaluate import Scorer
from nas.proxies.precision import in_float32
from nas.spaces.nas_bench_201.space import NasBench201, from_ops
from nas.utils.errors import NasError
from tests.proxies.test_proxies import CELL, CONV3, FILES, NONE, SKIP, draws, network, score
from tests.support.compose_tools import CONF


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scorer(file: Path) -> None:
    """A function of genotype, seed and data; a cell that carries nothing is last."""
    space = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
    first, second = from_ops(CELL), from_ops([CONV3] * 6)
    empty, blind = from_ops([NONE] * 6), from_ops([CONV3, NONE, CONV3, NONE, NONE, NONE])
    scorer = Scorer(space, score(file), draws(), seed=3)
    values = [scorer(first), scorer(second)]
    torch.rand(5)
    again = Scorer(space, score(file), draws(), seed=3)
    assert [again(second), again(first)] == values[::-1]
    assert all(map(math.isfinite, values))
    sign = 1 if scorer.higher_is_better else -1
    for genotype in (empty, blind):
        if scorer.score.of_signal:
            assert sign * scorer(genotype) < min(sign * value for value in values)
    if not scorer.score.of_signal:  # what the others have to beat knows nothing of paths
        assert scorer(empty) == scorer(from_ops([SKIP] * 6)) < scorer(blind) < scorer(second)


@pytest.mark.parametrize("name", ["synflow", "grad_norm", "ntk", "zen"])
def test_scorer_measures_in_float32_whatever_the_trainer_does(name: str) -> None:
    """What Lightning's bf16-mixed, bf16-true and 64-true do around a step."""
    space = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
    one = score(CONF / "score" / f"{name}.yaml")
    images = draws()
    plain = Scorer(space, one, images)(from_ops(CELL))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Scorer(space, one, images)(from_ops(CELL)) == plain
    for dtype in (torch.bfloat16, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            assert Scorer(space, one, images)(from_ops(CELL)) == plain
            assert torch.get_default_dtype() == dtype
        finally:
            torch.set_default_dtype(torch.float32)


def test_convolutions_of_a_gpu_do_not_round() -> None:
    before = torch.backends.cudnn.allow_tf32
    with pytest.raises(ValueError), in_float32(torch.device("cpu")):
        assert not torch.backends.cudnn.allow_tf32
        raise ValueError
    assert torch.backends.cudnn.allow_tf32 == before


def test_scorer_takes_options_of_the_network() -> None:
    space = NasBench201((3, 8, 8), 10)
    scorer = Scorer(space, score(CONF / "score" / "params.yaml"), draws(), {"channels": 4, "cells_per_stage": 1})
    wanted = sum(p.numel() for p in network().parameters())
    assert scorer(from_ops(CELL)) == wanted
    with pytest.raises(NasError, match="cannot be built"):
        scorer(Genotype("darts", {}))
