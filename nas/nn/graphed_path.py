"""A pass through a supernet under sampled paths, as CUDA graphs of its fixed parts and of its edges."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nas.nn.edges.edge_graphs import EdgeGraphs, EdgeSlot
from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.replayed_pass import (
    Function,
    GraphMemory,
    ReplayedPass,
    begin_capture,
    capture_stream,
    differentiate,
    end_capture,
    preserved,
    release_memory,
    warm_up,
)

Path = Callable[[Sequence[bool]], tuple[Sequence[bool], Sequence[bool] | None]]
"""Maps the flags of an edge in the captured architecture to the active and the measured ops of the edge in another."""


class Tape:
    """Work that is captured in several graphs, with places for the graphs of edges between them."""

    def __init__(self, memory: GraphMemory) -> None:
        self._memory = memory
        self._items: list[torch.cuda.CUDAGraph | int] = []
        self._graph: torch.cuda.CUDAGraph | None = None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Capture the work of the context."""
        with capture_stream(self._memory):
            self._begin()
            try:
                yield
            except BaseException:
                with suppress(RuntimeError):  # it would hide the first error
                    self._end()
                raise
            self._end()

    def cut(self, position: int) -> None:
        """Insert the place of an edge."""
        self._end()
        self._items.append(position)
        self._begin()

    def replay(self, edges: Sequence[torch.cuda.CUDAGraph]) -> None:
        """Replay the graphs in order, with those of the edges at their places."""
        for item in self._items:
            (edges[item] if isinstance(item, int) else item).replay()

    def _begin(self) -> None:
        self._graph = torch.cuda.CUDAGraph()
        begin_capture(self._graph, self._memory)

    def _end(self) -> None:
        assert self._graph is not None
        if end_capture(self._graph):
            self._items.append(self._graph)


class GraphedPath(ReplayedPass):
    """A function of tensors that executes edges of a network, each under the ops that a path selects.

    The work between the edges is captured once. An edge has a pair of graphs for each of its ops. A new path thus
    needs no capture once its ops have been used. Results are those of the function, but that an edge without output
    contributes zeros. The conditions of ``ReplayedPass`` apply.

    Args:
        function: maps tensors to at least one tensor; it executes edges of ``network``. The list ``EdgeRow.active`` of
            an edge is the same object in each call, and ``select`` passes it to the path.
        network: the supernet.
        inputs: example inputs.
        parameters: tensors apart from the inputs that the results depend on. They must keep their memory.
        state: tensors that the function changes.
        stream: stream of the captures.

    Raises:
        RuntimeError: if the function cannot be captured.
    """

    def __init__(
        self,
        function: Function,
        network: nn.Module,
        inputs: Sequence[Tensor],
        parameters: Sequence[Tensor],
        state: Sequence[Tensor],
        stream: torch.cuda.Stream | None = None,
    ) -> None:
        super().__init__(function, inputs, parameters, state, GraphMemory(stream))
        self._edges = [module for module in network.modules() if isinstance(module, MixedEdge)]
        of_edges = {id(p) for edge in self._edges for p in edge.parameters()}
        self._anchor = torch.zeros((), device=self.inputs[0].device, requires_grad=True)
        fixed = [p for p in self.parameters if id(p) not in of_edges]
        self._sources = [*(x for x in self.inputs if x.requires_grad), *fixed]
        self._flags: list[Sequence[bool]] = []
        self._slots: list[EdgeSlot] = []
        self._selected: list[EdgeGraphs] = []
        with preserved(self.state, self.inputs[0].device), self._replaced(self._probe):
            warm_up(self._warm_up, self.memory)
        release_memory()
        self._tapes = Tape(self.memory), Tape(self.memory)
        self._places: dict[Any, int] = {}  # positions of edges by their nodes in the autograd graph
        self._sources_of: list[Any] = []  # node of the input of each edge
        self._grads: list[Tensor | None] = []
        # the autograd graph of the results keeps the memory of the forward pass until the backward pass
        self._kept = self._capture()

    def _capture(self) -> Sequence[Tensor]:
        """Capture the work between the edges, and return the results of the forward pass."""
        with self._replaced(self._place), self._tapes[0].recording():
            outputs = self.function(*self.inputs)
        self.set_outputs(outputs)
        self._reached = [self._upstream([node]) for node in self._sources_of]
        self._reached_by_outputs = self._upstream([x.grad_fn for x in outputs])
        self._places, self._sources_of = {}, []  # the garbage collector does not see references from these nodes
        if self.differentiable:
            with torch.autograd.set_multithreading_enabled(False), self._tapes[1].recording():
                self._grads = self._differentiate(outputs, self.output_grads)
        return outputs

    def select(self, path: Path) -> None:
        """Use the ops of a path in the following call."""
        self._selected = [slot.graphs(*path(flags)) for slot, flags in zip(self._slots, self._flags, strict=True)]

    def replay_forward(self) -> None:
        self._tapes[0].replay([graphs.forward for graphs in self._selected])

    def replay_backward(self) -> list[Tensor | None]:
        self._tapes[1].replay([graphs.backward for graphs in self._selected])
        edges, fixed = self._find_reached()
        found = {
            id(x): grad
            for x, grad in zip(self._sources, self._grads, strict=True)
            if not isinstance(x, nn.Parameter) or id(x) in fixed
        }
        for position in edges:
            graphs = self._selected[position]
            for parameter, grad in zip(graphs.parameters, graphs.parameter_grads, strict=True):
                if grad is not None:
                    before = found.get(id(parameter))  # of another use of the edge
                    found[id(parameter)] = grad if before is None else before + grad
        return [found.get(id(x)) for x in (*self.inputs, *self.parameters)]

    def _find_reached(self) -> tuple[list[int], set[int]]:
        """Return the edges and the ids of the fixed parameters that the results depend on under the current path.

        Parameters behind ops without output have no gradient, rather than zero, so that optimizers skip them.
        """
        edges, fixed = set(self._reached_by_outputs[0]), set(self._reached_by_outputs[1])
        reached = []
        for position in reversed(range(len(self._slots))):
            if position in edges and self._selected[position].has_output:
                reached.append(position)
                if self._selected[position].reads_input:
                    edges |= self._reached[position][0]
                    fixed |= self._reached[position][1]
        return reached, fixed

    def _upstream(self, nodes: Sequence[Any]) -> tuple[set[int], set[int]]:
        """Return the last edges before nodes of the autograd graph, and the ids of the parameters between them."""
        edges: set[int] = set()
        parameters: set[int] = set()
        seen: set[Any] = set()
        todo = [node for node in nodes if node is not None]
        while todo:
            node = todo.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in self._places:
                edges.add(self._places[node])
            elif hasattr(node, "variable"):
                parameters.add(id(node.variable))
            else:
                todo += [following for following, _ in node.next_functions if following is not None]
        return edges, parameters

    def _warm_up(self) -> None:
        self._flags, self._slots = [], []
        outputs = self.function(*self.inputs)
        self._differentiate(outputs, [torch.zeros_like(x) for x in outputs if x.requires_grad])
        if not self._slots:
            raise RuntimeError("the pass executes no edges with candidate ops")

    def _differentiate(self, outputs: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor | None]:
        return differentiate(outputs, [*self._sources, self._anchor], grads, keep=True)[:-1]

    @contextmanager
    def _replaced(self, forward: Callable[[MixedEdge, Tensor, EdgeRow], Tensor]) -> Iterator[None]:
        """Execute the edges by another function."""

        def replacement(edge: MixedEdge) -> Callable[..., Tensor]:
            return lambda x, row: forward(edge, x, row)

        for edge in self._edges:
            edge.forward = replacement(edge)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for edge in self._edges:
                del edge.forward

    def _probe(self, edge: MixedEdge, x: Tensor, row: EdgeRow) -> Tensor:
        """Execute all ops of an edge, reserve its memory, and return one of the outputs."""
        outputs = []
        for column, name in enumerate(edge.names):
            if name is not None:
                active = [other == column for other in range(len(edge.names))]
                outputs.append(type(edge).forward(edge, x, EdgeRow(row.weights, active, row.scale)))
        found = [out for out in outputs if out is not None] or [edge.zeros(x)]
        if len({(out.shape, out.dtype) for out in found}) > 1:
            raise RuntimeError("the outputs of the ops of an edge differ in dtype or shape")
        self._flags.append(row.active)
        self._slots.append(
            EdgeSlot(edge, [value.detach() for value in _inputs(x, row)], found[0].detach(), self.memory.stream)
        )
        return found[0]

    def _place(self, edge: MixedEdge, x: Tensor, row: EdgeRow) -> Tensor:
        """Cut the pass at an edge, and return the memory of its output."""
        trained = any(p.requires_grad for p in edge.parameters())
        position = len(self._sources_of)
        out: Tensor = _Place.apply(self, position, self._anchor if trained else None, *_inputs(x, row))
        self._places[out.grad_fn] = position
        self._sources_of.append(x.grad_fn)
        return out

    def cut(self, backward: bool, position: int) -> None:
        """Insert the place of an edge into the forward or the backward pass."""
        self._tapes[backward].cut(position)

    def slot(self, position: int) -> EdgeSlot:
        """Return the memory of an edge."""
        return self._slots[position]


def _inputs(x: Tensor, row: EdgeRow) -> list[Tensor]:
    """Return the tensors that an edge reads."""
    return [x, row.vector()] if row.scale is None else [x, torch.stack(list(row.weights)), row.scale]


class _Place(torch.autograd.Function):
    """The place of an edge in the captured work: the identity of its memory."""

    @staticmethod
    def forward(ctx: Any, path: GraphedPath, position: int, anchor: Tensor | None, *inputs: Tensor) -> Tensor:
        slot = path.slot(position)
        slot.attach(inputs)
        path.cut(False, position)
        ctx.path, ctx.position = weakref.proxy(path), position  # a path keeps the nodes of its autograd graph
        return slot.out.view_as(slot.out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        slot = ctx.path.slot(ctx.position)
        slot.out_grad.copy_(grad)
        ctx.path.cut(True, ctx.position)
        return None, None, None, *slot.grads
