"""Tests of SDARTS' perturbations against brute force and on losses with a known maximum."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.optim import SGD

import nas.objectives.perturbation
from nas.architecture.cell import Architecture, EdgeWeights
from nas.callbacks.schedules.anneal import Anneal
from nas.objectives.perturbation import Adversarial, Perturbation, RandomNoise, clip_and_normalize
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.compose_tools import composed
from tests.support.search_tools import weight_step


def single_rank(tensors: list[Tensor]) -> list[Tensor]:
    """Return the mean over one rank."""
    return tensors


def brute_clip(row: Sequence[float], mask: Sequence[bool]) -> list[float]:
    """Clip and normalize one edge entry by entry."""
    if not any(mask):
        return [0.0] * len(row)
    cut = [min(max(value, 0.0), 1.0) if on else 0.0 for value, on in zip(row, mask, strict=True)]
    if sum(cut) == 0:
        best = max((value, -i) for i, (value, on) in enumerate(zip(row, mask, strict=True)) if on)
        return [float(i == -best[1]) for i in range(len(row))]
    return [value / sum(cut) for value in cut]


def single(*op: float) -> Architecture:
    """Return an architecture of one cell with one edge."""
    return {"cell": EdgeWeights(torch.tensor([op], dtype=torch.float64), [[True] * len(op)])}


def test_clip_and_normalize_matches_brute_force() -> None:
    torch.manual_seed(0)
    p = 1.5 * torch.randn(200, 4, dtype=torch.float64)
    mask = torch.rand(200, 4) < 0.7
    p[:20], mask[30] = -p[:20].abs(), False
    assert any((row < 0).all() for row in p) and not mask.any(dim=-1).all(), "the sample must contain the rare cases"
    truth = [brute_clip(row, on) for row, on in zip(p.tolist(), mask.tolist(), strict=True)]
    torch.testing.assert_close(
        clip_and_normalize(p, mask), torch.tensor(truth, dtype=torch.float64), rtol=1e-14, atol=0
    )


def test_random_noise_is_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    part = RandomNoise(eps=0.2)
    p = torch.rand(2000, 5).softmax(-1)
    arch = {"cell": EdgeWeights(p, [[True] * 5] * 2000)}
    found = part(arch, lambda other: torch.zeros(()), single_rank)["cell"].op
    assert (found >= 0).all() and torch.allclose(found.sum(-1), torch.ones(2000)) and not torch.equal(found, p)
    monkeypatch.setattr(nas.objectives.perturbation, "clip_and_normalize", lambda moved, mask: moved)
    noise = part.noisy(arch["cell"]) - p
    assert noise.abs().max() <= 0.2 + 1e-6
    assert stats.kstest(noise.flatten().numpy(), stats.uniform(-0.2, 0.4).cdf).pvalue > 1e-4


def test_adversarial_step_stays_in_the_ball() -> None:
    torch.manual_seed(1)
    attack, center, mask = (
        Adversarial(eps=0.1, steps=7),
        torch.rand(50, 4).softmax(-1).double(),
        torch.rand(50, 4) < 0.8,
    )
    center = clip_and_normalize(center, mask)
    at, slope = center + 0.3 * torch.randn(50, 4).double(), torch.randn(50, 4).double().round()
    found, ascent = attack._ascend(at, slope, center, mask), 2 * 0.1 / 7
    for row in range(50):
        moved = [
            min(max(p + ascent * ((s > 0) - (s < 0)), c - 0.1), c + 0.1)
            for p, s, c in zip(at[row].tolist(), slope[row].tolist(), center[row].tolist(), strict=True)
        ]
        truth = torch.tensor(brute_clip(moved, mask[row].tolist()), dtype=torch.float64)
        torch.testing.assert_close(found[row], truth, rtol=1e-12, atol=1e-15)


def test_adversarial_maximizes_a_linear_loss() -> None:
    """Compare with the best corner of the ball: (0.6, 0.4) around (0.5, 0.5) if the first op has the higher cost."""
    cost = torch.tensor([[3.0, -1.0]], dtype=torch.float64)
    arch, attack = single(0.5, 0.5), Adversarial(eps=0.1)

    def loss(other: Architecture) -> Tensor:
        return (other["cell"].op * cost).sum()

    corners = [torch.tensor([brute_clip((0.5 + a, 0.5 + b), (True, True))]) for a in (-0.1, 0.1) for b in (-0.1, 0.1)]
    corners = [corner.double() for corner in corners]
    worst = max(corners, key=lambda corner: float((corner * cost).sum()))
    torch.testing.assert_close(attack(arch, loss, single_rank)["cell"].op, worst)
    torch.testing.assert_close(worst, torch.tensor([[0.6, 0.4]]).double())


def test_adversarial_returns_the_input_if_the_loss_does_not_increase() -> None:
    arch, attack = single(0.5, 0.3, 0.2), Adversarial(eps=0.3)

    def peak(other: Architecture) -> Tensor:
        return -(other["cell"].op - arch["cell"].op).square().sum()

    assert torch.equal(attack(arch, peak, single_rank)["cell"].op, arch["cell"].op)


def search(perturbation: Perturbation | None = None, space: str = "darts") -> GradientSearch:
    """Build a small search in double precision with fixed initial weights."""
    torch.manual_seed(0)
    spaces: dict[str, Callable[[], Darts | NasBench201]] = {
        "darts": lambda: Darts((1, 6, 6), 3, channels=2, layers=3),
        "nas_bench_201": lambda: NasBench201((1, 8, 8), 3, channels=3, cells_per_stage=1),
    }
    made = GradientSearch(spaces[space](), Softmax, weight_step(perturbation=perturbation)).double()
    made.log_step = lambda *args: None  # type: ignore[method-assign]
    made.manual_backward = lambda loss, *args: loss.backward()  # type: ignore[method-assign]
    return made


@pytest.mark.parametrize("space", ["darts", "nas_bench_201"])
def test_adversarial_on_a_supernet(space: str) -> None:
    """Increase the loss more than noise does, in evaluation mode, without a change of the supernet."""
    attack = Adversarial(eps=0.1)
    made = search(attack, space)
    batch = torch.randn(6, *made.space.shape).double(), torch.arange(6) % 3
    modes, before = [], {name: value.clone() for name, value in made.supernet.state_dict().items()}
    arch = {name: weights.detach() for name, weights in made.relaxation.sample(made.masks).items()}
    made.supernet.get_submodule("classifier").register_forward_pre_hook(lambda m, args: modes.append(m.training))

    def loss(other: Architecture) -> Tensor:
        return made.task.loss(made.supernet(batch[0], other), batch[1])

    made.supernet.eval()
    values = [loss(arch), loss(attack(arch, loss, single_rank)), loss(RandomNoise(0.1)(arch, loss, single_rank))]
    assert values[1] > values[0] and values[1] > values[2]
    assert all(p.grad is None for p in made.parameters())
    after = made.supernet.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())

    made.supernet.train()
    modes.clear()
    made.train_weights(batch, SGD(made.supernet.parameters(), 0.1))
    assert modes == [False] * 9 + [True], (
        "7 steps and 2 comparisons in evaluation mode, then the weight step in training mode"
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(made.relaxation.parameters(), search(space=space).relaxation.parameters(), strict=True)
    )


def test_perturbations_of_radius_zero_equal_darts() -> None:
    batch = torch.randn(6, 1, 6, 6).double(), torch.arange(6) % 3
    found = []
    for perturbation in (None, RandomNoise(eps=0.0), Adversarial(eps=0.0)):
        made = search(perturbation)
        made.train_weights(batch, SGD(made.supernet.parameters(), 0.1))
        found.append(torch.cat([value.reshape(-1).double() for value in made.supernet.state_dict().values()]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found[2], found[0], rtol=1e-9, atol=1e-12)


def test_adversarial_averages_over_ranks() -> None:
    """Two ranks with opposite losses: the mean decides."""
    shared: list[Tensor] = []

    def other_rank(tensors: list[Tensor]) -> list[Tensor]:
        shared.extend(tensors)
        return [-2 * t for t in tensors]  # the other rank has -5 times the value, so that the mean is -2 times

    arch = single(0.5, 0.5)
    found = Adversarial(eps=0.1)(arch, lambda other: other["cell"].op[0, 0] - other["cell"].op[0, 1], other_rank)
    assert len(shared) == 8, "seven gradients and the final comparison"
    torch.testing.assert_close(found["cell"].op, torch.tensor([[0.4, 0.6]]).double())


def test_random_noise_resumes_from_state_dict() -> None:
    made, again = search(RandomNoise(0.1)), search(RandomNoise(0.1))
    arch = single(0.5, 0.3, 0.2)

    def perturb(which: GradientSearch) -> Tensor:
        assert which.perturbation is not None
        return which.perturbation(arch, lambda other: torch.zeros(()), single_rank)["cell"].op

    first = perturb(made)
    again.load_state_dict(made.state_dict())
    second = perturb(made)
    assert torch.equal(perturb(again), second) and not torch.equal(first, second)


@pytest.mark.parametrize("method", ["sdarts_rs", "sdarts_adv"])
def test_sdarts_anneals_the_published_radii(method: str) -> None:
    with composed("search", f"method={method}") as cfg:
        (schedule,) = cfg.method.callbacks
        anneal = Anneal(schedule.path, schedule.start, schedule.end, inclusive=schedule.inclusive)
    assert [anneal.value(e, 50) for e in range(50)] == pytest.approx([0.03 + (0.3 - 0.03) * e / 50 for e in range(50)])
    assert anneal.path == "perturbation.eps"
