"""Tests of the relaxation over blocks: distribution, gradient of pairs, masks and state."""

from __future__ import annotations

import itertools

import pytest
import torch

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.relaxations.block_gumbel import BlockGumbel
from nas.utils.errors import NasError

CELLS = {"cell": Cell(((0, 1), (1, 2)), ("a", "b", "c"), (2,))}
ROWS = (0, 0, 1)
ALPHA = torch.tensor([[0.3, 1.2, -0.4], [0.0, -1.0, 0.7]])


def build(pair: bool, tau: float = 1.0) -> tuple[BlockGumbel, Masks]:
    torch.manual_seed(0)
    relaxation = BlockGumbel(CELLS, ROWS, pair, tau)
    with torch.no_grad():
        relaxation.alpha["cell"].copy_(ALPHA)
    return relaxation, Masks(CELLS)


def test_block_gumbel_samples_blocks_independently() -> None:
    relaxation, masks = build(pair=False, tau=0.01)
    samples = torch.stack([relaxation.sample(masks)["cell"].op.detach() for _ in range(4000)])
    assert samples.shape == (4000, 3, 3) and torch.allclose(samples.sum(-1), torch.ones(4000, 3))
    chosen = torch.nn.functional.one_hot(samples.argmax(-1), 3).double()
    expected = ALPHA.double().softmax(-1)
    assert (chosen.mean(0) - expected[list(ROWS)]).abs().max() < 0.03  # 4 standard errors
    both = torch.einsum("ni,nj->ij", chosen[:, 0], chosen[:, 1]) / 4000
    assert (both - expected[0][:, None] * expected[0]).abs().max() < 0.03, "blocks that share a row are independent"


def test_block_gumbel_pairs_have_different_ops() -> None:
    """At a high temperature the perturbed logits, and therefore the probabilities of pairs, are nearly equal."""
    relaxation, masks = build(pair=True, tau=1e4)
    counts = dict.fromkeys(itertools.combinations(range(3), 2), 0)
    for _ in range(1500):
        weights = relaxation.sample(masks)["cell"]
        assert torch.allclose(weights.op, weights.op.gt(0) / 2, atol=1e-2)
        for row, active in zip(weights.op.tolist(), weights.active, strict=True):
            counts[tuple(c for c, on in enumerate(active) if on)] += 1  # type: ignore[index]
            assert active == [value > 0 for value in row]
    assert all(abs(count / 4500 - 1 / 3) < 0.03 for count in counts.values())


def test_block_gumbel_pair_gradient() -> None:
    relaxation, masks = build(pair=True)
    generator = relaxation.generator(torch.device("cpu"))
    state = generator.get_state()
    weights = relaxation.sample(masks)["cell"]
    generator.set_state(state)
    alpha = relaxation.alpha["cell"]
    noise = relaxation.noise(alpha.detach()[list(ROWS)])
    factors = torch.tensor([[1.0, 2.0, 4.0]] * 3)
    (found,) = torch.autograd.grad((weights.op * factors).sum(), alpha)
    total = torch.zeros(())
    for block, row in enumerate(ROWS):
        a, b = (c for c, on in enumerate(weights.active[block]) if on)
        logits = alpha[row].log_softmax(-1) + noise[block]
        share = torch.sigmoid(logits[a] - logits[b])
        assert torch.isclose(weights.op[block, a], share)
        total = total + factors[block, a] * share + factors[block, b] * (1 - share)
    (expected,) = torch.autograd.grad(total, alpha)
    assert torch.allclose(found, expected, atol=1e-6) and found.abs().max() > 1e-3


@pytest.mark.parametrize("pair", [False, True])
def test_block_gumbel_never_samples_masked_ops(pair: bool) -> None:
    relaxation, masks = build(pair)
    masks.restrict("cell", torch.tensor([[False, True, False], [True, False, True]]))
    for _ in range(200):
        weights = relaxation.sample(masks)["cell"]
        assert weights.active == [[False, True, False]] * 2 + [[True, False, True]]
        assert torch.allclose(weights.op[:2], torch.tensor([0.0, 1.0, 0.0])) and weights.op[2, 1] == 0
        assert torch.isfinite(weights.op).all()


@pytest.mark.parametrize("pair", [False, True])
def test_block_gumbel_repeats_samples_from_state_dict(pair: bool) -> None:
    (relaxation, masks), (other, _) = build(pair), build(pair)
    relaxation.sample(masks)
    other.load_state_dict(relaxation.state_dict())
    first, second = relaxation.sample(masks)["cell"], other.sample(masks)["cell"]
    assert torch.equal(first.op, second.op) and first.active == second.active


def test_block_gumbel_refuses_bad_rows_and_pairs() -> None:
    with pytest.raises(NasError, match="has 2 rows"):
        BlockGumbel(CELLS, [0, 2])
    with pytest.raises(NasError, match="one op only"):
        BlockGumbel({"cell": Cell(((0, 1),), ("8",), (1,))}, [0], pair=True)
