"""A function of tensors whose forward and backward passes are one CUDA graph each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.nn.replayed_pass import (
    Function,
    GraphMemory,
    ReplayedPass,
    capturing,
    differentiate,
    preserved,
    release_memory,
    warm_up,
)


class GraphedFunction(ReplayedPass):
    """A function of tensors, captured as one CUDA graph for its forward pass and one for its backward pass.

    Compared with ``torch.cuda.make_graphed_callables``, gradients accumulate over several calls, and the warm-up has
    no effect on ``state`` and on random numbers.

    Args:
        function, inputs, parameters, state: see ``ReplayedPass``.
        memory: memory of the graphs, which they may share with others.

    Raises:
        RuntimeError: if the function cannot be captured, for example because it draws random numbers on the host.
    """

    def __init__(
        self,
        function: Function,
        inputs: Sequence[Tensor],
        parameters: Sequence[Tensor] = (),
        state: Sequence[Tensor] = (),
        memory: GraphMemory | None = None,
    ) -> None:
        super().__init__(function, inputs, parameters, state, GraphMemory() if memory is None else memory)
        self._sources = [x for x in (*self.inputs, *self.parameters) if x.requires_grad]
        with preserved(self.state, self.inputs[0].device):
            warm_up(self._warm_up, self.memory)
        release_memory()
        self._forward, self._backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with capturing(self._forward, self.memory):
            outputs = function(*self.inputs)
        self.set_outputs(outputs)
        self._grads: list[Tensor | None] = []
        if self.differentiable:
            with capturing(self._backward, self.memory):
                self._grads = differentiate(outputs, self._sources, self.output_grads)

    def replay_forward(self) -> None:
        self._forward.replay()

    def replay_backward(self) -> list[Tensor | None]:
        self._backward.replay()
        by_source = iter(self._grads)
        return [next(by_source) if x.requires_grad else None for x in (*self.inputs, *self.parameters)]

    def _warm_up(self) -> None:
        outputs = self.function(*self.inputs)
        differentiate(outputs, self._sources, [torch.zeros_like(x) for x in outputs if x.requires_grad])
