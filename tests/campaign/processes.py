"""Command lines in forked processes, which start in milliseconds because the parent has imported the package."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

import nas
import nas.cli.search
import nas.cli.train

TIMEOUT = 120.0  # seconds after which a command line counts as hanging
Prepare = Callable[[], None]


@dataclass(frozen=True)
class Command:
    """Command line of search.py or train.py."""

    job: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((f"{self.job}.py", *self.arguments))

    def plus(self, *arguments: str) -> Command:
        """Return the command line with more arguments."""
        return Command(self.job, (*self.arguments, *arguments))


@dataclass(frozen=True)
class Ended:
    """Exit code, output and errors of a command line; a negative code is the signal that killed it."""

    code: int
    output: str
    errors: str
    seconds: float

    def problem(self) -> str | None:
        """Return the fault of an answer that is neither a success nor one line on stderr with exit code 1."""
        if self.code == -signal.SIGKILL:
            return f"no end after {self.seconds:.0f} s"
        if "Traceback" in self.errors + self.output:
            return f"a traceback: {self.errors.strip().splitlines()[-1][:200]}"
        if self.code == 0:
            return None if "error" not in self.errors else f"success with an error: {self.errors[:200]}"
        if self.code != 1:
            return f"exit code {self.code}"
        lines = self.errors.splitlines()
        if len(lines) != 1 or not lines[0].startswith("error: "):
            return f"{len(lines)} lines on stderr: {self.errors[:300]!r}"
        return None


@dataclass(frozen=True)
class Running:
    """Command line that runs in a process of its own."""

    pid: int
    files: tuple[Path, Path]
    start: float

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that has ended already is left alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout: float = TIMEOUT) -> Ended:
        """Wait for the end of the process, and kill it after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                self.send(signal.SIGKILL)
                deadline = float("inf")
            time.sleep(0.01)
        texts = [file.read_text(errors="replace") for file in self.files]
        return Ended(os.waitstatus_to_exitcode(status), *texts, seconds=time.monotonic() - self.start)


def import_package() -> None:
    """Import every module of the package once, so that forked processes need not."""
    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(nas.__path__, "nas."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def start(command: Command, folder: Path, name: str, prepare: Prepare | None = None) -> Running:
    """Start a command line in ``folder``; its output goes to NAME.out and NAME.err.

    Args:
        command: the command line.
        folder: working directory.
        name: name of the two files of output, unique in ``folder``.
        prepare: called in the new process before the command line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = (folder / f"{name}.out", folder / f"{name}.err")
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run(command, folder, files, prepare)
    return Running(pid, files, time.monotonic())


def run(command: Command, folder: Path, name: str, prepare: Prepare | None = None) -> Ended:
    """Run a command line to its end."""
    return start(command, folder, name, prepare).wait()


def _run(command: Command, folder: Path, files: tuple[Path, Path], prepare: Prepare | None) -> None:
    """Run the command line in the forked process, which never returns from here."""
    code = 1
    try:
        for number, file in zip((1, 2), files, strict=True):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        # not those of the parent, which pytest may have replaced by files of its own
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        os.chdir(folder)
        os.environ |= {"WANDB_MODE": "offline", "HYDRA_FULL_ERROR": "0"}
        signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background of a shell ignore it
        sys.argv = [f"{command.job}.py", *command.arguments]
        if prepare is not None:
            prepare()
        (nas.cli.search if command.job == "search" else nas.cli.train).main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
