"""Base class of passes that are replayed as CUDA graphs, and helpers of their capture."""

from __future__ import annotations

import gc
import random
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Function = Callable[..., Sequence[Tensor]]
WARMUP = 3
"""Executions before a capture, in which libraries select their kernels, as in ``make_graphed_callables``."""


class GraphMemory:
    """Memory pool of graphs. A pass of one of them overwrites the results of all others, so passes must not overlap.

    Args:
        stream: stream of the captures, by default a new one. Graphs share memory only if they have one stream, and a
            backward pass is executed on the stream of its forward pass.
    """

    def __init__(self, stream: torch.cuda.Stream | None = None) -> None:
        self.pool = torch.cuda.graph_pool_handle()
        self.stream = torch.cuda.Stream() if stream is None else stream
        self._unfinished: Callable[[], object | None] = lambda: None

    @property
    def is_busy(self) -> bool:
        """Return whether the backward pass of a call is still possible. Another call would make it wrong."""
        return self._unfinished() is not None

    def begin(self) -> object:
        """Return a token that marks the memory as busy as long as it exists."""
        token = _Token()
        self._unfinished = weakref.ref(token)
        return token


class _Token:
    """Token of a call, which exists until its backward pass."""


class ReplayedPass(ABC):
    """A function of tensors whose forward and backward passes are replayed on fixed memory.

    A call copies the inputs to that memory, replays the forward pass and returns copies of the results. The backward
    pass likewise returns copies of the gradients. A replay launches many kernels at once, which saves the time that
    Python and PyTorch take for each of them. The kernels, and with them the results, are those of the function itself,
    random numbers included: a graph continues the default generator of the device.

    The function must have the same kernels in each call. It must not wait for the device, copy from the host, or
    depend on Python values that change. Results are differentiable once.

    Args:
        function: maps tensors to at least one tensor.
        inputs: example inputs. A call has inputs of the same shapes, dtypes, strides and ``requires_grad``.
        parameters: tensors apart from the inputs that the results depend on. They must keep their memory.
        state: tensors that the function changes, such as the statistics of batch norm.
        memory: memory of the graphs.
    """

    def __init__(
        self,
        function: Function,
        inputs: Sequence[Tensor],
        parameters: Sequence[Tensor],
        state: Sequence[Tensor],
        memory: GraphMemory,
    ) -> None:
        self.function, self.state, self.memory = function, list(state), memory
        self.inputs = [x.detach().clone().requires_grad_(x.requires_grad) for x in inputs]
        self.parameters = [p for p in parameters if p.requires_grad]
        self.outputs: list[Tensor] = []
        self.differentiable: list[int] = []
        """Positions of the results that have a gradient."""
        self.output_grads: list[Tensor] = []

    @abstractmethod
    def replay_forward(self) -> None:
        """Compute ``outputs`` from ``inputs``."""

    @abstractmethod
    def replay_backward(self) -> list[Tensor | None]:
        """Return the gradients of inputs and parameters for ``output_grads``, in the memory of the graphs."""

    def set_outputs(self, outputs: Sequence[Tensor]) -> None:
        """Set the memory of the results, and reserve that of their gradients."""
        self.outputs = [x.detach() for x in outputs]
        self.differentiable = [i for i, x in enumerate(outputs) if x.requires_grad]
        self.output_grads = [torch.zeros_like(outputs[i]) for i in self.differentiable]

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the results for other inputs, with the autograd graph of a single function.

        Raises:
            RuntimeError: if another pass in the same memory has not ended.
        """
        outputs: tuple[Tensor, ...] = _Replay.apply(self, *inputs, *self.parameters)
        return outputs

    def run_forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return copies of the results for ``inputs``."""
        with torch.no_grad():
            torch._foreach_copy_(self.inputs, list(inputs))
        self.replay_forward()
        return [x.clone() for x in self.outputs]

    def run_backward(self, gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return copies of the gradients for those of all results; None stands for zeros."""
        for i, static in zip(self.differentiable, self.output_grads, strict=True):
            given = gradients[i]
            static.zero_() if given is None else static.copy_(given)
        grads = self.replay_backward()
        found = [grad for grad in grads if grad is not None]
        copies = iter(torch._foreach_clone(found) if found else [])
        return [None if grad is None else next(copies) for grad in grads]

    def check(self, inputs: Sequence[Tensor], tolerance: float) -> None:
        """Compare a replay with the function itself. ``state`` and random numbers do not change.

        Args:
            inputs: inputs of both.
            tolerance: largest norm of a difference, relative to the norm of all results, of all gradients of inputs,
                or of all gradients of parameters.

        Raises:
            RuntimeError: if results or gradients differ.
        """
        expected = self._evaluate(self.function, inputs)
        for before, replayed in zip(expected, self._evaluate(self, inputs, expected[0]), strict=True):
            differences = [(a - b).norm() for a, b in zip(before, replayed, strict=True)]
            if before and not bool(_norm(differences) <= tolerance * _norm([x.norm() for x in before])):
                raise RuntimeError("the results of the CUDA graph differ from those of the pass itself")

    def _evaluate(
        self, function: Function, inputs: Sequence[Tensor], gradients: Sequence[Tensor] | None = None
    ) -> list[list[Tensor]]:
        """Return results and all gradients of inputs and parameters, in float32 and without NaN.

        ``gradients`` are those of the results, by default the results.
        """
        with preserved(self.state, self.inputs[0].device):
            leaves = [x.detach().requires_grad_(x.requires_grad) for x in inputs]
            outputs = function(*leaves)
            results = [x.detach() for x in outputs]
            given = [(gradients or results)[i].to(results[i].dtype) for i in self.differentiable]
            found: list[Sequence[Tensor]] = [results]
            sources = [x for x in leaves if x.requires_grad]
            if given:
                every = differentiate(outputs, [*sources, *self.parameters], given)
                filled = [results[0].new_zeros(()) if grad is None else grad for grad in every]
                found += [filled[: len(sources)], filled[len(sources) :]]
        return [[torch.nan_to_num(x.float()) for x in part] for part in found]


class _Replay(torch.autograd.Function):
    """A call of a ``ReplayedPass``."""

    @staticmethod
    def forward(ctx: Any, replayed: ReplayedPass, *tensors: Tensor) -> tuple[Tensor, ...]:
        if replayed.memory.is_busy:
            raise RuntimeError("another pass in the memory of the CUDA graph has not ended")
        ctx.replayed, ctx.token = replayed, replayed.memory.begin()
        outputs = replayed.run_forward(tensors[: len(replayed.inputs)])
        constant = [x for i, x in enumerate(outputs) if i not in replayed.differentiable]
        ctx.mark_non_differentiable(*constant)
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if ctx.token is None:
            raise RuntimeError("the backward pass of a CUDA graph can be replayed once per forward pass")
        ctx.token = None
        return None, *ctx.replayed.run_backward(gradients)


def differentiate(
    outputs: Sequence[Tensor], sources: Sequence[Tensor], grads: Sequence[Tensor], keep: bool = False
) -> list[Tensor | None]:
    """Return the gradients of ``sources`` for those of the differentiable outputs; ``keep`` the autograd graph."""
    results = [x for x in outputs if x.requires_grad]
    if not results or not sources:
        return [None for _ in sources]
    return list(torch.autograd.grad(results, list(sources), list(grads), retain_graph=keep, allow_unused=True))


def warm_up(run: Callable[[], object], memory: GraphMemory) -> None:
    """Execute a pass on the stream of its capture, because a capture must not be the first use of a library.

    Raises:
        RuntimeError: if the pass waits for the device, or draws random numbers on the host. They would be constants of
            a graph. A capture that fails would leave the allocator in an undefined state, so waits are found before.
    """
    host = _host_random_state()
    memory.stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(memory.stream):
        for _ in range(WARMUP - 1):
            run()
        with _refused_waits():
            run()
    torch.cuda.current_stream().wait_stream(memory.stream)
    if _host_random_state() != host:
        raise RuntimeError("the pass draws random numbers on the host, which a replay would repeat")


@contextmanager
def _refused_waits() -> Iterator[None]:
    """Let operations that wait for the device fail."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def release_memory() -> None:
    """Free unused objects and cached memory before a large capture, which must not free any memory itself."""
    gc.collect()
    torch.cuda.empty_cache()


def begin_capture(graph: torch.cuda.CUDAGraph, memory: GraphMemory) -> None:
    """Begin a capture on the current stream, that of the memory. Other threads may use the device meanwhile."""
    graph.capture_begin(memory.pool, capture_error_mode="thread_local")


def end_capture(graph: torch.cuda.CUDAGraph) -> bool:
    """End a capture, and return whether it has any work."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        graph.capture_end()
    return not any("empty" in str(warning.message) for warning in caught)


@contextmanager
def capture_stream(memory: GraphMemory) -> Iterator[None]:
    """Use the stream of the captures after all earlier work."""
    torch.cuda.synchronize()
    with torch.cuda.stream(memory.stream):
        yield


@contextmanager
def capturing(graph: torch.cuda.CUDAGraph, memory: GraphMemory) -> Iterator[None]:
    """Capture the work of a context."""
    with capture_stream(memory):
        begin_capture(graph, memory)
        try:
            yield
        except BaseException:
            with suppress(RuntimeError):  # it would hide the first error
                end_capture(graph)
            raise
        end_capture(graph)


@contextmanager
def preserved(state: Sequence[Tensor], device: torch.device) -> Iterator[None]:
    """Restore tensors and the random numbers of the device at the end."""
    saved, numbers = [x.detach().clone() for x in state], torch.cuda.get_rng_state(device)
    try:
        yield
    finally:
        with torch.no_grad():
            for x, before in zip(state, saved, strict=True):
                x.copy_(before)
        torch.cuda.set_rng_state(numbers, device)


def _norm(norms: Sequence[Tensor]) -> Tensor:
    """Return the norm of tensors by their norms."""
    return torch.stack(list(norms)).norm()


def _host_random_state() -> tuple[object, ...]:
    """Return the states of the generators of the host."""
    numpy = np.random.get_state(legacy=False)["state"]
    return random.getstate(), numpy["pos"], numpy["key"].tobytes(), torch.get_rng_state().numpy().tobytes()
