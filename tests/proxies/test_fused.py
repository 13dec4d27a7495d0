"""The supernet evaluated node by node against the plain one, in float64."""

from __future__ import annotations

import random

import pytest
import torch

from nas.data.proxy_batches import ProxyBatches
from nas.data.synthetic import Synthetic
from nas.proxies.fused import fusible
from nas.proxies.linear_regions import LinearRegions, distinct
from nas.proxies.ntk import Ntk, gradient_rows
from nas.proxies.pruned import Pruned
from nas.searches.pruning.measure import MeasurementKey, ProxyMeasurement
from nas.spaces.base import Network, Probe, Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201

S4 = [["noise", "sep_conv_3x3"]] * 14


def spaces(size: int = 8) -> dict[str, Space]:
    return {"nas_bench_201": NasBench201((3, size, size), 10), "darts": Darts((3, size, size), 10)}


def network(space: Space, kind: Probe, seed: int) -> Network:
    """Batch norms differ from one another."""
    torch.manual_seed(seed)
    found = space.probe(kind).double().train()
    for name, parameter in found.named_parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, mean=float(name.endswith("weight")), std=0.3)
    return found


def alive(space: Space, seed: int, left: float) -> dict[str, list[list[bool]]]:
    """Each op is left with a probability: edges may have none, and nodes nothing that reaches them."""
    rng = random.Random(seed)
    return {
        name: [[op != "none" and rng.random() < left for op in cell.ops] for _ in cell.edges]
        for name, cell in space.cells.items()
    }


@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("left", [1.0, 0.5, 0.15])
def test_gradients_are_those_of_the_plain_supernet(name: str, size: int, left: float) -> None:
    """Logits, and the gradient with respect to every parameter, for whichever ops are left; odd maps too."""
    space = spaces(size)[name]
    for seed in range(1 if left == 1 else 2):
        net, x = network(space, "ntk", seed), torch.randn(4, 3, size, size, dtype=torch.float64)
        parameters = list(net.parameters())
        found = []
        for fuse in (False, True):
            logits = Pruned(net, alive(space, seed, left), fuse)(x)
            weights = torch.linspace(-1, 1, logits.numel(), dtype=torch.float64).view_as(logits)
            grads = torch.autograd.grad((logits * weights).sum(), parameters, allow_unused=True)
            found.append([logits.detach(), *(torch.zeros(1).double() if g is None else g for g in grads)])
        for one, other in zip(*found, strict=True):
            scale = max(1.0, float(one.abs().max()))
            torch.testing.assert_close(other, one.expand_as(other), rtol=1e-8, atol=1e-9 * scale)


@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
@pytest.mark.parametrize("left", [1.0, 0.5, 0.15])
def test_patterns_tell_the_same_inputs_apart(name: str, left: float) -> None:
    space = spaces()[name]
    for seed in range(2):
        net = network(space, "regions", seed)
        x = torch.randn(40, 1, 3, 3, dtype=torch.float64).round()
        x[20:] = x[:20]  # those of one chunk are those of the other
        rows = [LinearRegions(chunk=20).patterns(Pruned(net, alive(space, seed, left), f), x) for f in (False, True)]
        equal = [(part[:, None] == part[None]).all(dim=2) for part in rows]
        assert torch.equal(*equal) and distinct(rows[0]) == distinct(rows[1]) <= 20
        assert rows[1].shape[1] <= rows[0].shape[1]


def test_what_cannot_be_fused_is_known() -> None:
    for space in spaces().values():
        assert fusible(space.probe("ntk")) and fusible(space.probe("regions"))
    draws = Darts((3, 8, 8), 10, ops=["noise", "sep_conv_3x3"], edge_ops={"normal": S4, "reduce": S4})
    assert not fusible(draws.probe("ntk")), "noise is drawn in the order of edges"
    assert not fusible(NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1).supernet()), "biases, no affine norm"
    assert not fusible(Darts((3, 8, 8), 10, channels=4, layers=3, fixed_reduction=True, affine=True).supernet())


@pytest.mark.parametrize("count", [5, 17])
def test_rows_in_parts_are_rows(count: int) -> None:
    """Both sides of what "auto" does on a CPU, and a weight on which nothing depends."""
    torch.manual_seed(0)
    x, weight, unused = torch.randn(count, 3), torch.randn(3, requires_grad=True), torch.randn(2, requires_grad=True)
    found = [gradient_rows((x @ weight).square() / 2, [weight, unused], rows) for rows in ("auto", "loop", "batched")]
    for rows in found:
        torch.testing.assert_close(rows, (x @ weight).detach()[:, None] * x)
    nothing = gradient_rows((x @ weight).square(), [unused])
    assert nothing.shape == (count, 1) and not nothing.any()


@pytest.mark.parametrize("proxy", [Ntk(rows="loop"), LinearRegions(chunk=10)], ids=["ntk", "linear_regions"])
def test_a_trainer_of_low_precision_measures_in_float32(proxy: Ntk | LinearRegions) -> None:
    """What bf16-mixed, bf16-true and 64-true do around a step changes nothing."""
    draws = ProxyBatches(Synthetic(shape=[3, 8, 8], size=64, mean=0.5, std=0.25), 0)
    space, place = spaces()["nas_bench_201"], MeasurementKey(0, 0, 0)
    left = alive(space, 0, 1.0)
    plain = ProxyMeasurement(space, proxy, draws, 0, "paper", True, 10)(left, place)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ProxyMeasurement(space, proxy, draws, 0, "paper", True, 10)(left, place) == plain
    for dtype in (torch.bfloat16, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            assert ProxyMeasurement(space, proxy, draws, 0, "paper", True, 10)(left, place) == plain
            assert torch.get_default_dtype() == dtype
        finally:
            torch.set_default_dtype(torch.float32)
