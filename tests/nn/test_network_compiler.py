"""nas.nn.network_compiler: compiled pieces of the networks of genotypes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.backends.debugging import aot_eager

from nas.nn.compile_cost import estimate_network_compile
from nas.nn.drop_path import DropPath
from nas.nn.network_compiler import (
    CompiledBlock,
    NetworkCompiler,
    blocks_of,
    distinct_pieces,
    is_compilable,
    remove_compiler,
)
from nas.nn.ops import OpOptions, SeparableConv
from nas.spaces.base import Network
from nas.spaces.genotype_file import load_genotype
from nas.spaces.registry import space_of
from tests.support.compile_tools import record_pieces
from tests.support.error_tools import NB201

MIXED = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_3x3', 0), ('avg_pool_3x3', 1), "
    "('max_pool_3x3', 0), ('skip_connect', 1), ('sep_conv_5x5', 2), ('skip_connect', 0)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('skip_connect', 0), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('sep_conv_3x3', 0), "
    "('skip_connect', 2), ('max_pool_3x3', 1), ('skip_connect', 2)], reduce_concat=[2, 3, 4, 5])"
)


def build(genotype: str = MIXED, **options: Any) -> Network:
    torch.manual_seed(0)
    found = load_genotype(genotype)
    sizes = {"channels": 4, "layers": 3} if "sep_conv" in genotype else {"channels": 4, "cells_per_stage": 1}
    network = space_of(found, (3, 8, 8), 5).network(found, **sizes, **options).double()
    for module in network.modules():
        if isinstance(module, DropPath):
            module.probability = 0.4
    return network


def step(network: Network, images: int = 4) -> list[Tensor]:
    """Return logits, gradients and buffers of a training step, and the next random number."""
    torch.manual_seed(1)
    outputs = network.outputs(torch.randn(images, 3, 8, 8, dtype=torch.float64))
    logits, auxiliary = outputs.logits, outputs.auxiliary
    network.zero_grad()
    (logits.square().sum() + (0 if auxiliary is None else auxiliary.square().sum())).backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    return [logits.detach(), *gradients, *network.buffers(), torch.rand(3)]


def assert_equal_steps(one: Network, other: Network, images: int = 4) -> None:
    pairs = zip(step(one, images), step(other, images), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-11) for a, b in pairs)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run pieces without a compiler, and record them."""
    return record_pieces(monkeypatch)


@pytest.mark.parametrize(
    "options", [{"drop_path_on": "op", "auxiliary": True}, {"drop_path_on": "node", "auxiliary": False}]
)
def test_pieces_equal_the_eager_network_and_its_random_numbers(options: dict[str, Any], calls: list[str]) -> None:
    network, other = build(**options), build(**options)
    NetworkCompiler(4).install(network)
    assert_equal_steps(network, other)
    assert calls.count("_node") == 3 + 2 * 2, "of four nodes: three of the normal cell, two of each reduction"
    assert calls.count("_block") == len(blocks_of(network)) == 1 + 3 * 2 + options["auxiliary"]
    assert list(network.state_dict()) == list(other.state_dict())


def test_other_batches_and_evaluation_run_eagerly(calls: list[str]) -> None:
    network, other = build(), build()
    NetworkCompiler(4).install(network)
    assert_equal_steps(network, other, images=3)
    outputs = []
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        for net in (network, other):
            torch.manual_seed(2)
            outputs.append(net(x))
    assert torch.equal(*outputs)
    assert torch.equal(network.eval()(x), other.eval()(x)) and not calls


def test_removed_compiler_leaves_an_eager_network(calls: list[str]) -> None:
    network = build()
    NetworkCompiler(4).install(network)
    assert any(isinstance(vars(module).get("forward"), CompiledBlock) for module in network.modules())
    remove_compiler(network)
    step(network)
    copy.deepcopy(network)
    assert not calls


def test_nas_bench_201_cells_and_reductions_are_pieces(calls: list[str]) -> None:
    network, other = build(NB201), build(NB201)
    NetworkCompiler(4).install(network)
    assert_equal_steps(network, other)
    assert len(blocks_of(network)) == 4, "stem, two reductions, last activation"
    assert calls.count("_block") == 4 and calls.count("_node") == 3 * 3


def test_pieces_of_one_structure_count_once_in_the_estimate() -> None:
    small, large = build(NB201), build(NB201.replace("nor_conv_1x1", "nor_conv_3x3"))
    assert len(distinct_pieces(small)) < len(list(small.modules()))
    deep = load_genotype(NB201)
    options = {"channels": 4, "cells_per_stage": 3}
    deeper = space_of(deep, (3, 8, 8), 5).network(deep, **options)
    assert len(distinct_pieces(deeper)) == len(distinct_pieces(small)) == len(distinct_pieces(large))
    estimate = estimate_network_compile(small, 1e15, 2)
    assert estimate.pays and not estimate_network_compile(small, 1e9, 2).pays
    assert estimate.cost == estimate_network_compile(deeper, 1.0, 2).cost


def test_network_without_batch_norm_has_nothing_to_compile() -> None:
    assert not is_compilable(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))
    assert is_compilable(build()) and is_compilable(build(NB201))


def test_traced_piece_equals_eager_execution_and_is_traced_once() -> None:
    """Trace one separable convolution through AOTAutograd, with and without drop path."""
    graphs: list[int] = []

    def backend(module: torch.fx.GraphModule, inputs: Any) -> Any:
        graphs.append(len(inputs))
        return aot_eager(module, inputs)

    compiler = NetworkCompiler(4, backend)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ops = [SeparableConv(4, 3, 1, OpOptions()).double() for _ in range(2)]
    x = torch.randn(4, 4, 6, 6, dtype=torch.float64)
    for op in ops:
        twin = copy.deepcopy(op)
        for mask in (torch.ones(4, 1, 1, 1).double(), torch.tensor([0.0, 2.0, 2.0, 0.0])[:, None, None, None].double()):
            found = compiler._node((op,), (x,), (mask,), None)
            expected = twin(x) * mask
            assert torch.allclose(found, expected, rtol=1e-12, atol=1e-13)
            one = torch.autograd.grad(found.square().sum(), list(op.parameters()))
            other = torch.autograd.grad(expected.square().sum(), list(twin.parameters()))
            assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-11) for a, b in zip(one, other, strict=True))
    assert len(graphs) == 1, "one graph for both ops and both masks"
