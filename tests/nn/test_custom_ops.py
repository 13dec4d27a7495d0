"""Tests of custom ops: names, checks, and their execution in every mode."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.nn.cell_graph import CellGraph
from nas.nn.custom_ops import CUSTOM_OPS, check_custom_ops, custom_op, op_table
from nas.nn.edges.compiler import EdgeCompiler
from nas.nn.edges.folded import WeightFolding
from nas.nn.edges.mixed import MixedEdge
from nas.nn.fused_cell_graph import FusedCellGraph
from nas.nn.ops import OpOptions, ReluConvNorm
from nas.nn.stacked import check_stacked
from nas.proxies.fused import can_fuse
from nas.spaces.darts.space import Darts
from nas.utils.errors import NasError
from tests.nn.test_fused_cell_graph import assert_same, weights
from tests.nn.test_stacked import random_architecture

SHAPE = (3, 8, 8)


class Scaled(ReluConvNorm):
    """A subclass of a built-in op with another forward pass, which fused execution must not ignore."""

    def __init__(self, channels: int, stride: int, options: OpOptions, factor: float = 3.0) -> None:
        super().__init__(channels, channels, 3, stride, options)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * super().forward(x)


class Residual(nn.Sequential):
    """A sequence that ends with batch norm and has another forward pass."""

    def __init__(self, channels: int, stride: int, options: OpOptions) -> None:
        super().__init__(nn.Conv2d(channels, channels, 3, stride, 1, bias=False), options.norm(channels))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x)
        return out + x[..., :: self.stride, :: self.stride]


def plain(channels: int, stride: int, options: OpOptions) -> nn.Module:
    """Build a sequence that ends with batch norm; weight folding splits it."""
    return nn.Sequential(nn.Conv2d(channels, channels, 1, stride, bias=False), options.norm(channels))


OPS = ("none", "skip_connect", "nor_conv_3x3", Scaled, Residual, plain)


def space(fused: bool | None = False) -> Darts:
    return Darts(SHAPE, 4, channels=4, layers=3, ops=OPS, fused=fused)


def test_op_table_names_builders() -> None:
    table = op_table(OPS, "space.ops", "darts")
    assert table.names == ("none", "skip_connect", "nor_conv_3x3", "Scaled", "Residual", "plain")
    assert list(table.own.values()) == [Scaled, Residual, plain]
    small = partial(Scaled, factor=0.5)
    by_name = op_table({"none": None, "small": small}, "space.ops", "darts")
    assert by_name.names == ("none", "small") and by_name.own == {"small": small}
    assert op_table(["none", {"small": small}], "space.ops", "darts") == by_name
    with CUSTOM_OPS.use([custom_op("small", small)]):
        assert op_table(["small"], "space.ops", "darts").own == {"small": small}
    with CUSTOM_OPS.use([custom_op("Scaled", Scaled)]):
        dotted = op_table([f"{__name__}.Scaled"], "space.ops", "darts")
        assert dotted.names == ("Scaled",) and dotted.own == {"Scaled": Scaled}
        with pytest.raises(NasError, match="the op other.Scaled of space=darts is not in use"):
            op_table(["other.Scaled"], "space.ops", "darts")


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        (["none", "os.system"], "the op os.system of space=darts is not in use. Add own_parts="),
        (["none", "sep_conv_9x9"], "unknown op 'sep_conv_9x9' in space=darts"),
        (["none", "none"], "'none' occurs twice"),
        ({"skip_connect": Scaled}, "test_custom_ops.Scaled has the name of the built-in op 'skip_connect'"),
        ({"keys": Scaled}, "an attribute of torch modules"),
        ({"a.b": Scaled}, "test_custom_ops.Scaled has the name 'a.b'"),
        (
            {"a_b": Scaled, "a.b": None},
            "the ops 'a_b' and 'a.b' of space=darts have the same module name 'a_b'. Rename",
        ),
    ],
)
def test_bad_names_raise(ops: Any, message: str) -> None:
    with pytest.raises(NasError, match=message):
        op_table(ops, "space.ops", "darts")


def wide(channels: int, stride: int, options: OpOptions) -> nn.Module:
    return nn.Conv2d(channels, 2 * channels, 1, stride)


def without_stride(channels: int, stride: int, options: OpOptions) -> nn.Module:
    return nn.Identity()


def in_place(channels: int, stride: int, options: OpOptions) -> nn.Module:
    return nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(channels, channels, 1, stride))


def no_module(channels: int, stride: int, options: OpOptions) -> Any:
    return F


def two_arguments(channels: int, stride: int) -> nn.Module:
    return nn.Identity()


def failing(channels: int, stride: int, options: OpOptions) -> nn.Module:
    return nn.Conv2d(channels + 1, channels, 1, stride)


F = "not a module"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (wide, r"stride=1 maps features \[2, 4, 8, 8\] to \[2, 8, 8, 8\]"),
        (without_stride, r"stride=2 maps features \[2, 4, 8, 8\] to \[2, 4, 8, 8\].*\[2, 4, 4, 4\]"),
        (in_place, "changes its input"),
        (no_module, "is a str. Return a torch.nn.Module"),
        (two_arguments, "cannot be built .*TypeError"),
        (failing, "fails on features .*RuntimeError"),
    ],
)
def test_check_names_the_function(build: Callable[..., Any], message: str) -> None:
    state = torch.get_rng_state()
    with pytest.raises(NasError, match=rf"'mine' \(tests.nn.test_custom_ops.{build.__name__}\).*{message}"):
        check_custom_ops({"mine": build}, 4, OpOptions())
    assert torch.equal(torch.get_rng_state(), state)


def test_fused_cells_execute_the_forward_of_custom_ops() -> None:
    torch.manual_seed(0)
    one, other = space(False).supernet().double(), space(True).supernet().double()
    other.load_state_dict(one.state_dict())
    assert any(isinstance(module, FusedCellGraph) and module.can_fuse for module in other.modules())
    assert_same(one, other, weights(space()))
    assert not can_fuse(space().probe("ntk"))


@pytest.mark.parametrize("executor", [WeightFolding(), EdgeCompiler(6, backend="eager")], ids=["folded", "compiled"])
def test_executors_execute_the_forward_of_custom_ops(executor: Any) -> None:
    torch.manual_seed(0)
    one, other = (space().supernet().double() for _ in range(2))
    other.load_state_dict(one.state_dict())
    for graph in (module for module in other.modules() if isinstance(module, CellGraph)):
        graph.share_relus()
        for edge in graph.edges.values():
            assert isinstance(edge, MixedEdge)
            edge.executor = executor
    assert_same(one, other, weights(space()))


def test_joint_execution_of_custom_ops() -> None:
    torch.manual_seed(0)
    archs = [random_architecture(space()) for _ in range(2)]
    check_stacked(space().supernet, SHAPE, archs)
