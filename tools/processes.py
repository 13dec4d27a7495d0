"""Child processes that end with all their descendants."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_on_signals() -> None:
    """Raise KeyboardInterrupt on the first SIGINT, SIGTERM or SIGHUP of this process; ignore the following ones.

    A background process of a shell inherits SIGINT as ignored, which its children would inherit, too. SIGHUP stays
    ignored, as nohup requires.
    """
    for number in STOPS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _raise_once)


def _raise_once(number: int, frame: FrameType | None) -> None:
    for stop in STOPS:
        signal.signal(stop, signal.SIG_IGN)
    raise KeyboardInterrupt


def signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal to a process that leads its group, and to its descendants in the group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def start_group(command: Sequence[str], cwd: Path | str | None, **options: Any) -> subprocess.Popen[str]:
    """Start a command in a group of its own, without standard input and with its output as text in a pipe."""
    return subprocess.Popen(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        **options,
    )


def run_group(
    command: Sequence[str], seconds: float | None = None, cwd: Path | str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a group of its own, and kill the whole group when it ends, is interrupted or times out.

    Raises:
        subprocess.TimeoutExpired: the command takes longer than ``seconds``.
    """
    with start_group(command, cwd, stderr=subprocess.PIPE) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        finally:
            signal_group(process, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, out, err)
