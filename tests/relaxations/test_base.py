"""Tests of all relaxations: random state in checkpoints, and masks."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.architecture.cell import Architecture, Cell
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.relaxations.uniform import Uniform

CELLS: dict[str, Cell] = {
    "normal": Cell(((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), ("none", "a", "b", "c"), (2, 3), inputs=2),
    "reduce": Cell(((0, 1), (0, 2), (1, 2)), ("a", "b", "c"), (2,), excluded=frozenset({(0, "b"), (2, "a"), (2, "b")})),
}
RELAXATIONS: dict[str, Callable[[Mapping[str, Cell]], Relaxation]] = {
    "softmax": lambda cells: Softmax(cells, init_std=0.3),
    "gumbel_hard": lambda cells: Gumbel(cells, hard=True, tau=0.5, init_std=0.3),
    "gumbel_soft": lambda cells: Gumbel(cells, hard=False, tau=0.5, init_std=0.3),
    "dirichlet": lambda cells: Dirichlet(cells, init_std=0.3),
    "uniform": Uniform,
}
every_relaxation = pytest.mark.parametrize("name", RELAXATIONS)
every_random_relaxation = pytest.mark.parametrize("name", [name for name in RELAXATIONS if name != "softmax"])


def build(name: str, seed: int) -> Relaxation:
    torch.manual_seed(seed)
    return RELAXATIONS[name](CELLS)


def through_file(value: object) -> dict[str, object]:
    """Save and load ``value`` as a checkpoint does, which restores tensors and primitives only."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def values(arch: Architecture) -> dict[str, object]:
    return {name: (weights.op.tolist(), weights.active) for name, weights in arch.items()}


@every_relaxation
def test_relaxation_resumes_samples_from_state_dict(name: str) -> None:
    masks, first = Masks(CELLS), build(name, 0)
    for _ in range(3):
        first.sample(masks)
    state = through_file(first.state_dict())
    expected = [values(first.sample(masks)) for _ in range(3)]
    second = build(name, 1)
    second.sample(masks)
    second.load_state_dict(state)
    assert [values(second.sample(masks)) for _ in range(3)] == expected
    # return to the same point of the uninterrupted run
    first.load_state_dict(state)
    assert [values(first.sample(masks)) for _ in range(3)] == expected


@every_random_relaxation
def test_relaxation_repeats_samples_from_initial_state(name: str) -> None:
    masks, relaxation = Masks(CELLS), build(name, 0)
    state = through_file(relaxation.state_dict())
    expected = [values(relaxation.sample(masks)) for _ in range(3)]
    relaxation.load_state_dict(state)
    assert [values(relaxation.sample(masks)) for _ in range(3)] == expected


@every_random_relaxation
def test_relaxation_samples_depend_on_seed_and_call(name: str) -> None:
    masks = Masks(CELLS)
    state = build(name, 0).state_dict()
    runs = []
    for seed in (0, 1):
        relaxation = build(name, seed)
        relaxation.load_state_dict({key: value for key, value in state.items() if "alpha" in key}, strict=False)
        runs.append([str(values(relaxation.sample(masks))) for _ in range(8)])
    assert len(set(runs[0])) > 4 and runs[0] != runs[1]
    again = build(name, 0)
    assert [str(values(again.sample(masks))) for _ in range(8)] == runs[0]


@every_relaxation
def test_relaxation_does_not_use_global_generators(name: str) -> None:
    relaxation, masks = build(name, 0), Masks(CELLS)
    random.seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    for _ in range(5):
        relaxation.sample(masks)
        relaxation.scores(masks)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]


def restricted_masks() -> tuple[Masks, dict[str, Tensor]]:
    """Return masks restricted in two steps, and the expected tables."""
    masks = Masks(CELLS)
    keep = torch.ones(5, 4, dtype=torch.bool)
    keep[0] = torch.tensor([False, False, True, False])
    keep[3, 1] = False
    masks.restrict("normal", keep)
    keep = torch.ones(5, 4, dtype=torch.bool)
    keep[2, 3] = False
    masks.restrict("normal", keep)
    normal = [[0, 0, 1, 0], [1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 1, 1], [1, 1, 1, 1]]
    reduce = [[1, 0, 1], [1, 1, 1], [0, 0, 1]]
    return masks, {"normal": torch.tensor(normal).bool(), "reduce": torch.tensor(reduce).bool()}


@every_relaxation
@pytest.mark.parametrize("reloaded", [False, True])
def test_relaxation_gives_masked_ops_no_weight(name: str, reloaded: bool) -> None:
    masks, left = restricted_masks()
    if reloaded:
        state = through_file(masks.state_dict())
        masks = Masks(CELLS)
        masks.load_state_dict(state)
    relaxation = build(name, 0)
    seen = {cell: torch.zeros_like(table) for cell, table in left.items()}
    for _ in range(100):
        for cell, weights in relaxation.sample(masks).items():
            active = torch.tensor(weights.active)
            assert torch.isfinite(weights.op).all()
            assert (weights.op[~left[cell]] == 0).all() and not active[~left[cell]].any()
            assert (weights.op[~active] == 0).all()
            total = weights.op.sum(-1)
            switched_off = total == 0
            assert name == "uniform" or not switched_off.any()
            torch.testing.assert_close(total[~switched_off], torch.ones_like(total[~switched_off]))
            seen[cell] |= weights.op != 0
    allowed = {cell: table.clone() for cell, table in left.items()}
    if name == "uniform":
        allowed["normal"][:, 0] = False  # genotypes of this cell may not contain 'none'
    assert all(torch.equal(seen[cell], allowed[cell]) for cell in seen)


@every_relaxation
def test_relaxation_gives_masked_ops_no_score_and_no_gradient(name: str) -> None:
    masks, left = restricted_masks()
    relaxation = build(name, 0)
    for cell, scores in relaxation.scores(masks).items():
        assert (scores[~left[cell]] == 0).all() and (scores[left[cell]] > 0).all()
        torch.testing.assert_close(scores.sum(-1), torch.ones(len(scores)))
    if name == "uniform":
        assert not any(p.requires_grad for p in relaxation.parameters())
        return
    for cell, weights in relaxation.sample(masks).items():
        (grad,) = torch.autograd.grad((weights.op * torch.randn_like(weights.op)).sum(), relaxation.alpha[cell])
        assert torch.isfinite(grad).all()
        single = left[cell].sum(-1) == 1
        assert single.any() and grad[~left[cell]].abs().max() < 1e-6 and grad[single].abs().max() < 1e-6
        assert (grad[~single] != 0).any(-1).all()


def test_relaxation_executes_one_op_if_hard_and_all_ops_otherwise() -> None:
    masks, left = restricted_masks()
    for name in RELAXATIONS:
        for cell, weights in build(name, 0).sample(masks).items():
            active = torch.tensor(weights.active)
            if name == "gumbel_hard":
                assert (active.sum(-1) == 1).all() and torch.equal(weights.op, active.float())
            elif name != "uniform":
                assert torch.equal(active, left[cell])


def test_relaxation_entropy_covers_unmasked_ops() -> None:
    masks, left = restricted_masks()
    relaxation = Softmax(CELLS, init_std=0.0)
    sizes = torch.cat([table.sum(-1) for table in left.values()]).float()
    torch.testing.assert_close(relaxation.entropy(masks), sizes.log().mean())


def test_masks_restrict_is_permanent() -> None:
    masks, left = restricted_masks()
    masks.restrict("normal", torch.ones(5, 4, dtype=torch.bool))
    assert torch.equal(masks.table("normal"), left["normal"])
    assert masks.lists("normal") == left["normal"].tolist() and not masks.full("normal")
    assert Masks(CELLS).full("normal") and not Masks(CELLS).full("reduce")
