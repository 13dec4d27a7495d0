"""Estimates of the duration of a search on a CPU, and of the time that its compilation costs and saves."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from nas.nn.edges.mixed import MixedEdge
from nas.nn.network_compiler import distinct_pieces

FLOPS_PER_THREAD = 4e10
"""Floating-point operations a second of eager steps on a CPU thread; NAS-Bench-201 supernets reach 1.5e10 to 6e10."""
SAVED = 0.06
"""Share of an eager step that compiled edges save relative to folded edges, which take two thirds of the step.

Measured: 0.06 to 0.11.
"""
SECONDS_PER_MODULE = 2.0
"""Seconds that one module of an op takes to compile, in one kind of step; measured on two cores: 1.3."""


NETWORK_SAVED = 0.06
"""Share of an eager step of a training that compilation saves; measured on a busy machine: 0.02 to 0.07."""


class CompileEstimate(NamedTuple):
    """Estimated seconds of a run."""

    eager: float
    """Duration of all steps without compilation."""
    cost: float
    """Duration of the compilation, if nothing is cached."""
    share: float = SAVED
    """Share of a step that compilation saves."""

    @property
    def saved(self) -> float:
        """The duration that compiled steps save."""
        return self.share * self.eager

    @property
    def pays(self) -> bool:
        """True if compiled steps save more than the compilation costs."""
        return self.saved > self.cost


def estimate_seconds(macs: float, threads: int) -> float:
    """Return the seconds that ``macs`` multiply-adds take in eager steps on CPU threads.

    The estimate depends on no measurement, so that a resumed run has the same.
    """
    return 2 * macs / (FLOPS_PER_THREAD * threads)


def estimate_compile(network: nn.Module, macs: float, threads: int) -> CompileEstimate:
    """Estimate the duration of a run with ``macs`` multiply-adds and of the compilation of its edges."""
    return CompileEstimate(estimate_seconds(macs, threads), SECONDS_PER_MODULE * 2 * count_modules(network))


def estimate_network_compile(network: nn.Module, macs: float, threads: int) -> CompileEstimate:
    """Estimate the duration of a training with ``macs`` multiply-adds and of the compilation of its network."""
    cost = SECONDS_PER_MODULE * sum(map(count_layers, distinct_pieces(network)))
    return CompileEstimate(estimate_seconds(macs, threads), cost, NETWORK_SAVED)


def count_layers(module: nn.Module) -> int:
    """Return the number of layers in a module."""
    return sum(next(layer.children(), None) is None for layer in module.modules())


def count_modules(network: nn.Module) -> int:
    """Return the number of layers on edges of different structure, which are compiled once each."""
    edges = {repr(module): module for module in network.modules() if isinstance(module, MixedEdge)}
    return sum(map(count_layers, edges.values()))
