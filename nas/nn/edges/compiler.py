"""Compilation of mixed edges by ``torch.compile``, shared by all edges of one shape."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE
from nas.nn.compile_cache import remove_cut_entries
from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.ops import Noise

MAX_GRAPHS = 256
"""Largest number of graphs. An edge has one per structure, shape, memory format and kind of step."""
RANDOM = (Noise, nn.modules.dropout._DropoutNd)
"""Layers that draw random numbers; custom ops may have dropout."""

UNREADABLE = (ImportError, SyntaxError, EOFError, pickle.UnpicklingError)
"""Errors of a cut or damaged file of compiled code."""

DAMAGED_CACHE = "If an interrupted compilation has damaged the cache, set TORCHINDUCTOR_CACHE_DIR to an empty directory"


class EdgeCompiler:
    """Executes mixed edges by code that ``torch.compile`` generates.

    The ops of an edge and their weighted sum are one graph. Edges of equal structure and shapes share it. A graph
    computes the gradients of those inputs that require one: the graph of an architecture step, whose weights are
    frozen, has no gradients of weights.

    Edges with one active op run eagerly, as do passes without gradients, batches of another size, and ops that draw
    random numbers or that an edge changes. Compiled, a sampled op is no faster (measured on a CPU). Results are equal
    to those of eager execution up to rounding. Parameter names and random numbers are the same.

    Args:
        batch_size: number of images of the compiled passes.
        backend: backend of ``torch.compile``.
    """

    def __init__(self, batch_size: int, backend: str | Callable[..., Any] = "inductor") -> None:
        options: dict[str, Any] = {"options": {"fallback_random": True}} if backend == "inductor" else {}
        if "isolate_recompiles" in inspect.signature(torch.compile).parameters:  # earlier versions keep 8 graphs
            options |= {"recompile_limit": MAX_GRAPHS, "isolate_recompiles": True}
        self._mix = torch.compile(_mix, dynamic=False, backend=backend, **options)
        self.batch_size = batch_size
        self._deterministic: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()

    def accepts(self, x: Tensor, row: EdgeRow) -> bool:
        """Return whether an edge is compiled for ``x`` [B, C, H, W] under ``row``."""
        return len(x) == self.batch_size and sum(row.active) > 1 and torch.is_grad_enabled()

    def mixture(self, edge: MixedEdge, x: Tensor, row: EdgeRow) -> Tensor | None:
        """Return the weighted sum of the active ops of an edge times its scale, None if all of them are ``none``."""
        names = [(c, n) for c, n in enumerate(edge.names) if row.active[c] and n is not None and n != NONE]
        fixed = [(c, n) for c, n in names if edge.is_plain(n) and self._is_deterministic(edge[n])]
        terms = [row.weight(c) * edge.op_output(n, x) for c, n in names if (c, n) not in fixed]
        if fixed:
            ops, columns = tuple(edge[n] for _, n in fixed), tuple(c for c, _ in fixed)
            terms.append(self._mix(ops, columns, x, row.vector()))
        inactive = row.scaled(row.inactive_weight()) if edge.add_inactive else None
        if inactive is not None:
            terms.append(inactive)
        return _sum(terms) if terms else None

    def _is_deterministic(self, op: nn.Module) -> bool:
        if op not in self._deterministic:
            self._deterministic[op] = not any(isinstance(module, RANDOM) for module in op.modules())
        return self._deterministic[op]


def _mix(ops: tuple[nn.Module, ...], columns: tuple[int, ...], x: Tensor, weights: Tensor) -> Tensor:
    return _sum([weights[column] * op(x) for column, op in zip(columns, ops, strict=True)])


def _sum(terms: Sequence[Tensor]) -> Tensor:
    out = terms[0]
    for term in terms[1:]:
        out = out + term
    return out


def find_compiler_error(device: torch.device, backend: str = "inductor") -> str | None:
    """Compile and run a small function, and return the reason if that fails.

    A cut file in the cache of PyTorch is such a reason, and the text names its remedy.
    """
    remove_cut_entries()
    try:
        torch.compile(_probe, dynamic=False, backend=backend)(torch.zeros(8, device=device))
    except Exception as error:  # whatever a missing or broken C++ compiler, Triton or platform leads to
        cause = getattr(error, "inner_exception", error)  # the first line of the outer one names the backend alone
        text = f"{type(cause).__name__}: {cause}".splitlines()[0][:200]
        return f"{text}. {DAMAGED_CACHE}" if isinstance(cause, UNREADABLE) else text
    return None


def compile_backends() -> list[str]:
    """Return the names of the backends of ``torch.compile``, those for debugging included."""
    import torch._dynamo  # takes a second

    return torch._dynamo.list_backends(exclude_tags=())


def _probe(x: Tensor) -> Tensor:
    return (x + 1).relu()
