"""Tests of the noisy and the auxiliary skip connection."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from nas.callbacks.schedules.anneal import Anneal
from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.edges.skips import AuxiliarySkip, NoisySkip, skip_noise
from nas.nn.ops import FactorizedReduce, OpOptions
from nas.utils.errors import NasError
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden

OPS = ("none", "skip_connect", "nor_conv_3x3", "avg_pool_3x3")


def row(weights: list[float], scale: float | None = None) -> EdgeRow:
    return EdgeRow(
        torch.tensor(weights).unbind(0), [w != 0 for w in weights], None if scale is None else torch.tensor(scale)
    )


@pytest.mark.data
def test_skip_noise_equals_the_published_code(golden: Callable[[str], Golden], monkeypatch: pytest.MonkeyPatch) -> None:
    stored = golden("noise_op")
    compare = Comparison(stored)
    outputs: list[Tensor] = []
    grads: list[Tensor] = []
    deviations: list[float] = []
    for i, case in enumerate(stored.entry["constructor"]["configurations"]):
        x, u, n = stored.tensor("x").requires_grad_(), stored.tensor("u")[i], stored.tensor("n")[i]
        monkeypatch.setattr(torch, "rand_like", lambda x, u=u: u)
        monkeypatch.setattr(torch, "randn_like", lambda x, n=n: n)
        schedule = Anneal("decay", 1.0, 0.0, "cosine", inclusive=False)
        decay = schedule.value(case["step"], 50) if case["decay"] else 1.0
        out = skip_noise(x, case["type"], case["mix"], case["factor"], case["mean"], decay)
        outputs.append(out.detach())
        grads.append(torch.autograd.grad((out * u).sum(), x)[0])
        # Unit noise adds exactly the standard deviation.
        monkeypatch.setattr(torch, "randn_like", torch.ones_like)
        unit = skip_noise(x.detach(), case["type"], case["mix"], case["factor"])
        added = unit - x if case["mix"] == "additive" else unit / x
        deviations.append(-1.0 if case["type"] == "uniform" else float(added.detach().mean()))
    compare.equal("out", torch.stack(outputs))
    compare.equal("grad_x", torch.stack(grads))
    compare.equal("std", np.array(deviations, dtype=np.float32))
    compare.finish()


@pytest.mark.parametrize("mean", [0.0, 0.5])
@pytest.mark.parametrize("mode", ["additive", "multiplicative"])
@pytest.mark.parametrize("distribution", ["gaussian", "uniform"])
def test_skip_noise_has_its_distribution(distribution: Any, mode: Any, mean: float) -> None:
    """Added Gaussian noise scales with the standard deviation of x. Uniform noise has a fixed variance."""
    torch.manual_seed(0)
    x = 3 * torch.randn(40_000, dtype=torch.float64) + 5
    out = skip_noise(x, distribution, mode, scale=0.2, mean=mean)
    noise = (out - x if mode == "additive" else out / x).numpy()
    if distribution == "uniform":
        width = math.sqrt(3 * 0.2)
        reference = stats.uniform(mean - width, 2 * width)
    else:
        reference = stats.norm(mean, 0.2 * float(x.std()) if mode == "additive" else 0.2)
    assert stats.kstest(noise, reference.cdf).pvalue > 1e-3


@pytest.mark.parametrize("stride", [1, 2])
def test_noisy_skip_adds_noise_to_the_skip_in_training_only(stride: int) -> None:
    torch.manual_seed(0)
    noisy = NoisySkip(OPS, 4, stride, OpOptions(affine=False))
    plain = MixedEdge(OPS, 4, stride, OpOptions(affine=False))
    plain.load_state_dict(noisy.state_dict())
    x = torch.randn(5, 4, 6, 6)
    weights, without = row([0.1, 0.4, 0.3, 0.2]), row([0.1, 0.0, 0.3, 0.2])
    kept = x.clone()
    first, second = noisy(x, weights), noisy(x, weights)
    assert not torch.equal(first, second) and torch.equal(x, kept), "each call has new noise; x is unchanged"
    assert torch.equal(noisy(x, without), plain(x, without))
    with torch.no_grad():
        assert torch.equal(noisy(x, weights), plain(x, weights))
    plain.load_state_dict(noisy.state_dict())
    assert torch.equal(noisy.eval()(x, weights), plain.eval()(x, weights))


def test_noisy_skip_applies_drop_path() -> None:
    """Without drop path the noise preserves the mean. Drop path zeroes whole samples and scales the others."""
    torch.manual_seed(0)
    x = torch.randn(20_000, 1, 2, 2) + 2
    noisy = NoisySkip(("skip_connect",), 1, 1, OpOptions(), drop_path_prob=0.0)
    assert abs(float((noisy(x, row([1.0])) - x).mean())) < 4 * 0.2 * float(x.std()) / math.sqrt(x.numel())
    out = NoisySkip(("skip_connect",), 1, 1, OpOptions(), scale=0.0, drop_path_prob=0.3)(x, row([1.0]))
    dropped = (out == 0).flatten(1).all(1)
    assert abs(float(dropped.float().mean()) - 0.3) < 4 * math.sqrt(0.21 / len(x))
    torch.testing.assert_close(out[~dropped], x[~dropped] / 0.7)


def test_noisy_skip_decay_scales_the_noise() -> None:
    torch.manual_seed(0)
    edge = NoisySkip(("skip_connect",), 1, 1, OpOptions(), mean=0.5, scale=0.0, drop_path_prob=0.0)
    x = torch.randn(2, 1, 3, 3)
    for edge.decay in (1.0, 0.25, 0.0):
        torch.testing.assert_close(edge(x, row([1.0])), x + 0.5 * edge.decay)


@pytest.mark.parametrize("stride", [1, 2])
def test_auxiliary_skip_adds_beta_times_the_skip(stride: int) -> None:
    torch.manual_seed(0)
    edge = AuxiliarySkip(OPS, 4, stride, OpOptions(affine=False), beta=0.7)
    plain = MixedEdge(OPS, 4, stride, OpOptions(affine=False))
    plain.load_state_dict({k: v for k, v in edge.state_dict().items() if not k.startswith("auxiliary")})
    skip = edge["auxiliary"]
    assert isinstance(skip, nn.Identity if stride == 1 else FactorizedReduce)
    x, weights = torch.randn(5, 4, 6, 6), row([0.1, 0.4, 0.3, 0.2], scale=0.5)
    expected = plain(x, weights)
    torch.testing.assert_close(edge(x, weights), expected + 0.7 * skip(x))
    torch.testing.assert_close(edge(x, row([1.0, 0, 0, 0])), 0.7 * skip(x))
    with torch.no_grad():
        assert torch.equal(edge(x, weights), expected)
    edge.beta = 0.0
    assert torch.equal(edge(x, weights), expected)


def test_auxiliary_conv_is_initialized_as_the_identity() -> None:
    torch.manual_seed(0)
    options = OpOptions(affine=False)
    edge, skip = (AuxiliarySkip(OPS, 4, 1, options, auxiliary=kind) for kind in ("conv", "skip"))
    skip.load_state_dict({k: v for k, v in edge.state_dict().items() if not k.startswith("auxiliary")})
    x, weights = torch.randn(5, 4, 6, 6), row([0.1, 0.4, 0.3, 0.2])
    torch.testing.assert_close(edge(x, weights), skip(x, weights))
    edge(x, weights).square().sum().backward()
    assert edge["auxiliary"].weight.grad is not None, "the convolution is trained"
    assert isinstance(AuxiliarySkip(OPS, 4, 2, options, auxiliary="conv")["auxiliary"], FactorizedReduce)
    with pytest.raises(NasError, match="AuxiliarySkip: auxiliary=pool: unknown"):
        AuxiliarySkip(OPS, 4, 1, options, auxiliary="pool")
