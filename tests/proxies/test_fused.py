"""Fused evaluation of pruned supernets against the plain one, in float64."""

from __future__ import annotations

import random

import pytest
import torch

from nas.data.proxy_batches import ProxyBatches
from nas.data.synthetic import Synthetic
from nas.proxies.fused import can_fuse
from nas.proxies.linear_regions import LinearRegions, count_distinct_rows
from nas.proxies.ntk import Ntk
from nas.proxies.pruned import PrunedSupernet
from nas.searches.pruning.measure import MeasurementKey, ProxyMeasurement
from nas.spaces.base import Network, Probe, Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201

S4 = [["noise", "sep_conv_3x3"]] * 14


def spaces(size: int = 8) -> dict[str, Space]:
    return {"nas_bench_201": NasBench201((3, size, size), 10), "darts": Darts((3, size, size), 10)}


def thin_network(space: Space, probe: Probe, seed: int) -> Network:
    """Build a thin network whose batch norms differ from each other."""
    torch.manual_seed(seed)
    found = space.probe(probe).double().train()
    for name, parameter in found.named_parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, mean=float(name.endswith("weight")), std=0.3)
    return found


def random_alive(space: Space, seed: int, probability: float) -> dict[str, list[list[bool]]]:
    """Keep each op with a probability, so that edges may have no ops and nodes no inputs."""
    rng = random.Random(seed)
    return {
        name: [[op != "none" and rng.random() < probability for op in cell.ops] for _ in cell.edges]
        for name, cell in space.cells.items()
    }


@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("probability", [1.0, 0.5, 0.15])
def test_fused_gradients_equal_plain_supernet(name: str, size: int, probability: float) -> None:
    """Compare logits and all gradients for random remaining ops, with odd feature maps too."""
    space = spaces(size)[name]
    for seed in range(1 if probability == 1 else 2):
        net, x = thin_network(space, "ntk", seed), torch.randn(4, 3, size, size, dtype=torch.float64)
        parameters = list(net.parameters())
        found = []
        for fuse in (False, True):
            logits = PrunedSupernet(net, random_alive(space, seed, probability), fuse)(x)
            weights = torch.linspace(-1, 1, logits.numel(), dtype=torch.float64).view_as(logits)
            grads = torch.autograd.grad((logits * weights).sum(), parameters, allow_unused=True)
            found.append([logits.detach(), *(torch.zeros(1).double() if g is None else g for g in grads)])
        for one, other in zip(*found, strict=True):
            scale = max(1.0, float(one.abs().max()))
            torch.testing.assert_close(other, one.expand_as(other), rtol=1e-8, atol=1e-9 * scale)


@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
@pytest.mark.parametrize("probability", [1.0, 0.5, 0.15])
def test_fused_patterns_distinguish_same_inputs(name: str, probability: float) -> None:
    space = spaces()[name]
    for seed in range(2):
        net = thin_network(space, "regions", seed)
        x = torch.randn(40, 1, 3, 3, dtype=torch.float64).round()
        x[20:] = x[:20]  # both chunks have the same inputs
        regions, alive = LinearRegions(chunk=20), random_alive(space, seed, probability)
        rows = [regions.activation_patterns(PrunedSupernet(net, alive, fuse), x) for fuse in (False, True)]
        equal = [(part[:, None] == part[None]).all(dim=2) for part in rows]
        assert torch.equal(*equal) and count_distinct_rows(rows[0]) == count_distinct_rows(rows[1]) <= 20
        assert rows[1].shape[1] <= rows[0].shape[1]


def test_can_fuse_refuses_unsupported_networks() -> None:
    for space in spaces().values():
        assert can_fuse(space.probe("ntk")) and can_fuse(space.probe("regions"))
    noisy = Darts((3, 8, 8), 10, ops=["noise", "sep_conv_3x3"], edge_ops={"normal": S4, "reduce": S4})
    assert not can_fuse(noisy.probe("ntk")), "noise depends on the order of the edges"
    assert not can_fuse(NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1).supernet()), (
        "biases and no affine batch norm"
    )
    assert not can_fuse(Darts((3, 8, 8), 10, channels=4, layers=3, fixed_reduction=True, affine=True).supernet())


@pytest.mark.parametrize("proxy", [Ntk(rows="loop"), LinearRegions(chunk=10)], ids=["ntk", "linear_regions"])
def test_proxy_measurement_is_float32_under_any_precision(proxy: Ntk | LinearRegions) -> None:
    """Emulate bf16-mixed, bf16-true and 64-true."""
    batches = ProxyBatches(Synthetic(shape=[3, 8, 8], size=64, mean=0.5, std=0.25), 0)
    space, key = spaces()["nas_bench_201"], MeasurementKey(0, 0, 0)
    alive = random_alive(space, 0, 1.0)
    plain = ProxyMeasurement(space, proxy, batches, 0, "paper", True, 10)(alive, key)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ProxyMeasurement(space, proxy, batches, 0, "paper", True, 10)(alive, key) == plain
    for dtype in (torch.bfloat16, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            assert ProxyMeasurement(space, proxy, batches, 0, "paper", True, 10)(alive, key) == plain
            assert torch.get_default_dtype() == dtype
        finally:
            torch.set_default_dtype(torch.float32)
