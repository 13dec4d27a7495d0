"""Tests of REINFORCE on widths: baseline, gradient, samples, and a search step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Architecture, Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.gradients.clipped import Clipped
from nas.gradients.unrolled import Unrolled
from nas.objectives.cost_target import CostTarget
from nas.objectives.reinforce import ReinforceObjective
from nas.objectives.resource_penalty import ResourcePenalty
from nas.relaxations.block_gumbel import BlockCategorical
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.support.compose_tools import tiny
from tests.support.error_tools import run
from tests.support.search_tools import arch_step, weight_step

CELLS = {"cell": Cell(((0, 1), (1, 2)), ("2", "4", "8"), (2,))}
ROWS = (0, 0, 1)
ALPHA = torch.tensor([[0.3, 1.2, -0.4], [0.0, -1.0, 0.7]], dtype=torch.float64)


def build() -> tuple[BlockCategorical, Masks]:
    torch.manual_seed(0)
    relaxation = BlockCategorical(CELLS, ROWS).double()
    with torch.no_grad():
        relaxation.alpha["cell"].copy_(ALPHA)
    return relaxation, Masks(CELLS)


def one_hot(columns: Sequence[int]) -> Architecture:
    one_hot = F.one_hot(torch.tensor(columns), 3).double()
    return {"cell": EdgeWeights(one_hot, one_hot.bool().tolist())}


def single_rank(tensors: list[Tensor]) -> list[Tensor]:
    return tensors


def test_reinforce_baseline_is_a_corrected_moving_average() -> None:
    reward = ReinforceObjective(momentum=0.95).double()
    means = [10.0, (0.95 * 10 + 40) / 1.95, (0.9025 * 10 + 0.95 * 40 + 25) / 2.8525]
    means.append((0.857375 * 10 + 0.9025 * 40 + 0.95 * 25 + 0) / 3.709875)
    for accuracy, mean in zip([10.0, 40.0, 25.0, 0.0], means, strict=True):
        found = reward.advantage(torch.tensor(accuracy, dtype=torch.float64))
        assert float(found) == pytest.approx(accuracy - mean, abs=1e-12)
    again = ReinforceObjective(momentum=0.95).double()
    again.load_state_dict(reward.state_dict())
    assert float(again.advantage(torch.tensor(7.0))) == float(reward.advantage(torch.tensor(7.0)))


def test_reinforce_gradient_of_a_sample() -> None:
    relaxation, masks = build()
    reward, columns = ReinforceObjective().double(), (1, 2, 0)
    reward.advantage(torch.tensor(30.0))
    loss = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
    value = reward(relaxation, masks, [one_hot(columns)], loss, torch.tensor([50.0]).double(), single_rank)
    assert value.item() == 2.5, "the value is the loss, for the logs"
    (found,) = torch.autograd.grad(value, relaxation.alpha["cell"])
    advantage = 50 - (0.95 * 30 + 50) / 1.95
    scores = F.one_hot(torch.tensor(columns), 3) - ALPHA[list(ROWS)].softmax(-1)
    expected = -advantage * torch.stack([scores[0] + scores[1], scores[2]])  # the stem and the first cell share a row
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_reinforce_expected_gradient() -> None:
    """Average over all 27 samples. The baseline includes the accuracy itself, which scales the gradient down."""
    relaxation, masks = build()
    torch.manual_seed(1)
    table = 100 * torch.rand(3, 3, 3, dtype=torch.float64)
    before = ReinforceObjective().double()
    for accuracy in (20.0, 60.0):
        before.advantage(torch.tensor(accuracy))
    alpha = relaxation.alpha["cell"]
    mean, expected = torch.zeros_like(ALPHA), torch.zeros((), dtype=torch.float64)
    p = alpha[list(ROWS)].softmax(-1)
    for columns in itertools.product(range(3), repeat=3):
        reward = ReinforceObjective().double()
        reward.load_state_dict(before.state_dict())
        loss = torch.zeros((), dtype=torch.float64)
        value = reward(relaxation, masks, [one_hot(columns)], loss, table[columns][None], single_rank)
        probability = p[0, columns[0]] * p[1, columns[1]] * p[2, columns[2]]
        mean += probability.detach() * torch.autograd.grad(value, alpha)[0]
        expected = expected + probability * table[columns]
    (grad,) = torch.autograd.grad(expected, alpha)
    share = 0.05 / (1 - 0.95**3)
    torch.testing.assert_close(mean, -(1 - share) * grad, rtol=1e-10, atol=1e-10)
    assert grad.abs().max() > 1


def test_reinforce_takes_the_mean_over_samples_with_a_common_baseline() -> None:
    """Compare with ProxylessNAS: the baseline moves by 0.99 to the mean of the step before it is subtracted."""
    relaxation, masks = build()
    reward = ReinforceObjective(momentum=0.01, samples=3).double()
    accuracies = torch.tensor([20.0, 35.0, 80.0], dtype=torch.float64)
    columns = [(0, 1, 2), (1, 2, 0), (2, 2, 1)]
    reward.advantage(torch.tensor(10.0, dtype=torch.float64))
    archs = [one_hot(one) for one in columns]
    value = reward(relaxation, masks, archs, torch.zeros((), dtype=torch.float64), accuracies, single_rank)
    (found,) = torch.autograd.grad(value, relaxation.alpha["cell"])
    baseline = 10.0 + 0.99 * (45.0 - 10.0)
    expected = torch.zeros_like(ALPHA)
    for one, accuracy in zip(columns, accuracies, strict=True):
        scores = F.one_hot(torch.tensor(one), 3) - ALPHA[list(ROWS)].softmax(-1)
        expected -= (accuracy - baseline) / 3 * torch.stack([scores[0] + scores[1], scores[2]])
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)  # the bias correction changes 10.0 by 0.01 %
    assert found.abs().max() > 1


def test_reinforce_averages_the_reward_over_ranks() -> None:
    """Two ranks with accuracies 20 and 60 take the same step as one rank with accuracy 40."""
    found = []
    for accuracies in ((20.0, 60.0), (60.0, 20.0), (40.0, 40.0)):
        relaxation, masks = build()
        reward, others = ReinforceObjective(), [10.0, accuracies[1]]
        for mine in (10.0, accuracies[0]):
            other = others.pop(0)
            mean = lambda tensors, other=other: [(t + other) / 2 for t in tensors]  # noqa: E731
            value = reward(relaxation, masks, [one_hot((0, 1, 2))], torch.zeros(()), torch.tensor([mine]), mean)
        found.append(torch.autograd.grad(value, relaxation.alpha["cell"])[0])
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2]) and found[0].abs().max() > 1


def test_block_categorical_samples_blocks_independently() -> None:
    relaxation, masks = build()
    found = [relaxation.sample(masks)["cell"] for _ in range(4000)]
    samples = torch.stack([weights.op for weights in found])
    assert torch.equal(samples, F.one_hot(samples.argmax(-1), 3).double()) and not samples.requires_grad
    assert [weights.op.bool().tolist() for weights in found] == [weights.active for weights in found]
    p = ALPHA.softmax(-1)
    assert (samples.mean(0) - p[list(ROWS)]).abs().max() < 0.03  # 4 standard errors
    both = torch.einsum("ni,nj->ij", samples[:, 0], samples[:, 1]) / 4000
    assert (both - p[0][:, None] * p[0]).abs().max() < 0.03, "blocks that share a row are independent"


def test_block_categorical_never_samples_masked_ops() -> None:
    relaxation, masks = build()
    masks.restrict("cell", torch.tensor([[False, True, False], [True, False, True]]))
    arch = {tuple(map(tuple, relaxation.sample(masks)["cell"].active)) for _ in range(100)}
    one, first, last = (False, True, False), (True, False, False), (False, False, True)
    assert arch == {(one, one, first), (one, one, last)}
    value = relaxation.log_prob(one_hot((1, 1, 2)), masks)
    (grad,) = torch.autograd.grad(value, relaxation.alpha["cell"])
    assert float(value.detach()) == pytest.approx(float(torch.tensor(0.7).sigmoid().log()), rel=1e-6)
    assert torch.isfinite(grad).all() and (grad[0] == 0).all() and grad[1, 1] == 0


def test_block_categorical_repeats_samples_from_state_dict() -> None:
    (relaxation, masks), (other, _) = build(), build()
    for _ in range(5):
        relaxation.sample(masks)
    other.load_state_dict(relaxation.state_dict())
    first = [relaxation.sample(masks)["cell"].active for _ in range(10)]
    assert first == [other.sample(masks)["cell"].active for _ in range(10)] and len({str(a) for a in first}) > 1


def build_search(monkeypatch: pytest.MonkeyPatch) -> GradientSearch:
    torch.manual_seed(0)
    search = GradientSearch(
        NatsSize((3, 8, 8), 4, (2, 3, 5, 8)),
        lambda cells: BlockCategorical(cells, (0, 0, 1, 2, 3, 4), init_std=1.0),
        weight_step(),
        arch_step(reward=ReinforceObjective()),
    )
    monkeypatch.setattr(search, "log_dict", lambda *args, **options: None)
    return search


def test_reinforce_search_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare with the closed form, at the accuracy of a network whose features are cut to the sampled widths."""
    search = build_search(monkeypatch)
    assert search.reward is not None
    torch.manual_seed(2)
    batches = [(torch.randn(8, 3, 8, 8), torch.randint(4, (8,))) for _ in range(2)]
    optimizer: Any = torch.optim.SGD(search.relaxation.parameters(), 0.1)
    optimizer.optimizer = optimizer
    accuracies = []
    for number, batch in enumerate(batches):
        seen: list[Architecture] = []
        search.observers = [lambda found, seen=seen: seen.append(found.arch)]
        before = search.relaxation.alpha["cell"].detach().clone()
        search.train_architecture({"train": batch, "val": batch}, [None, optimizer])
        moved = search.relaxation.alpha["cell"].detach() - before
        chosen = [row.index(True) for row in seen[0]["cell"].active]
        accuracies.append(accuracy_of_widths(search, batch, [(2, 3, 5, 8)[c] for c in chosen]))
        assert float(search.reward.weight) == pytest.approx(1 - 0.95 ** (number + 1))
        past = sum(0.95 ** (number - i) * a for i, a in enumerate(accuracies))
        advantage = accuracies[-1] - past / sum(0.95**i for i in range(number + 1))
        scores = F.one_hot(torch.tensor(chosen), 4) - before[[0, 0, 1, 2, 3, 4]].softmax(-1)
        by_row = torch.stack([scores[0] + scores[1], *scores[2:]])
        torch.testing.assert_close(moved, 0.1 * advantage * by_row, rtol=1e-4, atol=1e-4)
    assert accuracies[0] != accuracies[1], "otherwise the second step would be zero"


def accuracy_of_widths(search: GradientSearch, batch: tuple[Tensor, Tensor], widths: list[int]) -> float:
    """Return the accuracy in percent of a network in which each block outputs its first channels only."""
    net: Any = search.supernet
    x = batch[0]
    with torch.no_grad():
        for module, width in zip([net.stem, *net.cells], widths, strict=True):
            x = module(x)
            x[:, width:] = 0
        logits = net.classifier(net.lastact(x).mean((2, 3)))
    return 100 * sum(int(row.argmax()) == int(y) for row, y in zip(logits, batch[1], strict=True)) / len(batch[1])


def test_reinforce_warmup_updates_the_baseline_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moving average is updated during the warm-up, as in AutoDL-Projects."""
    search = build_search(monkeypatch)
    optimizer: Any = torch.optim.Adam(search.relaxation.parameters(), 0.1)
    optimizer.optimizer = optimizer
    before = search.relaxation.alpha["cell"].detach().clone()
    batch = torch.randn(8, 3, 8, 8), torch.randint(4, (8,))
    search.train_architecture({"train": batch, "val": batch}, [None, optimizer], update=False)
    assert torch.equal(before, search.relaxation.alpha["cell"]) and not optimizer.state
    assert search.reward is not None and float(search.reward.weight) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        ({"reward": None}, "method.arch_step.reward=null: samples of BlockCategorical have no gradient"),
        ({"optimizer": None}, "there are no architecture steps"),
        ({"per_batch": False}, "there are no architecture steps"),
        ({"gradient": Unrolled()}, "no second-order gradient"),
        ({"gradient": Clipped(1.0, Unrolled())}, "no second-order gradient"),
        ({"resource": ResourcePenalty}, "BlockCategorical samples 6 blocks"),
        ({"resource": ResourcePenalty, "optimizer": None, "reward": None}, "no architecture parameters are trained"),
        ({"resource": ResourcePenalty, "per_batch": False, "reward": None}, "no loss trains alpha"),
        ({"cost_target": CostTarget("macs", 1e6), "per_batch": False, "reward": None}, "no loss trains alpha"),
        ({"relaxation": Softmax}, "Softmax has no log_prob"),
    ],
)
def test_gradient_search_refuses_contradictory_arch_steps(options: dict[str, Any], phrase: str) -> None:
    space = NatsSize((3, 8, 8), 4, (2, 3, 5, 8))

    def build(relaxation: Any = None, **more: Any) -> GradientSearch:
        relaxation = relaxation or (lambda cells: BlockCategorical(cells, (0, 0, 1, 2, 3, 4)))
        return GradientSearch(space, relaxation, weight_step(), arch_step(**{"reward": ReinforceObjective(), **more}))

    build()
    build(gradient=Clipped(1.0))
    build(reward=None, optimizer=None)
    with pytest.raises(NasError, match=phrase):
        build(**options)


def test_mask_rl_refuses_a_missing_reward(tmp_path: Path) -> None:
    option = "method.arch_step.reward=null"
    run("search", *tiny("mask_rl"), option, f"hydra.run.dir={tmp_path}/r").refused(option)


def test_mask_rl_refuses_bad_options_and_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NasError, match="has 2 rows"):
        BlockCategorical(CELLS, [0, 2])
    with pytest.raises(NasError, match="momentum=1.0: use a number from 0 to below 1"):
        ReinforceObjective(momentum=1.0)
    soft = Softmax(CELLS)
    with pytest.raises(NasError, match="Softmax has no log_prob"):
        ReinforceObjective()(
            soft, Masks(CELLS), soft.sample(Masks(CELLS)), torch.zeros(()), torch.zeros(()), single_rank
        )
    for space in ("nas_bench_201", "darts"):
        run("search", "method=mask_rl", f"space={space}").refused("space.mix=mask", space)
    run("search", "method=mask_rl", "space=nats_size", "space.mix=interpolate").refused("space.mix=mask")
