"""CUDA graphs, streams and memory pools of the simulated device."""

from __future__ import annotations

import ctypes
import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

_pools = itertools.count(1)


class Graph:
    """Stand-in for ``torch.cuda.CUDAGraph``. Its replay executes the recorded operators on the same memory."""

    device: Any = None
    created = 0
    replays = 0

    def __init__(self, keep_graph: bool = False) -> None:
        self._graph: Any = None
        self._pool: Any = None
        Graph.created += 1

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        assert not self.device.sim_capturing(), "captures do not nest"
        self._pool = pool or graph_pool_handle()
        self.device.sim_capture_begin(self._pool[1])

    def capture_end(self) -> None:
        self._graph = self.device.sim_capture_end()
        if not self.device.sim_graph_size(self._graph):
            warnings.warn("The CUDA Graph is empty.", stacklevel=2)

    def replay(self) -> None:
        assert self._graph is not None, "replay without a capture"
        assert not self.device.sim_capturing(), "replay within a capture"
        Graph.replays += 1
        errors: list[str] = []
        self.device.sim_replay(self._graph, _failure(lambda text: errors.append(text.decode())))
        if errors:
            raise RuntimeError(errors[0])

    def reset(self) -> None:
        if self._graph is not None:
            self.device.sim_graph_free(self._graph)
            self._graph = None

    def pool(self) -> Any:
        return self._pool

    def __del__(self) -> None:
        self.reset()


_failure = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


@contextmanager
def graph(
    cuda_graph: Graph, pool: Any = None, stream: Any = None, capture_error_mode: str = "global"
) -> Iterator[None]:
    """Stand-in for ``torch.cuda.graph``."""
    cuda_graph.capture_begin(pool, capture_error_mode)
    try:
        yield
    finally:
        cuda_graph.capture_end()


def graph_pool_handle() -> tuple[int, int]:
    """Return a new pool."""
    return 0, next(_pools)


class Stream:
    """Stand-in for ``torch.cuda.Stream``: operators are executed in order."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.cuda_stream = 0

    def wait_stream(self, stream: Stream) -> None: ...

    def synchronize(self) -> None: ...


def graph_functions(device: Any) -> dict[str, Callable[..., Any]]:
    """Return the replacements of functions of ``torch.cuda`` for the library ``device``."""
    device.sim_capture_begin.argtypes = [ctypes.c_int64]
    device.sim_capture_end.restype = ctypes.c_void_p
    device.sim_capturing.restype = ctypes.c_bool
    device.sim_graph_size.argtypes = [ctypes.c_void_p]
    device.sim_graph_size.restype = ctypes.c_int64
    device.sim_graph_free.argtypes = [ctypes.c_void_p]
    device.sim_replay.argtypes = [ctypes.c_void_p, _failure]
    Graph.device = device
    current = Stream()
    return {
        "CUDAGraph": Graph,
        "graph": graph,
        "graph_pool_handle": graph_pool_handle,
        "is_current_stream_capturing": device.sim_capturing,
        "Stream": Stream,
        "stream": lambda stream: nullcontext(),
        "current_stream": lambda device=None: current,
    }
