"""The mathematics of the searches, against truths computed in another way."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor
from torch.distributions import Dirichlet as Reference
from torch.distributions import kl_divergence
from torch.func import functional_call, grad, jvp
from torch.optim import SGD

from nas.architecture.cell import Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.gradients.base import Batch, BilevelStep
from nas.gradients.first_order import FirstOrder
from nas.gradients.unrolled import Unrolled
from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.ops import OpOptions
from nas.relaxations.dirichlet import Dirichlet, dirichlet_kl, sample_dirichlet
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.relaxations.uniform import Uniform
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import OPS
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.search_tools import weight_step

LEAST_P = 1e-4  # of a true hypothesis; seeds are fixed, so a test that passes goes on passing


# The unrolled gradient.

SPACES: dict[str, Callable[[], Space]] = {
    "darts": lambda: Darts((1, 6, 6), 3, channels=2, layers=3),
    "nas_bench_201": lambda: NasBench201((1, 8, 8), 3, channels=3, cells_per_stage=1),
}
OPTIMIZERS: dict[str, tuple[float, ...]] = {
    # momentum, decay, and the learning rates of the groups
    "plain": (0.0, 0.0, 0.1),
    "momentum": (0.9, 0.03, 0.1),
    "groups": (0.9, 0.03, 0.05, 0.1),
    "still_group": (0.0, 0.03, 0.0, 0.1),
}


class Bilevel:
    """A small search in double precision, and the same loss written a second time."""

    def __init__(self, space: Space, momentum: float, decay: float, *rates: float) -> None:
        torch.manual_seed(0)
        self.search = GradientSearch(space, Softmax, weight_step()).double()
        for alpha in self.search.relaxation.parameters():
            alpha.data = torch.randn_like(alpha)
        self.weights = dict(self.search.supernet.named_parameters())
        self.alphas = {name: alpha.detach() for name, alpha in self.search.relaxation.alpha.items()}
        self.buffers = {name: buffer.clone() for name, buffer in self.search.supernet.named_buffers()}
        self.rates = {name: rates[i % len(rates)] for i, name in enumerate(self.weights)}
        groups = [{"params": [self.weights[n] for n in self.weights if self.rates[n] == r], "lr": r} for r in rates]
        self.decay, self.momentum = decay, momentum
        self.optimizer = SGD(groups, momentum=momentum, weight_decay=decay, nesterov=momentum > 0)
        for _ in range(2):
            for p in self.weights.values():
                p.grad = 0.02 * torch.randn_like(p)
            self.optimizer.step()
        self.train, self.val = ((torch.randn(5, *space.shape).double(), torch.arange(5) % 3) for _ in range(2))

    def loss(self, weights: Mapping[str, Tensor], alphas: Mapping[str, Tensor], batch: Batch) -> Tensor:
        arch = {name: EdgeWeights(a.softmax(-1), self.search.masks.lists(name)) for name, a in alphas.items()}
        buffers = {name: buffer.clone() for name, buffer in self.buffers.items()}
        logits = functional_call(self.search.supernet, {**weights, **buffers}, (batch[0], arch))
        return F.cross_entropy(logits, batch[1])

    def ahead(self, alphas: Mapping[str, Tensor]) -> Tensor:
        """The validation loss after one step of the weights."""
        weights = {name: p.detach() for name, p in self.weights.items()}
        slopes = grad(lambda w: self.loss(w, alphas, self.train))(weights)
        moved = {}
        for name, p in weights.items():
            state = self.optimizer.state[self.weights[name]]
            buffer = state["momentum_buffer"] if self.momentum else torch.zeros_like(p)
            moved[name] = p - self.rates[name] * (self.momentum * buffer + slopes[name] + self.decay * p)
        return self.loss(moved, alphas, self.val)

    def gradient(self, rule: FirstOrder | Unrolled) -> dict[str, Tensor]:
        alphas = list(self.search.relaxation.parameters())
        before = [p.detach().clone() for p in self.weights.values()]
        step = BilevelStep(
            self.search.loss, alphas, self.weights, self.train, self.val, self.optimizer, lambda tensors: tensors
        )
        found = rule(step)
        assert all(torch.equal(p, old) for p, old in zip(self.weights.values(), before, strict=True))
        return dict(zip(self.alphas, found, strict=True))


@pytest.mark.parametrize(("space", "optimizer"), [("darts", "momentum")] + [("nas_bench_201", o) for o in OPTIMIZERS])
def test_unrolled_gradient_is_that_of_the_loss_one_step_ahead(space: str, optimizer: str) -> None:
    """Against forward-mode derivatives, along random directions, of the written-out bilevel loss."""
    bilevel = Bilevel(SPACES[space](), *OPTIMIZERS[optimizer])
    found = {
        "exact": bilevel.gradient(Unrolled(exact=True)),
        "difference": bilevel.gradient(Unrolled(radius=1e-6)),
        "first": bilevel.gradient(FirstOrder()),
    }
    for name, alpha in bilevel.alphas.items():
        direction = {n: torch.zeros_like(a) for n, a in bilevel.alphas.items()} | {name: torch.randn_like(alpha)}
        _, truth = jvp(bilevel.ahead, (bilevel.alphas,), (direction,))
        got = {rule: (grads[name] * direction[name]).sum() for rule, grads in found.items()}
        torch.testing.assert_close(got["exact"], truth, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(got["difference"], truth, rtol=1e-5, atol=1e-9)
        assert abs(got["first"] - truth) > 0.05 * abs(truth), "this case could not tell the two orders apart"


# Dirichlet.


def within_error(samples: Tensor, truth: Tensor) -> None:
    """The mean of ``samples`` [draws, ...] is the truth, within five standard errors that are small enough to tell."""
    error = samples.std(0) / len(samples) ** 0.5
    assert (error < 0.05 * (truth.abs() + 0.1)).all()
    assert ((samples.mean(0) - truth).abs() < 5 * error).all()


def test_dirichlet_divergence_from_uniform() -> None:
    torch.manual_seed(1)
    concentration = F.elu(2 * torch.randn(6, 5, dtype=torch.float64)) + 1
    uniform = Reference(torch.ones_like(concentration))
    torch.testing.assert_close(dirichlet_kl(concentration), kl_divergence(Reference(concentration), uniform))
    draws = Reference(concentration).sample((100_000,))
    within_error(Reference(concentration).log_prob(draws) - uniform.log_prob(draws), dirichlet_kl(concentration))


def test_dirichlet_gradient_is_that_of_closed_expectations() -> None:
    base = torch.tensor([0.4, 1.0, 2.5, 0.8], dtype=torch.float64)
    moments: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
        "mean": (lambda x: x, lambda b: b / b.sum()),
        "square": (lambda x: x**2, lambda b: b * (b + 1) / (b.sum() * (b.sum() + 1))),
        "log": (lambda x: x.log(), lambda b: b.digamma() - b.sum().digamma()),
        "product": (lambda x: x * x.roll(1, -1), lambda b: b * b.roll(1) / (b.sum() * (b.sum() + 1))),
    }
    generator = torch.Generator().manual_seed(0)
    for value, expectation in moments.values():
        concentration = base.expand(200_000, 4).clone().requires_grad_()
        found = value(sample_dirichlet(concentration, generator))
        within_error(found.detach(), expectation(base))
        truth = torch.autograd.functional.jacobian(expectation, base)
        for i in range(4):
            (slope,) = torch.autograd.grad(found[:, i].sum(), concentration, retain_graph=True)
            within_error(slope, truth[i])


def test_dirichlet_regularizers() -> None:
    cells = {"a": Cell(((0, 1), (0, 2)), ("x", "y", "z"), (2,))}
    for regularizer in ("l2", "kl"):
        relaxation = Dirichlet(cells, regularizer, reg_scale=0.3, init_std=1.0).double()
        alpha = relaxation.alpha["a"]
        (found,) = torch.autograd.grad(relaxation.penalty(), alpha)
        if regularizer == "l2":
            torch.testing.assert_close(found, 0.3 * alpha.detach())
            continue
        concentration = F.elu(alpha) + 1
        divergence = kl_divergence(Reference(concentration), Reference(torch.ones_like(concentration)))
        torch.testing.assert_close(found, torch.autograd.grad(0.3 * divergence.sum(), alpha)[0])


def test_masked_dirichlet_has_the_law_of_the_entries_that_are_left() -> None:
    torch.manual_seed(3)
    alpha, mask = torch.tensor([0.7, -0.9, 1.5, 0.2, -0.3]), torch.tensor([True, False, True, True, False])
    relaxation = Dirichlet({"a": Cell(((0, 1),), OPS, (1,))}).double()
    draws, column = relaxation.relax(alpha.double().expand(50_000, 5), mask.expand(50_000, 5))
    assert column is None and (draws[:, ~mask] == 0).all()
    left = draws[:, mask]
    torch.testing.assert_close(left.sum(-1), torch.ones_like(left[:, 0]))
    law = Reference((F.elu(alpha) + 1)[mask].double())
    within_error(left, law.mean)
    within_error((left - law.mean) ** 2, law.variance)
    within_error(
        left[:, 0] * left[:, 1], law.mean[0] * law.mean[1] * law.concentration.sum() / (law.concentration.sum() + 1)
    )
    for i, b in enumerate(law.concentration.tolist()):
        marginal = stats.beta(b, float(law.concentration.sum()) - b)
        assert stats.kstest(left[:, i].numpy(), marginal.cdf).pvalue > LEAST_P


# Gumbel.


def gumbel(hard: bool, tau: float) -> Gumbel:
    torch.manual_seed(4)
    return Gumbel({"a": Cell(((0, 1),), OPS, (1,))}, hard=hard, tau=tau)


@pytest.mark.parametrize("tau", [0.1, 10.0])
def test_gumbel_draws_by_softmax_and_is_one_hot(tau: float) -> None:
    alpha, mask = torch.tensor([0.5, -1.0, 1.2, 0.0, 0.3]), torch.tensor([True, True, True, False, True])
    weights, column = gumbel(True, tau).relax(alpha.expand(40_000, 5), mask.expand(40_000, 5))
    assert column is not None and torch.equal(weights, F.one_hot(column, 5).float())
    counts = column.bincount(minlength=5).double()
    expected = alpha.double().masked_fill(~mask, -torch.inf).softmax(-1) * len(column)
    assert counts[3] == 0
    assert stats.chisquare(counts[mask].numpy(), expected[mask].numpy()).pvalue > LEAST_P


@pytest.mark.parametrize("hard", [True, False])
def test_gumbel_gradient_is_that_of_the_soft_weights(hard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    tau, alpha, slope, noise = 0.7, *torch.randn(3, 4, 5, dtype=torch.float64)
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[1, 2] = mask[3, :3] = False
    relaxation = gumbel(hard, tau)
    monkeypatch.setattr(relaxation, "noise", lambda alpha: noise)
    leaf = alpha.clone().requires_grad_()
    (found,) = torch.autograd.grad(relaxation.relax(leaf, mask)[0], leaf, slope)
    for row in range(4):
        p, q = torch.zeros(5).double(), torch.zeros(5).double()
        kept = mask[row].nonzero().flatten()
        q[kept] = alpha[row, kept].exp() / alpha[row, kept].exp().sum()
        unscaled = ((q[kept].log() + noise[row, kept]) / tau).exp()
        p[kept] = unscaled / unscaled.sum()
        logits = p * (slope[row] - (p * slope[row]).sum()) / tau  # through softmax
        torch.testing.assert_close(found[row], logits - q * logits.sum())  # through log softmax


def test_soft_gumbel_has_the_concrete_density() -> None:
    """Of two ops, the logit of the first weight is logistic around (a - b) / tau with scale 1 / tau."""
    alpha, tau = torch.tensor([0.4, -0.5], dtype=torch.float64), 2.0
    mask = torch.ones(50_000, 2, dtype=torch.bool)
    weights, column = gumbel(False, tau).relax(alpha.expand(50_000, 2), mask)
    assert column is None
    logit = (weights[:, 0].log() - weights[:, 1].log()).numpy()
    assert stats.kstest(logit, stats.logistic(float(alpha[0] - alpha[1]) / tau, 1 / tau).cdf).pvalue > LEAST_P


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("chosen", ["none", "skip_connect", "nor_conv_3x3"])
@pytest.mark.parametrize("stride", [1, 2])
def test_gradient_of_the_weights_of_ops_not_executed(published: bool, chosen: str, stride: int) -> None:
    """GDAS' published code gives them the gradient of an op that is constantly 1, the clean edge none."""
    torch.manual_seed(6)
    edge = MixedEdge(OPS, 4, stride, OpOptions(), add_inactive=published)
    x = torch.randn(2, 4, 5, 6)
    weights = F.one_hot(torch.tensor(OPS.index(chosen)), len(OPS)).float().requires_grad_()
    out = edge(x, EdgeRow(weights.unbind(0), [op == chosen for op in OPS], None))
    value = torch.zeros_like(x)[:, :, ::stride, ::stride] if chosen == "none" else edge[chosen](x).detach()
    if out is None:
        assert chosen == "none" and not published
        return
    assert torch.equal(out, value)
    slope = torch.randn_like(out)
    (found,) = torch.autograd.grad(out, weights, slope, allow_unused=True)
    expected = torch.full_like(weights, float(slope.sum()) if published else 0.0)
    expected[OPS.index(chosen)] = (slope * value).sum()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


# Uniform.


@pytest.mark.parametrize("inputs", [None, 2])
def test_every_genotype_is_equally_likely(inputs: int | None) -> None:
    """Two nodes with two and three edges, two ops: 32 genotypes, or 48 where the second keeps two of its edges."""
    torch.manual_seed(7)
    cell = Cell(((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), ("none", "a", "b"), (3,), inputs=inputs)
    relaxation, masks = Uniform({"cell": cell}), Masks({"cell": cell})
    seen: dict[str, int] = {}
    for _ in range(6000):
        weights = relaxation.sample(masks)["cell"]
        assert weights.op.tolist() == weights.active
        seen[str(weights.active)] = seen.get(str(weights.active), 0) + 1
    assert len(seen) == (32 if inputs is None else 48)
    assert stats.chisquare(list(seen.values())).pvalue > LEAST_P
