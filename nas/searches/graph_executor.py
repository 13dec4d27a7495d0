"""Steps of a search whose passes through the supernet are replayed as CUDA graphs."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from nas.architecture.cell import Architecture, EdgeWeights
from nas.gradients.base import Weights, grad_or_zeros
from nas.nn.graphed_function import GraphedFunction
from nas.nn.replayed_pass import GraphMemory
from nas.searches.supernet_graph import SupernetGraph, is_path, precision_of, tensors_of, with_tensors
from nas.spaces.base import Network, Output
from nas.utils.errors import NasError

log = logging.getLogger(__name__)

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
        stream: stream of the captures. Executors of the same weights need the same one.
        required: whether a pass that cannot be captured is an error.
    """

    def __init__(
        self,
        network: Network,
        other_weights: bool = True,
        stream: torch.cuda.Stream | None = None,
        required: bool = False,
    ) -> None:
        self.network, self.other_weights, self.required = network, other_weights, required
        self.memory = GraphMemory(stream)
        self.enabled = True
        self._graphs: OrderedDict[Hashable, Graphs] = OrderedDict()
        self._seen: OrderedDict[Hashable, None] = OrderedDict()  # kinds of one pass
        self._parameters, self._buffers = list(network.parameters()), list(network.buffers())
        self._values = list(_values(network))

    def forward(self, x: Any, arch: Architecture) -> Tensor:
        """Return the logits of the supernet."""
        output = self._replay(x, arch)
        return self.network(x, arch) if output is None else output.logits

    def outputs(self, x: Any, arch: Architecture) -> Output:
        """Return the outputs of the supernet."""
        output = self._replay(x, arch)
        return self.network.outputs(x, arch) if output is None else output

    def call_with(self, weights: Weights, x: Any, arch: Architecture) -> Tensor:
        """Return the logits with ``weights`` in place of the parameters; a pass under a path is executed eagerly."""
        possible = self.enabled and self.other_weights and not self.memory.is_busy
        if not possible or not isinstance(x, Tensor) or is_path(arch):
            return self.network.call_with(weights, x, arch)
        tensors = [x, *tensors_of(arch), *weights.values()]
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

    def _replay(self, x: Any, arch: Architecture) -> Output | None:
        """Return the outputs of a replay, None if the pass is to be executed eagerly."""
        if not self.enabled or self.memory.is_busy:
            return None
        inputs = self.network.pass_inputs(x)
        if not all(isinstance(x, Tensor) for x in inputs):
            return None
        graph = self._get(self._kind(inputs, arch), lambda: self._capture(inputs, arch))
        if not isinstance(graph, SupernetGraph) or graph.memory.is_busy or not self._prepared(graph, inputs, arch):
            return None
        output = graph(inputs, arch)
        self.network.end_pass(x, inputs, output)
        return output

    def _get(self, kind: Hashable, capture: Callable[[], Graphs]) -> Graphs | None:
        """Return the graphs of a kind; None in its first pass, and if they cannot be captured."""
        graphs = self._graphs.get(kind)
        if graphs is None and kind in self._seen:
            try:
                if any(m._forward_hooks or m._forward_pre_hooks for m in self.network.modules()):
                    raise RuntimeError("a module has forward hooks, which a replay does not call")
                graphs = capture()
            except RuntimeError as error:  # whatever an operator that cannot be captured leads to
                self._disable(error)
                return None
        self._remember(kind, graphs)
        return graphs

    def _remember(self, kind: Hashable, graphs: Graphs | None) -> None:
        """Store a kind of pass and its graphs, and remove the oldest ones if there are too many."""
        self._seen[kind] = None
        if graphs is not None:
            self._graphs[kind] = graphs
            self._graphs.move_to_end(kind)
        for kinds in (self._seen, self._graphs):
            while len(kinds) > MAX_GRAPHS:
                kinds.popitem(last=False)

    def _capture(self, inputs: Sequence[Tensor], arch: Architecture) -> SupernetGraph:
        return SupernetGraph(self.network, inputs, arch, self._parameters, self._buffers, self.memory)

    def _capture_with(self, tensors: Sequence[Tensor], arch: Architecture, names: Sequence[str]) -> GraphedFunction:
        """Capture a pass with other weights, the last ones of ``tensors``, and check its first replay."""
        autocast, tolerance = precision_of(tensors[0])

        def run(x: Tensor, *others: Tensor) -> list[Tensor]:
            mixing = iter(others[: -len(names)])
            weights = dict(zip(names, others[-len(names) :], strict=True))
            with autocast():
                own = {name: with_tensors(value, mixing) for name, value in arch.items()}
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
        """Execute all further passes eagerly, and log the reason. Raises NasError if graphs are required."""
        self.enabled = False
        self._graphs.clear()
        self._parameters, self._buffers, self._values = [], [], []  # a later stage may replace the supernet
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        if self.required:
            raise NasError(
                f"cuda_graphs=true: the steps cannot be captured ({reason}). Use cuda_graphs=auto."
            ) from error
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
            tuple([values.get(name) for values, name in self._values]),
        )


Graphs = SupernetGraph | GraphedFunction


def _kind_of(weights: EdgeWeights, path: bool) -> Hashable:
    """Return what passes of one kind have in common; paths of all ops are of one kind."""
    tensors = [x for x in (weights.op, weights.edge) if x is not None]
    shapes = tuple((x.shape, x.dtype, x.stride(), x.requires_grad) for x in tensors)
    flags = None if path else tuple(map(tuple, weights.active))
    return shapes, weights.edge is None, weights.measured is None, flags


def _values(network: nn.Module) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the Python values that a pass depends on and that may change between steps, by their owner and name.

    These are numbers such as the probability of drop path, attributes of custom ops, and the modes of the network, of
    batch norms and of modules with numbers.
    """
    yield vars(network), "training"
    for module in network.modules():
        kinds: tuple[type, ...] = (float,)
        if not type(module).__module__.startswith(("torch.", "nas.")):
            kinds = (float, int, str)  # a custom op
        names = [name for name, value in vars(module).items() if isinstance(value, kinds) and name != "training"]
        if isinstance(module, _BatchNorm):
            yield vars(module), "training"
        elif names:
            yield from ((vars(module), name) for name in (*names, "training"))
