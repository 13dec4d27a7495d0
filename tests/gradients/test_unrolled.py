"""Tests of the unrolled architecture gradient against forward-mode derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, jvp
from torch.optim import SGD

from nas.architecture.cell import EdgeWeights
from nas.gradients.base import Batch, BilevelStep
from nas.gradients.first_order import FirstOrder
from nas.gradients.unrolled import Unrolled
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.search_tools import weight_step

SPACES: dict[str, Callable[[], Space]] = {
    "darts": lambda: Darts((1, 6, 6), 3, channels=2, layers=3),
    "nas_bench_201": lambda: NasBench201((1, 8, 8), 3, channels=3, cells_per_stage=1),
}


OPTIMIZERS: dict[str, tuple[float, ...]] = {
    # momentum, decay, learning rates of the parameter groups
    "plain": (0.0, 0.0, 0.1),
    "momentum": (0.9, 0.03, 0.1),
    "groups": (0.9, 0.03, 0.05, 0.1),
    "frozen_group": (0.0, 0.03, 0.0, 0.1),
}


class Bilevel:
    """A small search in double precision, with an independent implementation of its loss."""

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
        """Return the validation loss after one step of the weights."""
        weights = {name: p.detach() for name, p in self.weights.items()}
        gradient = grad(lambda w: self.loss(w, alphas, self.train))(weights)
        moved = {}
        for name, p in weights.items():
            state = self.optimizer.state[self.weights[name]]
            buffer = state["momentum_buffer"] if self.momentum else torch.zeros_like(p)
            moved[name] = p - self.rates[name] * (self.momentum * buffer + gradient[name] + self.decay * p)
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
def test_unrolled_gradient_matches_forward_mode(space: str, optimizer: str) -> None:
    """Compare with forward-mode derivatives of the bilevel loss along random directions."""
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
        assert abs(got["first"] - truth) > 0.05 * abs(truth), "the two orders are too close to be distinguished"
