"""Connection to Ray: a new cluster on this machine, or an existing one."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nas.executors.interrupts import interrupts_deferred
from nas.utils.errors import NasError, one_line


class RaySession:
    """Connection that is closed at the end. Ray on this machine is stopped then, and its files are removed.

    A process that is connected already keeps its connection.

    Args:
        ray: the package.
        address: cluster, such as "auto" or "ray://HOST:10001"; None starts Ray on this machine.
        cpus: cores of Ray on this machine.
        option: key of the address in error messages.
        show_output: whether the output of the workers is printed.

    Raises:
        NasError: if Ray cannot be started or reached.
    """

    def __init__(self, ray: Any, address: str | None, cpus: int, option: str, show_output: bool = False) -> None:
        self._ray = ray
        self._owner = not ray.is_initialized()
        if not self._owner:
            return
        given: dict[str, Any] = {"address": address}
        folder: Path | None = None
        if address is None:
            # Ray leaves its folder behind, so it gets one that close() removes; names of sockets in it must be short
            folder = Path(tempfile.mkdtemp(prefix="nas-ray-"))
            given = {"num_cpus": cpus, "_temp_dir": str(folder)}
        # it also runs at the end of this process, if an interrupt prevents close()
        self._finalizer = weakref.finalize(self, _end, ray, folder)
        try:
            # an interrupted start would leave processes of Ray behind; a connection to a cluster may take long
            with interrupts_deferred() if address is None else nullcontext(), _kept_handlers():
                ray.init(**given, include_dashboard=False, log_to_driver=show_output, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            self.close()
            raise NasError(
                f"{option}={address}: Ray cannot be started or reached ({one_line(error)[:200]}). Start it by "
                "ray start --head, or leave the option out for Ray on this machine."
            ) from None
        except BaseException:  # an interrupt
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, unless another part of the process has opened it."""
        if self._owner:
            with interrupts_deferred():
                self._finalizer()


def _end(ray: Any, folder: Path | None) -> None:
    """Close a connection, and remove the files of Ray on this machine."""
    ray.shutdown()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def import_ray(option: str, instead: str) -> Any:
    """Import Ray. Raises NasError if it is not installed; ``instead`` is the choice that works without it."""
    try:
        import ray
    except ImportError:
        raise missing_ray(option, instead) from None
    return ray


def missing_ray(option: str, instead: str) -> NasError:
    """Return the error for a choice that needs Ray; ``instead`` is the choice that works without it."""
    return NasError(f"{option}: Ray is not installed. Run pip install 'nas-compose[ray]', or set {instead}.")


@contextmanager
def _kept_handlers() -> Iterator[None]:
    """Keep the signal handlers of the run, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
