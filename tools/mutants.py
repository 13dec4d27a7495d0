"""Plant plausible mistakes one at a time and report which of them the tests notice.

tools/mutants.yaml lists the mistakes by file. Each is planted in a copy of the project, and the tests that should
notice it run there, without reference values ($NAS_SHARED) and without slow tests. The exit code is 1 if fewer than
95 percent are noticed.

    python tools/mutants.py                    # all
    python tools/mutants.py -k relaxations     # those with a word in their file or description
    python tools/mutants.py --only 12 15 -v    # by number, with the output of the tests
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import importlib
import os
import py_compile
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import yaml

ROOT = Path(__file__).resolve().parents[1]
LIST = "tools/mutants.yaml"
PRELOADED = "torch,pytorch_lightning,torchmetrics.classification,hydra,omegaconf,scipy.stats,matplotlib.figure,pytest"
REQUIRED = 0.95
TIMEOUT = 300.0
"""Seconds after which tests are stopped; a mistake that makes them hang is noticed."""
SKIPPED = {"data", "outputs", "build", "dist"}
PASSED, FAILED, BROKEN, TIMED_OUT = 0, 1, 2, 124
"""Exit codes: pytest's for passed tests, failed tests and tests that cannot be imported, and one for a timeout."""


class Mutant(NamedTuple):
    """A plausible mistake."""

    number: int
    file: str
    what: str
    """One line on the effect of the mistake."""
    old: str
    """Text that occurs once in the file."""
    new: str
    tests: tuple[str, ...]
    """Test files or test functions that should notice it; by default those of the mirrored test file."""


class Result(NamedTuple):
    """The outcome of the tests with one mistake."""

    code: int
    seconds: float
    output: str

    @property
    def noticed(self) -> bool:
        return self.code in (FAILED, BROKEN, TIMED_OUT)

    def first_failure(self) -> str:
        """Return the name of the first test that failed."""
        lines = [line for line in self.output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return lines[0].split()[1] if lines else f"exit code {self.code}"


def load_mutants(path: Path) -> list[Mutant]:
    """Read a list of mutants: a mapping from files to entries with ``what``, ``old``, ``new`` and maybe ``tests``."""
    found = []
    for file, entries in yaml.safe_load(path.read_text()).items():
        folder, _, name = file.removeprefix("nas/").rpartition("/")
        mirror = "/".join(part for part in ("tests", folder, f"test_{name}") if part)
        for entry in entries:
            tests = tuple(entry.get("tests", [mirror]))
            found.append(Mutant(len(found), file, entry["what"], entry["old"], entry["new"], tests))
    return found


def mutated(text: str, mutant: Mutant) -> str:
    """Return a file's text with the mistake. Raises ValueError if the text to replace does not occur exactly once."""
    count = text.count(mutant.old)
    if count != 1:
        raise ValueError(f"{mutant.number} {mutant.file}: {mutant.old!r} occurs {count} times, not once")
    return text.replace(mutant.old, mutant.new)


def copy_project(root: Path, target: Path) -> None:
    """Copy the project without data, results and hidden folders, and compile it by content instead of by time."""

    def ignore(folder: str, names: list[str]) -> set[str]:
        skipped = {name for name in names if name in ("__pycache__", ".git", ".venv")}
        return skipped | (SKIPPED & set(names) if Path(folder) == root else set())

    shutil.copytree(root, target, ignore=ignore, symlinks=True)
    compileall.compile_dir(target / "nas", quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)


def run_pytest(tree: Path, tests: Sequence[str], log: Path) -> NoReturn:
    """Run tests in ``tree`` within a forked process, with its output in ``log``, and exit with pytest's code."""
    os.setsid()
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = True
    settings = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "NAS_SHARED": str(tree / "absent")}
    os.environ.update(settings, OMP_NUM_THREADS="1", WANDB_MODE="offline", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    code = 3
    try:
        import pytest

        options = ["-x", "-q", "-rfE", "-m", "not slow and not gpu", "-p", "no:cacheprovider", "--no-header"]
        code = int(pytest.main([*options, f"--basetemp={log.with_suffix('')}", *tests]))
    finally:
        sys.stdout.flush()
        os._exit(code)


class Runner:
    """Runs tests side by side, each in a copy of the project of its own.

    Libraries are imported once, before the processes are forked; the project itself is imported in each of them.

    Args:
        root: the project.
        scratch: a folder for the copies and outputs.
        workers: number of copies.
    """

    def __init__(self, root: Path, scratch: Path, workers: int) -> None:
        self.scratch = scratch
        self.trees = [scratch / f"tree{i}" for i in range(workers)]
        copy_project(root, self.trees[0])
        for tree in self.trees[1:]:
            shutil.copytree(self.trees[0], tree, symlinks=True)

    def unchanged(self, tests: Sequence[str]) -> Result:
        """Run tests without a mistake."""
        pid, started = self._start(self.trees[0], tests, "unchanged"), time.monotonic()
        while (result := self._poll(pid, started, "unchanged", timeout=None)) is None:
            time.sleep(0.05)
        return result

    def results(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, Result]]:
        """Yield the result of each mutant, in the order in which they end."""
        waiting, free = list(mutants), list(self.trees)
        running: dict[int, tuple[Mutant, Path, str, float]] = {}
        while waiting or running:
            while waiting and free:
                mutant, tree = waiting.pop(0), free.pop()
                path = tree / mutant.file
                text = path.read_text()
                path.write_text(mutated(text, mutant))
                pid = self._start(tree, mutant.tests, str(mutant.number))
                running[pid] = mutant, tree, text, time.monotonic()
            for pid, (mutant, tree, text, started) in list(running.items()):
                result = self._poll(pid, started, str(mutant.number), TIMEOUT)
                if result is not None:
                    (tree / mutant.file).write_text(text)
                    free.append(tree)
                    del running[pid]
                    yield mutant, result
            time.sleep(0.05)

    def _start(self, tree: Path, tests: Sequence[str], name: str) -> int:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            run_pytest(tree, tests, self.scratch / f"{name}.log")
        return pid

    def _poll(self, pid: int, started: float, name: str, timeout: float | None) -> Result | None:
        """Return the result of a process, or None while it runs."""
        seconds = time.monotonic() - started
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done and (timeout is None or seconds < timeout):
            return None
        code = os.waitstatus_to_exitcode(status) if done else TIMED_OUT
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # the tests, or processes that they left behind
        if not done:
            os.waitpid(pid, 0)
        shutil.rmtree(self.scratch / name, ignore_errors=True)
        return Result(code, seconds, (self.scratch / f"{name}.log").read_text(errors="replace"))


def report(mutant: Mutant, result: Result) -> str:
    """Return the line on a mutant."""
    if result.noticed:
        outcome, detail = "noticed", f"by {result.first_failure()}"
    elif result.code == PASSED:
        outcome, detail = "NOT NOTICED", f"by {' '.join(mutant.tests)}"
    else:
        outcome, detail = "NO TESTS RUN", f"exit code {result.code}: {' '.join(mutant.tests)}"
    return f"{mutant.number:3d}  {outcome:12s} {result.seconds:5.1f} s  {mutant.file}: {mutant.what} ({detail})"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", metavar="WORD", default="", help="only mutants with this word in file or description")
    parser.add_argument("--only", metavar="N", type=int, nargs="+", help="only the mutants with these numbers")
    parser.add_argument("-n", "--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("-v", "--verbose", action="store_true", help="print the output of tests that noticed nothing")
    parser.add_argument("--list", action="store_true", help="list the mutants and run nothing")
    parser.add_argument("--unchecked", action="store_true", help="do not first run the tests without a mistake")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("--preload", default=PRELOADED, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the selected mutants; return 1 if fewer than 95 percent are noticed, 2 if the tests fail without any."""
    given = parse_arguments(arguments)
    mutants = [m for m in load_mutants(given.root / LIST) if given.k.lower() in f"{m.file} {m.what}".lower()]
    mutants = [m for m in mutants if given.only is None or m.number in given.only]
    if given.list:
        print("\n".join(f"{m.number:3d}  {m.file}: {m.what}" for m in mutants))
        return 0
    if not mutants:
        print("no mutant has this word or number")
        return 2
    for module in filter(None, given.preload.split(",")):
        importlib.import_module(module)
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        runner = Runner(given.root, Path(scratch), max(1, given.workers))
        tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
        if not given.unchecked and (unchanged := runner.unchanged(tests)).code != PASSED:
            print(f"{unchanged.output}\nthe tests fail without a mistake: correct them first")
            return 2
        return summarize(runner, mutants, given.verbose)


def summarize(runner: Runner, mutants: Sequence[Mutant], verbose: bool) -> int:
    """Run mutants, print a line for each and the sum, and return the exit code."""
    started, noticed, missed = time.monotonic(), 0, []
    for mutant, result in runner.results(mutants):
        print(report(mutant, result), flush=True)
        noticed += result.noticed
        if not result.noticed:
            missed.append(mutant)
            print(result.output if verbose else "", end="", flush=True)
    for mutant in sorted(missed):
        print(f"not noticed: {mutant.number} {mutant.file}: {mutant.what}")
    print(f"{noticed} of {len(mutants)} mistakes noticed in {(time.monotonic() - started) / 60:.1f} min")
    return int(noticed < REQUIRED * len(mutants))


if __name__ == "__main__":
    raise SystemExit(main())
