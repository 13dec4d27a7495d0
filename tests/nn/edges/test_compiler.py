"""Compiled edges: equal to eager ones, few graphs, and no gradients that a step does not need."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.backends.debugging import boxed_nop

from nas.gradients.base import frozen
from nas.nn.edges.compiler import EdgeCompiler, find_compiler_error
from nas.nn.edges.mixed import EdgeFactory, EdgeRow, MixedEdge
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.edges.skip_dropout import DroppedSkip, SkipDropout
from nas.nn.edges.skips import AuxiliarySkip, NoisySkip
from nas.nn.ops import OpOptions
from nas.spaces.nas_bench_201.notation import OPS as NB201_OPS

OPTIONS = OpOptions(affine=False)
CASES: dict[str, tuple[EdgeFactory, Sequence[str], Sequence[int]]] = {
    "dense": (MixedEdge, NB201_OPS, range(5)),
    "one op": (MixedEdge, NB201_OPS, [3]),
    "some ops": (partial(MixedEdge, add_inactive=True), NB201_OPS, [0, 2, 4]),
    "partial": (PartialChannels, ("none", "max_pool_3x3", "skip_connect", "dil_conv_3x3"), range(4)),
    "noisy": (NoisySkip, ("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1"), range(4)),
    "auxiliary": (AuxiliarySkip, ("none", "skip_connect", "nor_conv_1x1"), range(3)),
    "dropped": (DroppedSkip, ("skip_connect", "nor_conv_1x1", "avg_pool_3x3"), range(3)),
    "noise op": (MixedEdge, ("noise", "nor_conv_1x1", "avg_pool_3x3"), range(3)),
}


class Graphs:
    """A backend that counts forward graphs, and the gradients that their backward graphs compute."""

    def __init__(self) -> None:
        self.forward = 0
        self.gradients: list[int] = []
        self.backend = aot_autograd(fw_compiler=self._forward, bw_compiler=self._backward)

    def _forward(self, graph: torch.fx.GraphModule, inputs: Sequence[Any]) -> Any:
        self.forward += 1
        return boxed_nop(graph, inputs)

    def _backward(self, graph: torch.fx.GraphModule, inputs: Sequence[Any]) -> Any:
        (outputs,) = next(node for node in graph.graph.nodes if node.op == "output").args
        self.gradients.append(sum(output is not None for output in outputs))
        return boxed_nop(graph, inputs)


def run(edge: MixedEdge, weights: Tensor, active: Sequence[int], scale: Tensor | None = None, batch: int = 3) -> Tensor:
    row = EdgeRow(weights.unbind(0), [column in active for column in range(len(weights))], scale)
    out = edge(torch.randn(batch, 8, 5, 6, dtype=torch.float64).requires_grad_(), row)
    assert out is not None
    return out


def step(edge: MixedEdge, weights: Tensor, active: Sequence[int], freeze: bool, scale: Tensor | None) -> list[Any]:
    """Return output, gradients and batch norm statistics of an edge in a weight step or an architecture step."""
    torch.manual_seed(1)
    inputs = [weights] if scale is None else [weights, scale]
    if freeze:
        with frozen(edge.parameters()):
            out = run(edge, weights, active, scale)
            grads = torch.autograd.grad(out.square().sum(), inputs, allow_unused=True)
    else:
        out = run(edge, weights.detach(), active, None if scale is None else scale.detach())
        parameters = list(edge.parameters())
        grads = torch.autograd.grad(out.square().sum(), parameters, allow_unused=True) if out.requires_grad else ()
    return [out.detach(), list(grads), [buffer.clone() for buffer in edge.buffers()]]


@pytest.mark.parametrize(
    ("name", "scaled"), [*((name, False) for name in CASES), ("partial", True), ("some ops", True)]
)
def test_compiled_edge_equals_eager_edge(name: str, scaled: bool) -> None:
    """Random numbers are equal, too: those of ops with noise, noisy skips and dropout."""
    factory, ops, active = CASES[name]
    found, compiler = [], EdgeCompiler(3, "aot_eager")
    for executor in (None, compiler):
        torch.manual_seed(0)
        edge = factory(ops, 8, 1, OPTIONS).double()
        for module in edge.modules():
            if isinstance(module, SkipDropout):
                module.probability = 0.3
        edge.executor = executor
        weights = torch.rand(len(ops), dtype=torch.float64, requires_grad=True)
        scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True) if scaled else None
        found.append([step(edge, weights, active, freeze, scale) for freeze in (False, True)])
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-12)


def test_edges_share_a_graph_and_sampled_paths_have_none() -> None:
    graphs = Graphs()
    compiler = EdgeCompiler(3, graphs.backend)
    edges = [MixedEdge(NB201_OPS, 8, 1, OPTIONS).double() for _ in range(3)]
    weights = torch.rand(5, dtype=torch.float64)
    for edge in edges:
        edge.executor = compiler
        run(edge, weights, range(5))
    assert graphs.forward == 1
    for column in (1, 2, 3, 4):
        for edge in edges:
            run(edge, weights, [column])
    assert graphs.forward == 1, "sampled paths are eager"


def test_architecture_step_computes_no_gradient_of_a_weight() -> None:
    graphs = Graphs()
    edge = MixedEdge(NB201_OPS, 8, 1, OPTIONS).double()
    edge.executor = EdgeCompiler(3, graphs.backend)
    weights = torch.rand(5, dtype=torch.float64, requires_grad=True)
    for freeze in (True, False):
        step(edge, weights, range(5), freeze, None)
    of_arch_step, of_weight_step = graphs.gradients
    assert of_arch_step == 2, "of the input and of the weights of the ops"
    assert of_weight_step == 1 + len(list(edge.parameters()))


def test_passes_without_gradients_and_batches_of_another_size_are_eager() -> None:
    graphs = Graphs()
    edge = MixedEdge(NB201_OPS, 8, 1, OPTIONS).double()
    edge.executor = EdgeCompiler(3, graphs.backend)
    weights = torch.rand(5, dtype=torch.float64)
    with torch.no_grad():
        run(edge, weights, range(5), batch=2)
    assert graphs.forward == 0
    run(edge, weights, range(5))
    run(edge, weights, range(5), batch=2)
    assert graphs.forward == 1


def test_broken_compiler_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise RuntimeError("no C++ compiler\nsecond line")

    monkeypatch.setattr(torch, "compile", fail)
    assert find_compiler_error(torch.device("cpu")) == "RuntimeError: no C++ compiler"


def test_cut_library_in_the_cache_is_reported_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import BackendCompilerFailed

    def fail(*args: Any, **options: Any) -> Any:
        raise BackendCompilerFailed("inductor", ImportError("main.so: file too short"), None)

    monkeypatch.setattr(torch, "compile", fail)
    problem = find_compiler_error(torch.device("cpu")) or ""
    assert problem.startswith("ImportError: main.so: file too short. If an interrupted compilation has damaged")
    assert "set TORCHINDUCTOR_CACHE_DIR to an empty directory" in problem
