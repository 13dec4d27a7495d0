"""Estimates of the duration of a search on a CPU, and of what its compilation costs and saves."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from nas.nn.edges.mixed import MixedEdge

FLOPS_PER_THREAD = 4e10
"""Floating-point operations a second of eager steps on a CPU thread; NAS-Bench-201 supernets reach 1.5e10 to 6e10."""
SAVED = 0.15
"""Share of an eager step that compilation saves in addition to channels last; measured: 0.13 to 0.24."""
SECONDS_PER_MODULE = 4.0
"""Seconds that one module of an op takes to compile, in one kind of step; measured on two cores."""


class CompileEstimate(NamedTuple):
    """Estimated seconds of a run."""

    eager: float
    """Duration of all steps without compilation."""
    cost: float
    """Duration of the compilation, if nothing is cached."""

    @property
    def saved(self) -> float:
        """The duration that compiled steps save."""
        return SAVED * self.eager

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


def count_modules(network: nn.Module) -> int:
    """Return the number of layers on edges of different structure, which are compiled once each."""
    edges = {repr(module): module for module in network.modules() if isinstance(module, MixedEdge)}
    return sum(next(layer.children(), None) is None for edge in edges.values() for layer in edge.modules())
