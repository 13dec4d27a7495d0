"""Interrupts before and after a run: one line at most, no traceback, and exit code 130."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.compose_tools import ROOT

START = "from nas.cli.entry import run_program; run_program('program')"
INTERRUPT = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
LINE = "error: interrupted before the run started\n"


def python(*words: str, folder: Path, action: object = signal.default_int_handler) -> subprocess.CompletedProcess[str]:
    """Run Python with ``folder`` before the installed packages, and with an action of SIGINT."""
    before = signal.signal(signal.SIGINT, action)  # type: ignore[arg-type]
    try:
        return subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        signal.signal(signal.SIGINT, before)


PROGRAMS = pytest.mark.parametrize(
    "words",
    [
        (f"{ROOT}/search.py",),
        (f"{ROOT}/search.py", "leaderboard"),
        (f"{ROOT}/train.py",),
        ("-m", "nas.cli.search"),
        ("-m", "nas", "train"),
    ],
    ids=lambda words: " ".join(Path(word).name for word in words),
)
FIRST_IMPORT = """
import os, signal, sys


class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name in ("nas.cli.entry", "nas.cli.command_list"):
            os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, Interrupt())
"""
"""Startup file of Python that interrupts a program in its first imports."""


@PROGRAMS
def test_interrupt_before_the_handler_leaves_no_traceback(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(FIRST_IMPORT)
    done = python(*words, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@PROGRAMS
def test_interrupt_during_the_imports_is_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "hydra.py").write_text(INTERRUPT)
    done = python(*words, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", LINE)


def test_library_cannot_replace_an_interrupt_of_its_import(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        f"try:\n    exec({INTERRUPT!r})\nexcept BaseException:\n    raise ImportError from None\n"
    )
    done = python("-c", START, folder=tmp_path)
    assert (done.returncode, done.stderr) == (130, LINE)


def test_ignored_interrupt_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(f"{INTERRUPT}def main():\n    print(signal.getsignal(signal.SIGINT).name)\n")
    done = python("-c", START, folder=tmp_path, action=signal.SIG_IGN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "SIG_IGN\n", "")


def test_interrupt_of_main_is_python_s_own_and_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import os, signal\n"
        "def main():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n"
        "        print('cleaned up')\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
    )
    done = python("-c", START, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "cleaned up\n", "")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_signal_at_exit_ends_the_process_without_a_traceback(name: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import atexit, os, signal\n"
        "from nas.cli.interrupt import interrupt_on_signals\n"
        f"atexit.register(lambda: os.kill(os.getpid(), signal.{name}))\n"
        "def main():\n"
        "    interrupt_on_signals()\n"
        "    print('finished')\n"
    )
    (tmp_path / "search.py").write_text(START)
    done = python("search.py", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.Signals[name], "finished\n", "")


def test_other_programs_keep_their_handlers(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("def main():\n    pass\n")
    (tmp_path / "notebook.py").write_text(
        "import signal\n"
        "def handle(number, frame):\n"
        "    print('handled')\n"
        f"signal.signal(signal.SIGTERM, handle)\n{START}\nsignal.raise_signal(signal.SIGTERM)\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    )
    done = python("notebook.py", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "handled\nTrue\n", "")


@PROGRAMS
def test_removed_working_directory_is_one_line(words: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    command = ["bash", "-c", 'rmdir "$PWD" && exec "$@"', "bash", sys.executable, *words, "method=gdas"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    line = "error: the working directory cannot be used (no such file or directory). Change to another one by cd.\n"
    assert (done.returncode, done.stderr, done.stdout) == (1, line, "")
