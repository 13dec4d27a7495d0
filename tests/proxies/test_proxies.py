"""Zero-cost proxies against closed forms and brute force."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from nas.data.proxy_batches import ProxyBatches
from nas.data.synthetic import Synthetic
from nas.proxies.gradient_based import Grasp, Snip
from nas.proxies.jacob_cov import JacobCov
from nas.proxies.linear_regions import LinearRegions, crops, distinct
from nas.proxies.naswot import Naswot
from nas.proxies.ntk import gradient_rows
from nas.proxies.proxy import Batch, Proxy, weighted
from nas.proxies.pruned import Pruned
from nas.proxies.synflow import Synflow
from nas.proxies.zen import Zen
from nas.searches.pruning.ranking import round_significant
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.network import NasBench201Network
from nas.spaces.nas_bench_201.notation import from_ops
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.compose_tools import CONF

FILES = sorted((CONF / "proxy").glob("*.yaml"))
CELL = ["nor_conv_3x3", "skip_connect", "nor_conv_1x1", "avg_pool_3x3", "none", "nor_conv_3x3"]


def batch(count: int = 6, dtype: torch.dtype = torch.float64) -> Batch:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 3, 8, 8, generator=generator, dtype=dtype)
    return x, torch.randint(10, (count,), generator=generator)


def network(dtype: torch.dtype = torch.float64) -> NasBench201Network:
    torch.manual_seed(0)
    found = NasBench201((3, 8, 8), 10).network(from_ops(CELL), channels=4, cells_per_stage=1)
    assert isinstance(found, NasBench201Network)
    return found.to(dtype)


def draws() -> ProxyBatches:
    return ProxyBatches(Synthetic(shape=[3, 8, 8], size=300, mean=0.5, std=0.25, batch_size=8), 0)


def proxy(file: Path) -> Proxy:
    """As configured, with fewer repeats."""
    options = {"repeats": 2} if file.stem == "zen" else {}
    found: Proxy = instantiate(OmegaConf.load(file), **options)
    return found


def test_snip_is_the_gradient_of_masks() -> None:
    net, (x, y) = network(), batch()
    masks = {f"{name}.weight": torch.ones_like(m.weight).requires_grad_() for name, m in weighted(net).items()}
    weights = {key: net.get_parameter(key).detach() * mask for key, mask in masks.items()}
    loss = F.cross_entropy(torch.func.functional_call(net.train(), weights, (x,)), y)
    grads = torch.autograd.grad(loss, list(masks.values()), allow_unused=True)
    expected = sum(float(g.abs().sum()) for g in grads if g is not None)
    assert Snip()(net, (x, y), torch.Generator()) == pytest.approx(expected, rel=1e-9)


def test_grasp_is_an_explicit_hessian_product() -> None:
    """A small network whose Hessian is written down, row by row."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)).double()
    x, y = torch.randn(4, 1, 3, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    shapes = {name: p for name, p in net.named_parameters() if "weight" in name}
    flat = torch.cat([p.detach().flatten() for p in shapes.values()])

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([p.numel() for p in shapes.values()])
        weights = {name: v.view_as(p) for v, (name, p) in zip(parts, shapes.items(), strict=True)}
        return F.cross_entropy(torch.func.functional_call(net, weights, (x,)), y)

    hessian = torch.autograd.functional.hessian(loss, flat)
    gradient = torch.autograd.functional.jacobian(loss, flat)
    expected = float(-(flat * (hessian @ gradient)).sum())
    assert Grasp()(net, (x, y), torch.Generator()) == pytest.approx(expected, rel=1e-9)


SKIP, CONV1, CONV3, NONE = "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "none"


@pytest.mark.parametrize(
    ("ops", "plain", "bn"),
    [
        ([SKIP] * 6, 2.2770199974e11, 14.951883956),
        ([NONE] * 6, 0.0, 0.0),
        ([CONV1] * 6, 1.9584102943e19, 11.124291716),
        ([CONV3] * 6, 5.1816038170e55, 29.654217478),
        ([CONV3] * 3 + [SKIP] * 3, 2.6009393218e38, 15.855858970),
    ],
)
def test_synflow_of_constant_weights(ops: list[str], plain: float, bn: float) -> None:
    """Values of zero-cost-nas at its own size, all weights 0.05, no biases."""
    space = NasBench201((3, 32, 32), 10, track_statistics=False, conv_bias=False)
    net = Pruned(space.supernet(), {k: w.active for k, w in space.encode(from_ops(ops)).items()})
    for layer in weighted(net).values():
        nn.init.constant_(layer.weight, 0.05)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    images = torch.zeros(1, 3, 32, 32), torch.zeros(1)
    for keep_bn, expected in ((False, plain), (True, bn)):
        found = Synflow(bn=keep_bn, keep=["Reduction"])(net, images, torch.Generator())
        assert found == pytest.approx(expected, rel=1e-6)


def test_jacob_cov_by_numpy() -> None:
    net, (x, y) = network(), batch()
    x = x.clone().requires_grad_()
    (rows,) = torch.autograd.grad(net.train()(x).sum(), x)
    v = np.linalg.eigvals(np.corrcoef(rows.flatten(1).numpy())).real + 1e-5
    assert JacobCov()(net, (x, y), torch.Generator()) == pytest.approx(-(np.log(v) + 1 / v).sum(), rel=1e-6)


def test_naswot_pair_by_pair() -> None:
    """Counted unit by unit; a cell whose second node leads nowhere has ReLUs that do not count."""
    torch.manual_seed(0)
    ops = [CONV3, CONV1, CONV3, SKIP, NONE, NONE]  # nodes 1 and 2 do not reach node 3
    net = NasBench201((3, 8, 8), 10).network(from_ops(ops), channels=2, cells_per_stage=1).double()
    x = batch(4)[0]
    seen: dict[str, Tensor] = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, i[0] > 0))
    net.train()(x)
    for dead in (False, True):
        codes = torch.cat([c.flatten(1) for name, c in seen.items() if dead or ".edges." not in name], dim=1)
        kernel = np.array([[int((a == b).sum()) for b in codes] for a in codes], dtype=float)
        assert np.array_equal(Naswot(dead=dead).kernel(net, x).numpy(), kernel)
        found = Naswot(dead=dead)(net, (x, x[:, 0, 0, 0]), torch.Generator())
        assert found == pytest.approx(np.linalg.slogdet(kernel)[1])


def test_regions_are_distinct_rows() -> None:
    rows = torch.rand(500, 11, generator=torch.Generator().manual_seed(0)) < 0.5
    assert distinct(rows) == len({tuple(row) for row in rows.tolist()}) == len(torch.unique(rows, dim=0))
    net = NasBench201((3, 8, 8), 10).probe("regions")
    x = torch.randn(300, 1, 3, 3)
    proxy = LinearRegions(chunk=100)
    assert proxy(net, (x, x), torch.Generator()) == len(torch.unique(proxy.patterns(net, x), dim=0))
    one_batch = LinearRegions(chunk=300).patterns(net, x)
    assert not torch.equal(one_batch, proxy.patterns(net, x)), "batch norm takes the statistics of a chunk"


def test_crops_are_windows_of_their_images() -> None:
    images = torch.arange(2 * 3 * 5 * 6, dtype=torch.float32).view(2, 3, 5, 6)
    seen = set()
    for seed in range(200):
        for image, crop in zip(images, crops(images, torch.Generator().manual_seed(seed)), strict=True):
            places = [
                (c, t, s)
                for c, t, s in itertools.product(range(3), range(3), range(4))
                if torch.equal(image[c, t : t + 3, s : s + 3], crop[0])
            ]
            assert len(places) == 1
            seen.add(places[0])
    assert len(seen) == 36, "every channel and window comes"
    with pytest.raises(NasError, match="3x3"):
        crops(torch.zeros(1, 1, 2, 9), torch.Generator())


@pytest.mark.parametrize("file", ["params", "macs"])
@pytest.mark.parametrize("space", [NasBench201((3, 8, 8), 10), Darts((3, 8, 8), 10)], ids=["nas_bench_201", "darts"])
def test_the_size_of_a_pruned_supernet_is_that_of_what_is_left(space: Space, file: str) -> None:
    """Each op that goes takes its own convolutions and batch norms along, as many as the cells that have it."""
    net = space.probe("ntk")
    alive = {name: [[op != NONE for op in cell.ops] for _ in cell.edges] for name, cell in space.cells.items()}
    one, x = proxy(CONF / "proxy" / f"{file}.yaml"), torch.zeros(1, 3, 8, 8)

    def size() -> float:
        return one(Pruned(net, alive), (x, x), torch.Generator())

    whole, name, sizes = size(), next(iter(alive)), []
    for column, op in enumerate(space.cells[name].ops):
        alive[name][0][column] = False
        mine = [(n, p) for n, p in net.named_parameters() if f".0_{space.cells[name].edges[0][1]}.{op}." in n]
        kind = [(n, p) for n, p in mine if len(space.cells) == 1 or n.startswith("cells.0.")]
        gone = sum(p.numel() for _, p in kind)
        sizes.append(gone)
        assert whole - size() == gone if file == "params" else (whole > size()) == (gone > 0)
        alive[name][0][column] = op != NONE
    assert size() == whole and max(sizes) > 0 == min(sizes)


@pytest.mark.parametrize("space", [NasBench201((3, 8, 8), 10), Darts((3, 8, 8), 10)], ids=["nas_bench_201", "darts"])
def test_rows_of_the_kernel_agree(space: Space) -> None:
    """One backward pass an image, all at once, and with fused convolutions: the same rows in float64."""
    torch.manual_seed(0)
    net = space.probe("ntk").double().train()
    alive = {name: cell.allowed().tolist() for name, cell in space.cells.items()}
    x = batch(4)[0]
    weights = [p for name, p in net.named_parameters() if "weight" in name]
    found = [
        gradient_rows(Pruned(net, alive, fuse=fuse)(x).sum(1), weights, rows)
        for fuse, rows in itertools.product((False, True), ("loop", "batched"))
    ]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-7, atol=1e-9 * float(found[0].abs().max()))


def test_zen_by_its_formula() -> None:
    """A network without batch norm is linear: the proxy is the log of the distance of its features."""
    net = nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))
    x = torch.zeros(4, 3, 6, 6)
    net[1] = nn.Identity()  # the last map is that of the convolution
    net[3] = nn.Linear(5 * 16, 2)
    found = Zen(gamma=0.5, repeats=1)(net, (x, x), torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    kernel = torch.randn(5, 3, 3, 3, generator=generator)
    torch.randn(2, 80, generator=generator)
    torch.randn(x.shape, generator=generator)
    e = torch.randn(x.shape, generator=generator)
    assert found == pytest.approx(math.log(F.conv2d(0.5 * e, kernel).abs().sum((1, 2, 3)).mean()), rel=1e-4)


@pytest.mark.parametrize("carry", [True, False])
def test_zen_of_a_network_that_keeps_its_statistics(carry: bool) -> None:
    """The modules themselves are drawn anew and count their variances, as in the authors' program, or begin anew."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1, bias=False))
    net.extend([nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)])
    net[5] = nn.Identity()  # the last map is that of the second batch norm
    net[7] = nn.Linear(4 * 16, 2)
    x = torch.zeros(4, 3, 6, 6)
    found = Zen(repeats=5, carry=carry)(net, (x, x), torch.Generator().manual_seed(3))

    generator = torch.Generator().manual_seed(3)
    values = []
    norms = [m for m in net if isinstance(m, nn.BatchNorm2d)]
    for _ in range(5):
        for layer in weighted(net).values():
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator)
            if layer.bias is not None:
                layer.bias.data.zero_()
        for norm in norms if not carry else ():
            norm.reset_running_stats()
        x, e = (torch.randn(x.shape, generator=generator) for _ in range(2))
        moved = (net[:5](x) - net[:5](x + 0.01 * e)).detach().abs().sum((1, 2, 3)).mean()
        values.append(math.log(moved) + sum(math.log(norm.running_var.mean().sqrt()) for norm in norms))
    assert found == pytest.approx(np.mean(values), rel=1e-4)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_score_leaves_no_trace(file: Path) -> None:
    net = NasBench201((3, 8, 8), 10).network(from_ops(CELL), channels=4, cells_per_stage=1).eval()
    one = proxy(file)
    x = torch.randn(30, 1, 3, 3) if one.probe == "regions" else batch(6, torch.float32)[0]
    if one.probe == "regions":
        net = NasBench201((3, 8, 8), 10).probe("regions", from_ops(CELL)).eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    one(net, (x, torch.zeros(len(x), dtype=torch.int64)), torch.Generator().manual_seed(0))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters()) and not any(m.training for m in net.modules())
    hooks = [h for m in net.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    assert not hooks and not any("forward" in vars(m) for m in net.modules())


@pytest.mark.parametrize(("value", "rounded"), [(0.0, 0.0), (0.12345, 0.123), (-1.2355, -1.24), (99.96, 100.0)])
def test_significant_digits(value: float, rounded: float) -> None:
    assert round_significant(value) == pytest.approx(rounded)
