"""Noisy and auxiliary skip connections: what they compute, when, and how their schedules run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy import stats
from torch import Tensor, nn

from nas.callbacks.schedules.anneal import Anneal
from nas.nn.edges.mixed import MixedEdge, Row
from nas.nn.edges.skips import AuxiliarySkip, NoisySkip, skip_noise
from nas.nn.ops import FactorizedReduce, OpOptions
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden

OPS = ("none", "skip_connect", "nor_conv_3x3", "avg_pool_3x3")


def row(weights: list[float], scale: float | None = None) -> Row:
    return Row(
        torch.tensor(weights).unbind(0), [w != 0 for w in weights], None if scale is None else torch.tensor(scale)
    )


@pytest.mark.data
def test_noise_equals_the_authors(golden: Callable[[str], Golden], monkeypatch: pytest.MonkeyPatch) -> None:
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
        # the standard deviation is what unit noise adds
        monkeypatch.setattr(torch, "randn_like", torch.ones_like)
        unit = skip_noise(x.detach(), case["type"], case["mix"], case["factor"])
        added = unit - x if case["mix"] == "additive" else unit / x
        deviations.append(-1.0 if case["type"] == "uniform" else float(added.detach().mean()))
    compare.equal("out", torch.stack(outputs))
    compare.equal("grad_x", torch.stack(grads))
    compare.equal("std", np.array(deviations, dtype=np.float32))
    compare.finish()


@pytest.mark.parametrize("mean", [0.0, 0.5])
@pytest.mark.parametrize("mixing", ["additive", "multiplicative"])
@pytest.mark.parametrize("law", ["gaussian", "uniform"])
def test_laws(law: Any, mixing: Any, mean: float) -> None:
    """Gaussian noise has a relative standard deviation where it is added; uniform noise has a variance."""
    torch.manual_seed(0)
    x = 3 * torch.randn(40_000, dtype=torch.float64) + 5
    out = skip_noise(x, law, mixing, factor=0.2, mean=mean)
    noise = (out - x if mixing == "additive" else out / x).numpy()
    if law == "uniform":
        width = math.sqrt(3 * 0.2)
        reference = stats.uniform(mean - width, 2 * width)
    else:
        reference = stats.norm(mean, 0.2 * float(x.std()) if mixing == "additive" else 0.2)
    assert stats.kstest(noise, reference.cdf).pvalue > 1e-3


@pytest.mark.parametrize("stride", [1, 2])
def test_only_the_skip_is_noisy_and_only_while_it_learns(stride: int) -> None:
    torch.manual_seed(0)
    noisy = NoisySkip(OPS, 4, stride, OpOptions(affine=False))
    plain = MixedEdge(OPS, 4, stride, OpOptions(affine=False))
    plain.load_state_dict(noisy.state_dict())
    x = torch.randn(5, 4, 6, 6)
    weights, without = row([0.1, 0.4, 0.3, 0.2]), row([0.1, 0.0, 0.3, 0.2])
    kept = x.clone()
    first, second = noisy(x, weights), noisy(x, weights)
    assert not torch.equal(first, second) and torch.equal(x, kept), "fresh noise, and nothing in place"
    assert torch.equal(noisy(x, without), plain(x, without))
    with torch.no_grad():
        assert torch.equal(noisy(x, weights), plain(x, weights))
    plain.load_state_dict(noisy.state_dict())
    assert torch.equal(noisy.eval()(x, weights), plain.eval()(x, weights))


def test_noise_and_drop_path_of_the_skip() -> None:
    """Without drop path the mean is kept; with it whole samples vanish, the others are scaled."""
    torch.manual_seed(0)
    x = torch.randn(20_000, 1, 2, 2) + 2
    still = NoisySkip(("skip_connect",), 1, 1, OpOptions(), drop=0.0)
    assert abs(float((still(x, row([1.0])) - x).mean())) < 4 * 0.2 * float(x.std()) / math.sqrt(x.numel())
    out = NoisySkip(("skip_connect",), 1, 1, OpOptions(), factor=0.0, drop=0.3)(x, row([1.0]))
    dropped = (out == 0).flatten(1).all(1)
    assert abs(float(dropped.float().mean()) - 0.3) < 4 * math.sqrt(0.21 / len(x))
    torch.testing.assert_close(out[~dropped], x[~dropped] / 0.7)


def test_noise_decays() -> None:
    torch.manual_seed(0)
    edge = NoisySkip(("skip_connect",), 1, 1, OpOptions(), mean=0.5, factor=0.0, drop=0.0)
    x = torch.randn(2, 1, 3, 3)
    for edge.decay in (1.0, 0.25, 0.0):
        torch.testing.assert_close(edge(x, row([1.0])), x + 0.5 * edge.decay)


@pytest.mark.parametrize("stride", [1, 2])
def test_auxiliary_skip(stride: int) -> None:
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


def test_auxiliary_convolution_begins_as_the_skip() -> None:
    torch.manual_seed(0)
    options = OpOptions(affine=False)
    edge, skip = (AuxiliarySkip(OPS, 4, 1, options, auxiliary=kind) for kind in ("conv", "skip"))
    skip.load_state_dict({k: v for k, v in edge.state_dict().items() if not k.startswith("auxiliary")})
    x, weights = torch.randn(5, 4, 6, 6), row([0.1, 0.4, 0.3, 0.2])
    torch.testing.assert_close(edge(x, weights), skip(x, weights))
    edge(x, weights).square().sum().backward()
    assert edge["auxiliary"].weight.grad is not None, "and learns"
    assert isinstance(AuxiliarySkip(OPS, 4, 2, options, auxiliary="conv")["auxiliary"], FactorizedReduce)
    with pytest.raises(NasError, match="a skip or a conv"):
        AuxiliarySkip(OPS, 4, 1, options, auxiliary="pool")


class Run(pl.LightningModule):
    """Something with a supernet whose edges have a beta, or not."""

    def __init__(self, edge: Any) -> None:
        super().__init__()
        self.supernet = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1).supernet(edge)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", lambda e: (50 - e) / 50),
        ("cosine", lambda e: (1 + math.cos(math.pi * e / 50)) / 2),
        ("slow_cosine", lambda e: math.cos(math.pi * e / 100)),
    ],
)
def test_every_edge_follows_the_schedule(shape: Any, expected: Callable[[int], float]) -> None:
    schedule = Anneal("supernet.*.beta", 1.0, 0.0, shape, inclusive=False)
    run = Run(AuxiliarySkip)
    edges = [module for module in run.modules() if isinstance(module, AuxiliarySkip)]
    assert len(edges) == 18
    for epoch in (0, 1, 20, 49):
        trainer: Any = type("T", (), {"max_epochs": 50, "current_epoch": epoch})()
        schedule.on_train_epoch_start(trainer, run)
        assert {edge.beta for edge in edges} == {schedule.value(epoch, 50)}
        assert math.isclose(schedule.value(epoch, 50), expected(epoch), abs_tol=1e-12)


def test_a_share_of_the_run() -> None:
    """Over a supernet's 50 epochs as if they were alone; in the 81 of its projection the end."""
    shared = Anneal("eps", 0.03, 0.3, inclusive=False, shares=(50, 81))
    for epoch in range(50):
        assert math.isclose(shared.value(epoch, 131), 0.03 + (0.3 - 0.03) * epoch / 50)
    assert [shared.value(epoch, 131) for epoch in range(50, 131)] == pytest.approx([0.3] * 81, abs=1e-15)


@pytest.mark.parametrize("path", ["supernet.*.beta", "supernet.beta", "nothing.*.beta", "task.*.beta"])
def test_a_schedule_of_nothing_is_refused(path: str) -> None:
    trainer: Any = type("T", (), {"max_epochs": 50, "current_epoch": 0})()
    with pytest.raises(NasError, match="has no"):
        Anneal(path, 1.0, 0.0).on_train_epoch_start(trainer, Run(MixedEdge))
