"""Tests of fused cells: outputs, gradients and running statistics equal those of ``CellGraph``."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from nas.architecture.cell import Architecture, EdgeWeights
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.edges.skip_dropout import DroppedSkip
from nas.nn.edges.skips import AuxiliarySkip, NoisySkip
from nas.nn.fused_cell_graph import FusedCellGraph, unfused
from nas.nn.memory_format import is_channels_last
from nas.spaces.base import Network, Space
from nas.spaces.darts.notation import DARTS_OPS
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201

SHAPE = (3, 10, 10)  # odd sides after the reductions
EDGES: dict[str, EdgeFactory] = {
    "mixed": MixedEdge,
    "gdas": partial(MixedEdge, add_inactive=True),
    "partial": partial(PartialChannels, channel_divisor=2),
    "auxiliary": AuxiliarySkip,
    "auxiliary_conv": partial(AuxiliarySkip, auxiliary="conv"),
    "dropped": DroppedSkip,
    "noisy": partial(NoisySkip, scale=0.0, mean=0.0, drop_path_prob=0.0),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "affine": {"affine": True},
    "untracked": {"track_statistics": False},
    "biased": {"conv_bias": True},
}
MORE_OPS = (*DARTS_OPS, "sep_conv_7x7", "conv_3x1_1x3")


def space(name: str, fused: bool | None, **options: Any) -> Space:
    if name == "nas_bench_201":
        return NasBench201(SHAPE, 5, channels=4, cells_per_stage=1, fused=fused, **options)
    return Darts(SHAPE, 5, channels=4, layers=3, nodes=3, fused=fused, **options)


def pair(name: str, edge: EdgeFactory = MixedEdge, **options: Any) -> tuple[Space, Network, Network]:
    """Build a space and its supernet, plain and fused, in float64 with the same weights."""
    torch.manual_seed(0)
    plain, fused = (space(name, on, **options).supernet(edge).double() for on in (False, True))
    for value in plain.state_dict().values():
        if value.is_floating_point():
            value.add_(0.1 * torch.rand_like(value))
    fused.load_state_dict(plain.state_dict())
    return space(name, True, **options), plain, fused


def weights(space: Space, density: float = 1.0, edge: bool = False) -> Architecture:
    """Sample weights of all ops and activate a fraction ``density`` of the ops."""
    generator = torch.Generator().manual_seed(1)
    found = {}
    for name, cell in space.cells.items():
        op = torch.rand(len(cell.edges), len(cell.ops), generator=generator, dtype=torch.float64).requires_grad_()
        active = (cell.allowed() & (torch.rand(op.shape, generator=generator) < density)).tolist()
        scale = torch.rand(len(cell.edges), generator=generator, dtype=torch.float64).requires_grad_() if edge else None
        found[name] = EdgeWeights(op, active, scale)
    return found


def images() -> Tensor:
    return torch.randn(6, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def outputs_and_gradients(network: nn.Module, arch: Architecture, x: Tensor | None = None) -> dict[str, Tensor]:
    """Return the logits, all gradients, and the buffers after one training pass; default: of ``images()``."""
    alphas = {
        f"{name}.{part}": value
        for name, weight in arch.items()
        for part, value in (("op", weight.op), ("edge", weight.edge))
        if value is not None
    }
    inputs = {**alphas, **dict(network.named_parameters())}
    torch.manual_seed(3)
    logits = network(images() if x is None else x, arch)
    loss = logits.square().sum()
    grads = torch.autograd.grad(loss, list(inputs.values()), allow_unused=True)
    found = {f"grad of {name}": g for name, g in zip(inputs, grads, strict=True) if g is not None}
    return {"logits": logits.detach(), **found, **{k: v.clone() for k, v in network.named_buffers()}}


def assert_same(plain: nn.Module, fused: nn.Module, arch: Architecture, x: Tensor | None = None) -> None:
    expected, got = outputs_and_gradients(plain, arch), outputs_and_gradients(fused, arch, x)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            got[name], value, rtol=1e-9, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("scaled", [False, True], ids=["unscaled", "scaled"])
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
def test_fused_cells_support_every_edge(name: str, edge: str, scaled: bool) -> None:
    target, plain, fused = pair(name, EDGES[edge])
    assert_same(plain, fused, weights(target, edge=scaled))


@pytest.mark.parametrize("edge", ["mixed", "gdas", "partial"])
@pytest.mark.parametrize("density", [0.5, 1.0])
@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
def test_fused_cells_support_channels_last_features(name: str, density: float, edge: str) -> None:
    target, plain, fused = pair(name, EDGES[edge])
    x = images().contiguous(memory_format=torch.channels_last)
    assert_same(plain, fused, weights(target, density), x)


class FormatLog(TorchDispatchMode):
    """Collects the convolutions and batch norms, forward and backward, and those with features in another format."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.converted: list[tuple[str, list[torch.Size]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "convolution" in str(func) or "batch_norm" in str(func):
            features = args[: 2 if "backward" in str(func) else 1]
            self.calls.append(str(func))
            if not all(is_channels_last(x) for x in features):
                self.converted.append((str(func), [x.shape for x in features]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("edge", ["mixed", "partial"])
@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
def test_fused_cells_keep_the_channels_last_format(name: str, edge: str) -> None:
    """A single tensor in another format makes each kernel after it convert its features."""
    target, _, fused = pair(name, EDGES[edge])
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    with FormatLog() as log:
        outputs_and_gradients(fused.to(memory_format=torch.channels_last), weights(target), x)
    assert len(log.calls) > 50 and not log.converted


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
def test_fused_cells_support_every_op_option(name: str, options: str) -> None:
    target, plain, fused = pair(name, **OPTIONS[options])
    assert_same(plain, fused, weights(target))


@pytest.mark.parametrize("norm", ["none", "plain", "affine"])
def test_fused_cells_support_pools_and_other_ops(norm: str) -> None:
    target, plain, fused = pair("darts", pool_norm=norm, ops=MORE_OPS)
    assert_same(plain, fused, weights(target))


@pytest.mark.parametrize("edge", ["mixed", "gdas", "partial"])
@pytest.mark.parametrize("density", [0.0, 0.15, 0.5])
@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
def test_fused_cells_support_inactive_ops(name: str, density: float, edge: str) -> None:
    target, plain, fused = pair(name, EDGES[edge])
    assert_same(plain, fused, weights(target, density))


@pytest.mark.parametrize("name", ["nas_bench_201", "darts"])
def test_fused_cells_use_running_statistics_in_evaluation_mode(name: str) -> None:
    target, plain, fused = pair(name)
    assert_same(plain.eval(), fused.eval(), weights(target))


def test_fused_cells_support_excluded_ops_and_repeated_passes() -> None:
    choices = [["skip_connect", "dil_conv_3x3"] if e % 2 else ["max_pool_3x3", "sep_conv_3x3"] for e in range(9)]
    target, plain, fused = pair("darts", edge_ops={"normal": choices, "reduce": choices})
    for density in (1.0, 0.5, 1.0):
        assert_same(plain, fused, weights(target, density))


def test_fused_cells_support_functional_call() -> None:
    target, plain, fused = pair("darts")
    state = {name: value + 0.01 for name, value in plain.state_dict().items() if value.is_floating_point()}
    before = {name: value.clone() for name, value in fused.named_buffers()}
    got = functional_call(fused, {n: v.clone() for n, v in state.items()}, (images(), weights(target)))
    expected = functional_call(plain, {n: v.clone() for n, v in state.items()}, (images(), weights(target)))
    torch.testing.assert_close(got, expected)
    counted = [name for name in before if not name.endswith("num_batches_tracked")]
    assert all(torch.equal(before[name], dict(fused.named_buffers())[name]) for name in counted)


def test_fused_cells_call_fewer_convolutions() -> None:
    target, plain, fused = pair("nas_bench_201")

    def calls(network: nn.Module) -> int:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            network(images(), weights(target))
        return sum(row.count for row in profile.key_averages() if row.key in ("aten::conv2d", "aten::batch_norm"))

    fixed = 1 + 1 + 2 * (2 * 2 + 1) + 1  # stem, reductions, the last batch norm
    assert (calls(plain) - fixed, calls(fused) - fixed) == (3 * 6 * 4, 3 * 3 * 4)


def test_unfused_calls_the_hooks_of_ops() -> None:
    target, _, fused = pair("nas_bench_201")
    called: list[str] = []
    for name, module in fused.named_modules():
        if isinstance(module, nn.Conv2d) and "edges" in name:
            module.register_forward_hook(lambda m, i, o, name=name: called.append(name))
    fused(images(), weights(target))
    assert not called
    with unfused(fused):
        fused(images(), weights(target))
    assert len(called) == 3 * 6 * 2
    fused(images(), weights(target))
    assert len(called) == 3 * 6 * 2


def test_fused_cells_do_not_fuse_sync_batch_norm() -> None:
    target, _, fused = pair("nas_bench_201")
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(fused)
    plain = space("nas_bench_201", False).supernet().double()
    plain.load_state_dict(fused.state_dict())
    graphs = [module for module in converted.modules() if isinstance(module, FusedCellGraph)]
    arch = weights(target)
    assert_same(nn.SyncBatchNorm.convert_sync_batchnorm(plain).eval(), converted.eval(), arch)
    assert graphs and all(not plan.convs for graph in graphs for plan in graph._plans.values())


def test_fused_option_selects_the_cell_class() -> None:
    for name in ("nas_bench_201", "darts"):
        networks = [space(name, on).supernet() for on in (False, True, None)]
        graphs = [[m for m in network.modules() if isinstance(m, CellGraph)] for network in networks]
        kinds = [{(type(m), getattr(m, "fused", None)) for m in found} for found in graphs]
        assert kinds == [{(CellGraph, None)}, {(FusedCellGraph, True)}, {(FusedCellGraph, None)}]
