"""A pass through a supernet as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nas.architecture.cell import Architecture, EdgeWeights
from nas.nn.graphed_function import GraphedFunction
from nas.nn.graphed_path import GraphedPath
from nas.nn.replayed_pass import GraphMemory
from nas.spaces.base import Network, Output

TOLERANCE = {torch.float32: 1e-2, torch.bfloat16: 0.1, torch.float16: 0.1}
"""Largest relative difference between a replay and the pass itself, by the dtype of autocast."""
CHECKED_PATHS = 3
"""Number of sampled paths whose replays are compared with the pass itself."""


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
        fields: list[str] = []
        self._fields, autocast = fields, precision_of(inputs[0])[0]
        self._autocast, self._tolerance = precision_of(inputs[0])
        arch = {name: _with_own_flags(weights) for name, weights in arch.items()}
        self._arch = arch
        # the lists of an edge identify it
        self._rows = {id(row): (name, e) for name, weights in arch.items() for e, row in enumerate(weights.active)}

        def run(*tensors: Tensor) -> list[Tensor]:
            x, mixing = tensors[: len(inputs)], iter(tensors[len(inputs) :])
            with autocast():
                output = network.compute(x, {name: with_tensors(weights, mixing) for name, weights in arch.items()})
            fields[:] = [name for name, tensor in zip(Output._fields, output, strict=True) if tensor is not None]
            return [tensor for tensor in output if tensor is not None]

        tensors = [*inputs, *tensors_of(arch)]
        self._pass: GraphedFunction | GraphedPath
        if is_path(arch):
            self._pass, self._unchecked = (
                GraphedPath(run, network, tensors, parameters, buffers, memory.stream),
                CHECKED_PATHS,
            )
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
            self._pass.check([*inputs, *tensors_of(arch)], self._tolerance)

    def __call__(self, inputs: Sequence[Tensor], arch: Architecture) -> Output:
        """Return the outputs for the inputs and the architecture of ``prepare``."""
        return Output(**dict(zip(self._fields, self._pass(*inputs, *tensors_of(arch)), strict=True)))

    def _flags(self, arch: Architecture, flags: Sequence[bool]) -> tuple[Sequence[bool], Sequence[bool] | None]:
        """Return the active and the measured ops of the edge that had ``flags`` in the capture."""
        name, row = self._rows[id(flags)]
        measured = arch[name].measured
        return arch[name].active[row], None if measured is None else measured[row]


def precision_of(x: Tensor) -> tuple[Callable[[], Any], float]:
    """Return the current autocast as a context without its cache, and the tolerance of a check in its precision.

    The cache would keep casts of weights, which a replay must repeat.
    """
    device = x.device.type
    dtype, enabled = torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
    context = partial(torch.autocast, device, dtype, enabled=enabled, cache_enabled=False)
    return context, TOLERANCE[dtype if enabled else torch.float32]


def tensors_of(arch: Architecture) -> list[Tensor]:
    """Return the weights of ops and edges in an architecture."""
    return [tensor for weights in arch.values() for tensor in (weights.op, weights.edge) if tensor is not None]


def with_tensors(weights: EdgeWeights, tensors: Iterator[Tensor]) -> EdgeWeights:
    """Return edge weights with the next tensors in place of their own."""
    op = next(tensors)
    return weights._replace(op=op, edge=None if weights.edge is None else next(tensors))


def _with_own_flags(weights: EdgeWeights) -> EdgeWeights:
    active, measured = weights.active, weights.measured
    return weights._replace(
        active=[list(row) for row in active], measured=None if measured is None else [list(row) for row in measured]
    )


def is_path(arch: Architecture) -> bool:
    """Return whether each edge has at most one active op."""
    return all(sum(row) <= 1 for weights in arch.values() for row in weights.active)
