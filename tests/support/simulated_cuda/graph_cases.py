"""Cases of ``GraphedFunction`` and ``GraphExecutor`` on the simulated device, for pytest in a process of their own.

The name of the file keeps pytest from collecting it elsewhere, because the device stays in the process.
"""

from __future__ import annotations

import gc
import logging
import random
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture, EdgeWeights
from nas.nn.graphed_function import GraphedFunction
from nas.nn.replayed_pass import GraphMemory
from nas.searches.graph_executor import GraphExecutor
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.simulated_cuda.graphs import Graph
from tests.support.simulated_cuda.install import install

install()


class Net(nn.Module):
    """A network with batch norm, dropout and a result that has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = self.drop(self.norm(self.conv(x))).relu() * weight
        return y, y.mean((2, 3)), y.argmax(1)


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net().cuda()


def images(seed: int) -> Tensor:
    return torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(seed)).cuda()


def scalar(value: float) -> Tensor:
    return torch.tensor(value).cuda().requires_grad_()


def graphed(net: Net, memory: GraphMemory | None = None) -> GraphedFunction:
    return GraphedFunction(net, [images(0), scalar(1.0)], list(net.parameters()), list(net.buffers()), memory)


def train(net: Net, function: Callable[[Tensor, Tensor], tuple[Tensor, ...]]) -> list[Tensor]:
    """Return the results, gradients, buffers and random numbers of steps with two passes each."""
    found: list[Tensor] = []
    torch.manual_seed(1)
    for step in range(3):
        net.zero_grad(set_to_none=step != 1)
        for part in range(2):
            weight = scalar(0.5 + step)
            outputs = function(images(10 * step + part), weight)
            (outputs[0].square().sum() + part * outputs[1].sum()).backward()
            assert weight.grad is not None
            found += [*(x.detach().clone() for x in outputs), weight.grad]
        found += [p.grad.clone() for p in net.parameters() if p.grad is not None]
    return [*found, *(b.clone() for b in net.buffers()), torch.rand(3, device="cuda")]


def test_replays_equal_the_function(net: Net) -> None:
    state = {name: value.clone() for name, value in net.state_dict().items()}
    expected = train(net, net)
    net.load_state_dict(state)
    net.zero_grad()
    torch.manual_seed(2)
    before = torch.cuda.get_rng_state()
    function = graphed(net)
    assert torch.equal(before, torch.cuda.get_rng_state())
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    replays = Graph.replays
    found = train(net, function)
    assert Graph.replays - replays == 12
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert net.unused.grad is None
    with torch.no_grad():
        assert not function(images(0), scalar(1.0))[0].requires_grad


def test_passes_in_one_memory_must_not_overlap(net: Net) -> None:
    memory = GraphMemory()
    one, other = graphed(net, memory), graphed(net, memory)
    outputs = one(images(0), scalar(1.0))
    assert memory.is_busy
    with pytest.raises(RuntimeError, match="has not ended"):
        other(images(0), scalar(1.0))
    outputs[0].sum().backward(retain_graph=True)
    assert not memory.is_busy
    with pytest.raises(RuntimeError, match="once per forward pass"):
        outputs[0].sum().backward()
    other(images(0), scalar(1.0))
    assert not memory.is_busy, "a pass without a backward pass ends with its results"


def test_results_are_differentiable_once(net: Net) -> None:
    loss = graphed(net)(images(0), scalar(1.0))[0].square().sum()
    (grad,) = torch.autograd.grad(loss, [net.conv.weight], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


IMPOSSIBLE: dict[str, Callable[[Tensor], Tensor]] = {
    "draws random numbers on the host": lambda x: x * random.random(),
    "random numbers": lambda x: x * torch.rand(()),
    "synchronizing": lambda x: x * x.sum().item(),
    "copies from memory of the host": lambda x: x * torch.ones(3).to("cuda", non_blocking=True),
}


@pytest.mark.parametrize("reason", IMPOSSIBLE)
def test_functions_that_a_graph_would_change_are_refused(reason: str) -> None:
    x = torch.ones(3, device="cuda", requires_grad=True)
    with pytest.raises(RuntimeError, match=reason):
        GraphedFunction(lambda y: [IMPOSSIBLE[reason](y)], [x])
    assert not torch.cuda.is_current_stream_capturing()


def test_check_compares_results_and_gradients() -> None:
    x = torch.ones(3, device="cuda", requires_grad=True)
    factors = [1.0]
    function = GraphedFunction(lambda y: [y * factors[0], y * 2], [x])
    function.check([x], 1e-6)
    factors[0] = 1.1
    function.check([x], 0.2)
    with pytest.raises(RuntimeError, match="differ"):
        function.check([x], 1e-3)
    scale = GraphedFunction(lambda y: [y + (y * factors[0] - (y * factors[0]).detach())], [x])
    factors[0] = 3.0
    with pytest.raises(RuntimeError, match="differ"):
        scale.check([x], 1e-3)


@pytest.fixture
def executor() -> GraphExecutor:
    torch.manual_seed(0)
    return GraphExecutor(NasBench201(channels=4, cells_per_stage=1, classes=3, shape=(3, 8, 8)).supernet().cuda())


def architecture(executor: GraphExecutor) -> Architecture:
    weights = torch.full((6, 5), 0.2, device="cuda", requires_grad=True)
    return {"cell": EdgeWeights(weights, [[True] * 5] * 6)}


def test_passes_are_eager_while_a_backward_pass_may_follow(executor: GraphExecutor) -> None:
    arch, x = architecture(executor), images(0)
    for _ in range(2):
        executor.forward(x, arch).sum().backward()
    replays = Graph.replays
    first = executor.forward(x, arch)
    assert Graph.replays == replays + 1
    second = executor.forward(x, arch)
    assert Graph.replays == replays + 1
    torch.testing.assert_close(first, second)
    grads = [torch.autograd.grad(out.sum(), [arch["cell"].op]) for out in (second, first)]
    torch.testing.assert_close(grads[0], grads[1])


def test_other_kinds_of_passes_have_their_own_graphs(executor: GraphExecutor) -> None:
    arch, x = architecture(executor), images(0)

    def graphs() -> int:
        created = Graph.created
        for _ in range(3):
            executor.forward(x, arch).sum().backward()
        return (Graph.created - created) // 2

    assert (graphs(), graphs()) == (1, 0)
    x = x[:2]
    assert graphs() == 1, "a smaller batch"
    for p in executor.network.parameters():
        p.requires_grad_(False)
    assert graphs() == 1, "frozen weights"
    arch["cell"].active[0][1] = False
    assert graphs() == 1, "fewer ops"
    for p in executor.network.parameters():
        p.data = p.data.clone()
    assert graphs() == 1, "weights that moved"
    executor.network.eval()
    assert graphs() == 1, "evaluation mode"
    with torch.autocast("cuda", torch.bfloat16):
        assert graphs() == 1, "another precision"
    assert graphs() == 0


def test_one_line_names_the_reason_for_eager_steps(executor: GraphExecutor, caplog: pytest.LogCaptureFixture) -> None:
    def wait(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output * output.mean().item()

    executor.network.get_submodule("classifier").register_forward_hook(wait)
    arch, x = architecture(executor), images(0)
    with caplog.at_level(logging.WARNING):
        outputs = [executor.forward(x, arch) for _ in range(4)]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "cuda_graphs    not available, steps run eagerly"
    ]
    assert all(torch.equal(outputs[0], out) for out in outputs)


def path(executor: GraphExecutor, columns: tuple[int, ...]) -> Architecture:
    weights = torch.tensor([[0.1 * column + 0.5 for column in range(5)]] * 6).cuda().requires_grad_()
    return {"cell": EdgeWeights(weights, [[column == chosen for column in range(5)] for chosen in columns])}


def gradients(executor: GraphExecutor, x: Tensor, arch: Architecture, eager: bool) -> list[Tensor | None]:
    """Return the logits and the gradients of mixing weights and weights of a pass.

    Mixing weights that have no effect have a gradient of zero or none.
    """
    executor.network.zero_grad()
    logits = executor.network(x, arch) if eager else executor.forward(x, arch)
    (logits.square().sum()).backward()
    weights = arch["cell"].op
    mixing = torch.zeros_like(weights) if weights.grad is None else weights.grad
    return [logits.detach(), mixing, *(p.grad for p in executor.network.parameters())]


def test_paths_share_the_graphs_of_their_ops(executor: GraphExecutor) -> None:
    """The columns are none, skip, 1x1 and 3x3 convolution and pooling; some paths cut the input or a node off."""
    x, chooser = images(0), random.Random(0)
    paths = [tuple(chooser.randrange(5) for _ in range(6)) for _ in range(8)]
    paths += [(0, 3, 0, 2, 0, 3), (3, 0, 0, 0, 0, 0), (3, 2, 3, 2, 0, 1)]
    created = Graph.created
    for turn in range(2):
        for columns in paths:
            arch = path(executor, columns)
            expected = gradients(executor, x, path(executor, columns), eager=True)
            found = gradients(executor, x, arch, eager=False)
            assert [a is None for a in found] == [b is None for b in expected], columns
            for a, b in zip(found, expected, strict=True):
                if a is not None:
                    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
        assert executor.enabled
        assert turn == 0 or Graph.created == created, "a second turn needs no capture"
        assert turn == 1 or Graph.created > created
        created = Graph.created


def test_a_path_keeps_its_results_until_its_backward_pass(executor: GraphExecutor) -> None:
    x, arch = images(0), path(executor, (3, 2, 3, 2, 0, 1))
    for _ in range(2):
        executor.forward(x, arch).sum().backward()
    first = executor.forward(x, arch)
    second = executor.forward(x, path(executor, (1, 1, 1, 1, 1, 1)))
    third = executor.forward(x, arch)
    torch.testing.assert_close(first, third)
    assert not torch.equal(first, second)
    torch.testing.assert_close(
        torch.autograd.grad(first.square().sum(), [arch["cell"].op])[0],
        torch.autograd.grad(third.square().sum(), [arch["cell"].op])[0],
    )


def test_dropped_graphs_free_the_supernet(executor: GraphExecutor) -> None:
    x = images(0)
    for arch in (path(executor, (3, 2, 3, 2, 0, 1)), architecture(executor)):
        for _ in range(3):
            executor.forward(x, arch).sum().backward()
    network, graphs = weakref.ref(executor.network), [weakref.ref(graph) for graph in executor._graphs.values()]
    assert len(graphs) == 2
    executor._graphs.clear()
    executor.network = None  # type: ignore[assignment]
    executor._parameters, executor._buffers, executor._values = [], [], []
    gc.collect()
    assert [ref() for ref in (network, *graphs)] == [None] * 3


def test_hooks_are_called(executor: GraphExecutor) -> None:
    calls: list[int] = []
    executor.network.get_submodule("classifier").register_forward_hook(lambda *args: calls.append(1))
    for _ in range(4):
        executor.forward(images(0), architecture(executor))
    assert len(calls) == 4


def test_a_required_capture_that_fails_is_an_error(executor: GraphExecutor) -> None:
    executor.required = True
    executor.network.get_submodule("classifier").register_forward_hook(lambda *args: None)
    executor.forward(images(0), architecture(executor))
    with pytest.raises(NasError, match="cuda_graphs=true: the steps cannot be captured"):
        executor.forward(images(0), architecture(executor))
