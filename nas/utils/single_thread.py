"""Limit of numerical libraries to one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def single_thread() -> Iterator[None]:
    """Run OpenMP and BLAS in one thread, so that rounding does not depend on the number of threads of the process."""
    from threadpoolctl import threadpool_limits  # imported here, because few runs need it

    with threadpool_limits(limits=1):
        yield
