"""Tests of categorical sampling: equality with torch.multinomial, distribution, and no device synchronization."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.relaxations.block_gumbel import BlockCategorical, BlockGumbel
from nas.relaxations.enas_controller import Controller, _DecodingState
from nas.relaxations.sample_categorical import sample_categorical
from nas.relaxations.single_path import SinglePath

CELLS = {"cell": Cell(((0, 1), (0, 2), (1, 2), (0, 3)), ("none", "a", "b"), output=(3,), keeps_none=True, inputs=1)}
CHAIN = {"cell": Cell(((0, 1), (1, 2)), ("a", "b", "c"), output=(2,))}
PROBABILITIES = torch.tensor([0.5, 0.0, 0.2, 0.05, 0.25], dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(5,), (1, 1), (6, 8), (200, 7)])
@pytest.mark.parametrize("count", [1, 2])
def test_sample_categorical_equals_torch_multinomial(shape: tuple[int, ...], count: int, dtype: torch.dtype) -> None:
    p = torch.rand(shape, dtype=dtype, generator=generator(1))
    p = p.masked_fill(p < 0.2, 0.0 if count == 1 else 1e-7)
    p[..., 0] += 0.1
    count = min(count, shape[-1])
    mine, theirs = generator(), generator()
    for _ in range(20):
        assert torch.equal(sample_categorical(p, mine, count), torch.multinomial(p, count, generator=theirs))
    assert torch.equal(mine.get_state(), theirs.get_state())


def test_sample_categorical_follows_the_probabilities() -> None:
    found = sample_categorical(PROBABILITIES.expand(40_000, 5), generator()).flatten().bincount(minlength=5)
    assert found[1] == 0
    positive = PROBABILITIES > 0
    assert stats.chisquare(found[positive], PROBABILITIES[positive] * 40_000).pvalue > 1e-3


def test_sample_categorical_samples_without_replacement() -> None:
    """The probability of the ordered pair (i, j) is p_i p_j / (1 - p_i)."""
    p = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    pairs = list(permutations(range(3), 2))
    found = [tuple(pair) for pair in sample_categorical(p.expand(40_000, 3), generator(), 2).tolist()]
    expected = [40_000 * float(p[i] * p[j] / (1 - p[i])) for i, j in pairs]
    assert stats.chisquare([found.count(pair) for pair in pairs], expected).pvalue > 1e-3


class RefuseSynchronization(TorchDispatchMode):
    """Raise for ops that synchronize a CUDA device: those that read from it or copy Python numbers to it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        assert name not in ("aten::multinomial", "aten::_local_scalar_dense", "aten::lift_fresh", "aten::nonzero"), name
        return func(*args, **(kwargs or {}))


def one_hot(columns: Tensor, count: int) -> Tensor:
    """Replace torch's one_hot, which reads its input except on CUDA."""
    return columns.new_zeros(*columns.shape, count).scatter(-1, columns[..., None], 1)


def test_relaxations_sample_without_synchronization(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.nn.functional.one_hot", one_hot)
    path, block = SinglePath(CELLS), BlockCategorical(CHAIN, (0, 0, 1))
    soft, masks, whole = BlockGumbel(CHAIN, (0, 0, 1)), Masks(CHAIN), CELLS["cell"].allowed()
    controller = Controller(CELLS, hidden=4)
    for module in (path, block, soft, controller):
        module.generator(torch.device("cpu"))  # created on first use
    with RefuseSynchronization():
        path.relax(path.alpha["cell"], whole)
        block.relax_blocks(block.alpha["cell"], masks.table("cell"), masks.lists("cell"))
        soft.sample(masks)
        controller._sample_cell(_DecodingState(controller.first), "cell", CELLS["cell"], whole)
