"""Evaluation within a worker: built at its first candidate from a pickled function."""

from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from nas.executors.base import Build, BuildError, Evaluate
from nas.utils.errors import NasError, one_line
from nas.utils.process_memory import exempt_present_objects, keep_freed_memory


class TorchSettings(NamedTuple):
    """Settings of PyTorch on which values depend.

    Attributes:
        threads: number of CPU threads.
        matmul_precision: precision of float32 matrix products.
        cudnn_tf32: whether convolutions may use TF32.
    """

    threads: int
    matmul_precision: str
    cudnn_tf32: bool

    def apply(self) -> None:
        """Set them in this process."""
        import torch

        torch.set_num_threads(self.threads)
        torch.set_float32_matmul_precision(self.matmul_precision)
        torch.backends.cudnn.allow_tf32 = self.cudnn_tf32


def current_settings(threads: int | None = None) -> TorchSettings | None:
    """Return the settings of this process with another number of threads, None if it does not use PyTorch."""
    if "torch" not in sys.modules:
        return None
    import torch

    own = torch.get_num_threads() if threads is None else threads
    return TorchSettings(own, torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)


class Payload(NamedTuple):
    """Content that a worker is built from; it can be sent to another process and hashed.

    Attributes:
        content: pickled pair of ``Executor.prepare`` and the function that builds the evaluation.
        device: device of the worker.
        settings: settings of PyTorch, None for those of the worker.
    """

    content: bytes
    device: str
    settings: TorchSettings | None


def pack(build: Build, prepare: Callable[[], None] | None) -> bytes:
    """Pickle the content of a payload. Raises NasError if a part cannot be pickled."""
    try:
        return pickle.dumps((prepare, build))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise NasError(
            f"executor: a part of the run cannot be sent to a worker ({one_line(error)[:200]}). Define classes and "
            "functions at the top level of a module, or set executor=serial."
        ) from None


class WorkerEvaluation:
    """Evaluation of candidates in a worker.

    Args:
        payload: content of the worker.
        dedicated: whether the process does nothing else, so that its memory can be tuned for evaluations.
    """

    def __init__(self, payload: Payload, dedicated: bool = False) -> None:
        self.payload = payload
        self.dedicated = dedicated
        self._evaluate: Evaluate | None = None

    def evaluate(self, candidate: Any, fidelity: int | None, position: int) -> Any:
        """Evaluate a candidate.

        Raises:
            BuildError: if the evaluation cannot be built.
        """
        if self._evaluate is None:
            try:
                self._evaluate = self._build()
            except NasError:
                raise
            except Exception as error:
                raise BuildError(f"a worker cannot be started: {type(error).__name__}: {one_line(error)}") from error
        return self._evaluate(candidate, fidelity, position)

    def _build(self) -> Evaluate:
        root = logging.getLogger()
        if not root.handlers:  # otherwise Python prints warnings of the worker to its standard error
            root.addHandler(logging.NullHandler())
        if self.payload.settings is not None:
            self.payload.settings.apply()
        prepare, build = pickle.loads(self.payload.content)
        if prepare is not None:
            prepare()
        evaluate: Evaluate = build(self.payload.device)
        if self.dedicated:
            keep_freed_memory()
            exempt_present_objects()
        return evaluate
