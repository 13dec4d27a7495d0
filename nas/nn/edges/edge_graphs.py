"""CUDA graphs of a single edge under its active ops, in fixed memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.replayed_pass import GraphMemory, capturing, differentiate, preserved, warm_up

Flags = tuple[bool, ...]


class EdgeSlot:
    """One use of an edge in a pass: fixed memory of its input, weights and output, and of their gradients.

    Args:
        edge: the edge.
        inputs: examples of its input [B, C, H, W], of its weights [ops] and, if there is one, of its scale.
        output: example of its output; all of its ops have outputs of this shape and dtype.
        stream: stream of the captures.
    """

    def __init__(self, edge: MixedEdge, inputs: Sequence[Tensor], output: Tensor, stream: torch.cuda.Stream) -> None:
        self.edge = edge
        self.inputs: list[Tensor] = []
        self.grads = [torch.zeros_like(x) for x in inputs]
        self.out, self.out_grad = torch.zeros_like(output), torch.zeros_like(output)
        self._graphs: dict[tuple[Flags, Flags | None], EdgeGraphs] = {}
        self._memory = GraphMemory(stream)

    def attach(self, inputs: Sequence[Tensor]) -> None:
        """Set the tensors that the edge reads. They keep their memory."""
        self.inputs = [x.detach().requires_grad_(x.requires_grad) for x in inputs]

    def graphs(self, active: Sequence[bool], measured: Sequence[bool] | None) -> EdgeGraphs:
        """Return the graphs of the edge under active ops, which are captured at their first use."""
        key = tuple(active), None if measured is None else tuple(measured)
        if key not in self._graphs:
            self._graphs[key] = EdgeGraphs(self, *key, self._memory)
        return self._graphs[key]


class EdgeGraphs:
    """Forward and backward pass of an edge under its active ops, from the memory of a slot to that of the slot.

    Ops of one slot share their memory, because only one of them runs in a pass.

    Args:
        slot: memory of inputs, output and gradients.
        active, measured: flags of the ops (``EdgeRow``).
        memory: memory of the graphs.
    """

    def __init__(self, slot: EdgeSlot, active: Flags, measured: Flags | None, memory: GraphMemory) -> None:
        edge, self._slot = slot.edge, slot
        self._active, self._measured = active, measured
        self.parameters = [p for p in edge.parameters() if p.requires_grad]
        self._sources = [*(x for x in slot.inputs if x.requires_grad), *self.parameters]
        with preserved(list(edge.buffers()), slot.out.device):
            warm_up(self._backward_of_forward, memory)
        self.forward, self.backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with capturing(self.forward, memory):
            self._result = self._forward()
        with capturing(self.backward, memory):
            self.parameter_grads = self._backward(self._result)
        self.has_output = self._result is not None
        """Flag of an edge that has an output under these ops; another one contributes zeros."""
        _clear_memos(edge)

    def _backward_of_forward(self) -> None:
        self._backward(self._forward())

    def _forward(self) -> Tensor | None:
        """Execute the edge, write its output to the slot, and return it."""
        _clear_memos(self._slot.edge)  # of an earlier execution on the same input
        x, weights, *scale = self._slot.inputs
        row = EdgeRow(weights.unbind(0), self._active, scale[0] if scale else None, measured=self._measured)
        result: Tensor | None = type(self._slot.edge).forward(self._slot.edge, x, row)
        with torch.no_grad():
            self._slot.out.zero_() if result is None else self._slot.out.copy_(result)
        return result

    def _backward(self, result: Tensor | None) -> list[Tensor | None]:
        """Write the gradients of the inputs to the slot, and return those of the parameters."""
        outputs = [] if result is None else [result]
        # the tensors of the forward pass stay in their memory as long as its autograd graph exists
        found = differentiate(outputs, self._sources, [self._slot.out_grad], keep=True)
        by_input = iter(found)
        self.reads_input = self._slot.inputs[0].requires_grad and found[0] is not None
        with torch.no_grad():
            for x, grad in zip(self._slot.inputs, self._slot.grads, strict=True):
                value = next(by_input) if x.requires_grad else None
                grad.zero_() if value is None else grad.copy_(value)
        return list(by_input)


def _clear_memos(edge: MixedEdge) -> None:
    """Clear the caches of pools and ReLUs, which refer to the memory of a graph."""
    for module in edge.modules():
        memo = getattr(module, "memo", None)
        if memo:
            memo.clear()
