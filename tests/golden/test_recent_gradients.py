"""Golden tests of recent gradient estimators: ReinMax, iDARTS and GM-NAS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.optim import SGD

from nas.gradients.base import BilevelStep
from nas.gradients.implicit import Implicit
from nas.gradients.matching import divide, gradient_distances
from nas.relaxations.base import masked_softmax
from nas.relaxations.reinmax import reinmax
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden, assert_golden
from tests.support.recent_golden import DOUBLE, batch_of, nas_bench_201, same

pytestmark = pytest.mark.data


def test_reinmax_matches_reinmax(golden: Callable[[str], Golden]) -> None:
    stored = golden("reinmax_nb201")
    compare = Comparison(stored)
    for dtype in (torch.float32, DOUBLE):
        logits = stored.tensor("logits", dtype).requires_grad_()
        mask = torch.ones_like(logits, dtype=torch.bool)
        one_hot = F.one_hot(stored.tensor("index"), logits.shape[1]).to(dtype)
        found, both = [], []
        for tau in stored.arrays["taus"]:
            hard, soft = reinmax(logits, mask, one_hot, float(tau)), masked_softmax(logits, mask)
            upstream = stored.tensor("upstream_sample", dtype)
            found.append(torch.autograd.grad(hard, logits, upstream)[0])
            of_soft = torch.autograd.grad(soft, logits, stored.tensor("upstream_soft", dtype))[0]
            both.append(found[-1] + of_soft)
        if dtype == torch.float32:
            compare.equal("hard", hard)
            compare.equal("soft", soft)
            compare.equal("grad", torch.stack(found))
            compare.equal("grad_both", torch.stack(both))
        else:
            compare.equal("grad_64", torch.stack(found))
    logits = stored.tensor("logits").requires_grad_()
    quadratic, linear = stored.tensor("Q"), stored.tensor("b")
    p = logits.softmax(-1)
    mean = torch.zeros_like(p)
    for column in range(p.shape[1]):
        one_hot = F.one_hot(torch.full((len(p),), column), p.shape[1]).float()
        v = reinmax(logits, mask, one_hot, 1.0)
        (grad,) = torch.autograd.grad(((v @ quadratic) * v).sum() + (v @ linear).sum(), logits)
        mean += p.detach()[:, column, None] * grad
    values = quadratic.diagonal() + linear  # of the function at each one-hot vector
    (exact,) = torch.autograd.grad((p @ values).sum(), logits)
    compare.equal("mean_quadratic", mean)
    compare.equal("true_quadratic", exact)
    compare.finish()


@pytest.mark.parametrize("radius", [True, False])
def test_implicit_gradient_matches_idarts(golden: Callable[[str], Golden], radius: bool) -> None:
    stored = golden("idarts_nb201")
    gamma, r = float(stored.arrays["gamma"]), float(stored.arrays["r"])
    search = nas_bench_201(stored, DOUBLE)
    weights = dict(search.supernet.named_parameters())
    before = [p.detach().clone() for p in weights.values()]
    batches = [batch_of(stored, DOUBLE, f"_{half}") for half in ("train", "val")]
    alphas = [search.relaxation.alpha["cell"]]
    step = BilevelStep(search.loss, alphas, weights, *batches, SGD(weights.values(), gamma), same)
    if radius:
        (found,) = Implicit(order=stored.entry["constructor"]["terms"] - 1, radius=r)(step)
        assert_golden(stored, "hypergradient_64", found)
        (direct,) = torch.autograd.grad(search.loss(batches[1], weights), alphas)
        assert_golden(stored, "direct_grad", direct.float())
        torch.testing.assert_close((direct - found) / gamma, stored.tensor("implicit_grad_64"), rtol=1e-6, atol=1e-6)
    else:
        exact = torch.stack([Implicit(order=k)(step)[0] for k in range(len(stored.arrays["hypergradient_exact64"]))])
        assert_golden(stored, "hypergradient_exact64", exact)
    assert all(torch.equal(old, new) for old, new in zip(before, weights.values(), strict=True))


def test_gradient_matching_matches_gm_nas(golden: Callable[[str], Golden]) -> None:
    stored = golden("gm_split_nb201")
    compare = Comparison(stored)
    grads = [stored.tensor(f"grad/{i}") for i in range(int(stored.arrays["n_params"]))]
    found = {name: gradient_distances(grads, name) for name in ("cosine", "per_filter", "squared")}  # type: ignore[arg-type]
    for ours, theirs in (("cosine", "cos"), ("per_filter", "per_filter_cos"), ("squared", "mse")):
        compare.equal(f"distance_{theirs}", found[ours])
    division = divide(found["cosine"], "cut")
    compare.equal("group", np.array([int(op in division.second) for op in range(len(grads[0]))]))
    compare.equal("score", np.float32(division.score))
    compare.finish()
