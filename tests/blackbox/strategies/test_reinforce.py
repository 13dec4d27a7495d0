"""REINFORCE against autograd and the exact gradient of the expected value."""

from __future__ import annotations

import math
import random

import pytest
import torch

from nas.architecture.cell import Genotype
from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.strategies.reinforce import ReinforceStrategy
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.query_tools import CHOOSING, SmallSpace, all_genotypes, value_of

NB201 = NasBench201((3, 32, 32), 10)


def test_reinforce_step_equals_autograd() -> None:
    rng = random.Random(0)
    strategy = ReinforceStrategy(NB201, lr=0.05, momentum=0.9)
    first = strategy.ask(rng)
    assert first is not None
    strategy.tell(first, -math.inf)
    logits = torch.nn.Parameter(strategy.logits.detach().clone())
    adam = torch.optim.Adam([logits], lr=0.05)
    rewards: list[float] = []
    ops = NB201.cells["cell"].ops
    for step in range(30):
        genotype = strategy.ask(rng) if step else strategy.ask(random.Random(5))
        rewards.append(value_of(genotype))
        weights = [0.1 * 0.9**k for k in range(len(rewards))]
        baseline = sum(w * r for w, r in zip(weights, reversed(rewards), strict=True)) / (1 - 0.9 ** len(rewards))
        actions = torch.tensor([ops.index(link.op) for link in genotype.cells["cell"].links])
        loss = (-torch.distributions.Categorical(logits=logits).log_prob(actions) * (rewards[-1] - baseline)).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        strategy.tell(genotype, rewards[-1])
        torch.testing.assert_close(strategy.logits, logits, rtol=1e-4, atol=1e-6)
    assert float(strategy.logits.detach().abs().max()) > 0.1


def test_reinforce_gradient_is_that_of_the_expected_value() -> None:
    """Check sum p(g) gradient(g, value) = - d E[value] / d logits over all genotypes, by autograd in float64."""
    space = SmallSpace(CHOOSING)
    strategy = ReinforceStrategy(space, init_std=1.0)
    rng = random.Random(0)
    strategy.ask(rng)
    strategy.logits = torch.nn.Parameter(strategy.logits.detach().double())
    encoding = strategy.encoding
    logits = strategy.logits.detach().clone().requires_grad_()
    table = logits.masked_fill(strategy.invalid, -torch.inf).log_softmax(dim=1)
    estimate, expected = torch.zeros_like(logits), torch.zeros((), dtype=torch.float64)
    total, genotypes = 0.0, all_genotypes(space)
    for genotype in genotypes:
        chosen = _choices_of(encoding, genotype)
        log_p = torch.stack([table[i, choice] for i, choice in chosen.items()]).sum()
        strategy.details = chosen
        estimate += float(log_p.detach().exp()) * strategy.gradient(value_of(genotype))
        expected = expected + log_p.exp() * value_of(genotype)
        total += float(log_p.detach().exp())
    assert math.isclose(total, 1.0, rel_tol=1e-12)
    (exact,) = torch.autograd.grad(-expected, logits)
    torch.testing.assert_close(estimate, exact, rtol=1e-9, atol=1e-9)


def _choices_of(encoding: CategoricalEncoding, wanted: Genotype) -> dict[int, int]:
    """Find the choices of a genotype by trial."""
    rng = random.Random(repr(wanted))
    while True:
        chosen: dict[int, int] = {}
        if encoding.decode(lambda i: chosen.setdefault(i, rng.randrange(encoding.decisions[i].size))) == wanted:  # noqa: B023
            return chosen


def test_reinforce_learns_and_ignores_values_that_are_not_finite() -> None:
    strategy, rng = ReinforceStrategy(NB201, lr=0.1), random.Random(0)
    for _ in range(400):
        genotype = strategy.ask(rng)
        strategy.tell(genotype, float(sum(link.op == "nor_conv_3x3" for link in genotype.cells["cell"].links)))
    column = NB201.cells["cell"].ops.index("nor_conv_3x3")
    assert float(strategy.probabilities()[:, column].min()) > 0.9
    before = strategy.logits.detach().clone()
    strategy.tell(strategy.ask(rng), -math.inf)
    assert torch.equal(before, strategy.logits)


@pytest.mark.parametrize(
    "options", [{"lr": 0}, {"momentum": 1.0}, {"init_std": -1.0}], ids=["lr", "momentum", "init_std"]
)
def test_reinforce_refuses_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(NasError, match=f"{next(iter(options))}=.*: use a number"):
        ReinforceStrategy(NB201, **options)
