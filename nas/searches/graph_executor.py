"""Steps of a search whose passes through the supernet are replayed as CUDA graphs."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from nas.architecture.cell import Architecture, EdgeWeights
from nas.gradients.base import Weights, grad_or_zeros
from nas.nn.graphed_function import GraphedFunction
from nas.nn.graphed_path import GraphedPath
from nas.nn.replayed_pass import GraphMemory
from nas.spaces.base import Network, Output

log = logging.getLogger(__name__)

TOLERANCE = {torch.float32: 1e-2, torch.bfloat16: 0.1, torch.float16: 0.1}
"""Largest relative difference between a replay and the pass itself, by the dtype of autocast."""
CHECKED_PATHS = 3
"""Number of sampled paths whose replays are compared with the pass itself."""
MAX_GRAPHS = 64
"""Largest number of kinds of passes that are kept. A language model has one per length of a chunk."""


class GraphExecutor:
    """``StepExecutor`` that captures each kind of pass through a supernet as CUDA graphs, and replays them.

    A kind is captured at its second pass, and its first replay is compared with the pass itself. Passes of one kind
    have equal shapes and dtypes, execute the same ops, and differentiate with respect to the same tensors. Weights that
    moved in memory and other values of probabilities are other kinds. A pass is executed eagerly if its kind cannot be
    captured, or if the backward pass of an earlier one may still follow. Results are those of eager passes.

    Args:
        network: the supernet.
        other_weights: whether ``call_with`` is replayed, too. Its results are then differentiable once.
    """

    def __init__(self, network: Network, other_weights: bool = True) -> None:
        self.network, self.other_weights = network, other_weights
        self.memory = GraphMemory()
        self.enabled = True
        self._graphs: OrderedDict[Hashable, Graphs | None] = OrderedDict()
        self._parameters, self._buffers = list(network.parameters()), list(network.buffers())
        self._values = list(_values(network))

    def forward(self, x: Any, arch: Architecture) -> Tensor:
        """Return the logits of the supernet."""
        return self.outputs(x, arch).logits

    def outputs(self, x: Any, arch: Architecture) -> Output:
        """Return the outputs of the supernet."""
        if not self.enabled or self.memory.is_busy:
            return self.network.outputs(x, arch)
        inputs = self.network.pass_inputs(x)
        if not all(isinstance(x, Tensor) for x in inputs):
            return self.network.outputs(x, arch)
        graph = self._get(self._kind(inputs, arch), lambda: self._capture(inputs, arch))
        if not isinstance(graph, SupernetGraph) or graph.memory.is_busy or not self._prepared(graph, inputs, arch):
            return self.network.outputs(x, arch)
        output = graph(inputs, arch)
        self.network.end_pass(x, inputs, output)
        return output

    def call_with(self, weights: Weights, x: Any, arch: Architecture) -> Tensor:
        """Return the logits with ``weights`` in place of the parameters; a pass under a path is executed eagerly."""
        possible = self.enabled and self.other_weights and not self.memory.is_busy
        if not possible or not isinstance(x, Tensor) or is_path(arch):
            return self.network.call_with(weights, x, arch)
        tensors = [x, *_tensors(arch), *weights.values()]
        kind = self._kind((x,), arch), tuple([weight.requires_grad for weight in weights.values()])
        graph = self._get(kind, lambda: self._capture_with(tensors, arch, list(weights)))
        if not isinstance(graph, GraphedFunction):
            return self.network.call_with(weights, x, arch)
        return graph(*tensors)[0]

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradients of a loss in all parameters."""
        loss.backward()

    def update(self, optimizer: Optimizer, clip_norm: float | None, others: Sequence[nn.Parameter]) -> bool:
        """Return False: the search takes the step of the weights."""
        return False

    def grad(self, loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients of a loss with respect to ``inputs``."""
        return grad_or_zeros(loss, inputs)

    def _get(self, kind: Hashable, capture: Callable[[], Graphs]) -> Graphs | None:
        """Return the graphs of a kind; None in its first pass, and if they cannot be captured."""
        graphs = self._graphs.get(kind)
        if graphs is None and kind in self._graphs:
            try:
                graphs = capture()
            except RuntimeError as error:  # whatever an operator that cannot be captured leads to
                self._disable(error)
                return None
        self._graphs[kind] = graphs
        self._graphs.move_to_end(kind)
        while len(self._graphs) > MAX_GRAPHS:
            self._graphs.popitem(last=False)
        return graphs

    def _capture(self, inputs: Sequence[Tensor], arch: Architecture) -> SupernetGraph:
        return SupernetGraph(self.network, inputs, arch, self._parameters, self._buffers, self.memory)

    def _capture_with(self, tensors: Sequence[Tensor], arch: Architecture, names: Sequence[str]) -> GraphedFunction:
        """Capture a pass with other weights, the last ones of ``tensors``, and check its first replay."""
        autocast, tolerance = precision_of(tensors[0])

        def run(x: Tensor, *others: Tensor) -> list[Tensor]:
            mixing = iter(others[: -len(names)])
            weights = dict(zip(names, others[-len(names) :], strict=True))
            with autocast():
                own = {name: _with_tensors(value, mixing) for name, value in arch.items()}
                return [self.network.call_with(weights, x, own)]

        graph = GraphedFunction(run, tensors, (), (), self.memory)
        graph.check(tensors, tolerance)
        return graph

    def _prepared(self, graph: SupernetGraph, inputs: Sequence[Tensor], arch: Architecture) -> bool:
        """Prepare a replay, and return whether that was possible."""
        try:
            graph.prepare(inputs, arch)
        except RuntimeError as error:
            self._disable(error)
            return False
        return True

    def _disable(self, error: RuntimeError) -> None:
        """Execute all further passes eagerly, and log the reason."""
        self.enabled = False
        self._graphs.clear()
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        log.warning("cuda_graphs    not available, steps run eagerly: %s", reason)

    def _kind(self, inputs: Sequence[Tensor], arch: Architecture) -> Hashable:
        device, path = inputs[0].device.type, is_path(arch)
        return (
            path,
            torch.is_grad_enabled(),
            torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None,
            tuple((x.shape, x.dtype, x.stride()) for x in inputs),
            tuple((name, _kind_of(weights, path)) for name, weights in arch.items()),
            tuple([p.requires_grad for p in self._parameters]),
            tuple([p.data_ptr() for p in self._parameters]),
            tuple([values[name] for values, name in self._values]),
        )


class SupernetGraph:
    """A pass through a supernet under architectures of one kind, as CUDA graphs.

    Args:
        network: the supernet.
        inputs: the tensors of ``Network.pass_inputs``.
        arch: an architecture of the kind.
        parameters, buffers: of the network.
        memory: memory of the graphs of a pass that mixes ops. A pass under a sampled path has memory of its own.
    """

    def __init__(
        self,
        network: Network,
        inputs: Sequence[Tensor],
        arch: Architecture,
        parameters: Sequence[Tensor],
        buffers: Sequence[Tensor],
        memory: GraphMemory,
    ) -> None:
        self._fields: list[str] = []
        self._autocast, self._tolerance = precision_of(inputs[0])
        arch = {name: _with_own_flags(weights) for name, weights in arch.items()}
        self._arch = arch
        # the lists of an edge identify it
        self._rows = {id(row): (name, e) for name, weights in arch.items() for e, row in enumerate(weights.active)}

        def run(*tensors: Tensor) -> list[Tensor]:
            x, mixing = tensors[: len(inputs)], iter(tensors[len(inputs) :])
            with self._autocast():
                output = network.compute(x, {name: _with_tensors(weights, mixing) for name, weights in arch.items()})
            self._fields = [name for name, tensor in zip(Output._fields, output, strict=True) if tensor is not None]
            return [tensor for tensor in output if tensor is not None]

        tensors = [*inputs, *_tensors(arch)]
        self._pass: GraphedFunction | GraphedPath
        if is_path(arch):
            self._pass, self._unchecked = GraphedPath(run, network, tensors, parameters, buffers), CHECKED_PATHS
        else:
            self._pass, self._unchecked = GraphedFunction(run, tensors, parameters, buffers, memory), 1
        self.memory = self._pass.memory

    def prepare(self, inputs: Sequence[Tensor], arch: Architecture) -> None:
        """Capture the ops of a path that are not captured yet, and check the first replays.

        Raises:
            RuntimeError: if a capture or a check fails.
        """
        if isinstance(self._pass, GraphedPath):
            with self._autocast():
                self._pass.select(lambda flags: self._flags(arch, flags))
        if self._unchecked:
            self._unchecked -= 1
            for name, weights in self._arch.items():
                for row, flags in zip(weights.active, arch[name].active, strict=True):
                    row[:] = flags
                for row, flags in zip(weights.measured or [], arch[name].measured or [], strict=True):
                    row[:] = flags
            self._pass.check([*inputs, *_tensors(arch)], self._tolerance)

    def __call__(self, inputs: Sequence[Tensor], arch: Architecture) -> Output:
        """Return the outputs for the inputs and the architecture of ``prepare``."""
        return Output(**dict(zip(self._fields, self._pass(*inputs, *_tensors(arch)), strict=True)))

    def _flags(self, arch: Architecture, flags: Sequence[bool]) -> tuple[Sequence[bool], Sequence[bool] | None]:
        """Return the active and the measured ops of the edge that had ``flags`` in the capture."""
        name, row = self._rows[id(flags)]
        measured = arch[name].measured
        return arch[name].active[row], None if measured is None else measured[row]


Graphs = SupernetGraph | GraphedFunction


def precision_of(x: Tensor) -> tuple[Callable[[], Any], float]:
    """Return the current autocast as a context without its cache, and the tolerance of a check in its precision.

    The cache would keep casts of weights, which a replay must repeat.
    """
    device = x.device.type
    dtype, enabled = torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
    context = partial(torch.autocast, device, dtype, enabled=enabled, cache_enabled=False)
    return context, TOLERANCE[dtype if enabled else torch.float32]


def _tensors(arch: Architecture) -> list[Tensor]:
    return [tensor for weights in arch.values() for tensor in (weights.op, weights.edge) if tensor is not None]


def _with_tensors(weights: EdgeWeights, tensors: Iterator[Tensor]) -> EdgeWeights:
    op = next(tensors)
    return weights._replace(op=op, edge=None if weights.edge is None else next(tensors))


def _with_own_flags(weights: EdgeWeights) -> EdgeWeights:
    active, measured = weights.active, weights.measured
    return weights._replace(
        active=[list(row) for row in active], measured=None if measured is None else [list(row) for row in measured]
    )


def _kind_of(weights: EdgeWeights, path: bool) -> Hashable:
    """Return what passes of one kind have in common; paths of all ops are of one kind."""
    tensors = [x for x in (weights.op, weights.edge) if x is not None]
    shapes = tuple((x.shape, x.dtype, x.stride(), x.requires_grad) for x in tensors)
    flags = None if path else tuple(map(tuple, weights.active))
    return shapes, weights.edge is None, weights.measured is None, flags


def is_path(arch: Architecture) -> bool:
    """Return whether each edge has at most one active op."""
    return all(sum(row) <= 1 for weights in arch.values() for row in weights.active)


def _values(network: nn.Module) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the Python values that a pass depends on and that may change between steps, by their owner and name.

    These are numbers such as the probability of drop path, and the modes of the network and of modules with numbers.
    Those of batch norm are constants.
    """
    yield vars(network), "training"
    for module in network.modules():
        names = [name for name, value in vars(module).items() if isinstance(value, float)]
        if names and not isinstance(module, _BatchNorm):
            yield from ((vars(module), name) for name in (*names, "training"))
