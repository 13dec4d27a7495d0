"""Check a GPU within a time limit: the GPU tests, the speed of methods, and runs on CIFAR-10.

    python tools/check_gpu.py                             # 9 minutes; logs in outputs/gpu_check/DATE_TIME/
    python tools/check_gpu.py --data DIR --seconds 7200   # with CIFAR-10 in DIR also runs of search.py and train.py
    python tools/check_gpu.py --only tests --workers 8

The parts run in turn, each within its share of the remaining time. A part that fails, or is stopped at its limit, does
not stop the parts after it. A stopped part first gets an interrupt, upon which tests and measurements print what they
have. Measurements start no run in the last part of their time. Searches and trainings on CIFAR-10, and the measurement
of all methods, may take longer than the time allows: to stop them is no failure.

The output of a part is printed and stored in OUTPUT/DATE_TIME/PART.log as it appears. The last lines are the result and
the duration of each part. The exit code is 1 if a part failed, or if tests or the first measurements were stopped. It
is 130 after Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tools.bench import LAST_RUN  # noqa: E402
from tools.processes import raise_on_signals, signal_group, start_group  # noqa: E402

GRACE = 20.0
"""Seconds between the interrupt of a part and its end by force."""
LEAST = 15.0
"""A part with fewer seconds is not started."""
STOPPED, NOT_STARTED = "stopped after", "not started: no time left"


class Part(NamedTuple):
    """A command and its share of the time, relative to the shares of the parts that follow."""

    name: str
    command: list[str]
    share: float
    log: str
    open_ended: bool = False
    """A stop of the part at its limit is no failure."""


def parts_of(options: argparse.Namespace, logs: Path) -> list[Part]:
    """Return the parts in the order of their use if the time runs out."""
    python, trainer = sys.executable, f"trainer={options.trainer}"
    bench = [python, "tools/bench.py", trainer]
    tests = [python, "-m", "pytest", "-m", "gpu", "-n", str(options.workers), "-p", "no:cacheprovider", "-q"]
    tests += ["--continue-on-collection-errors", *gpu_tests()]
    few = ["method=darts,gdas,drnas,pc_darts", "space=nas_bench_201,darts", "dataset.batch_size=64"]
    named: list[tuple[str, list[str], float]] = [
        ("tests", [*tests, *options.pytest], 6),
        ("speed", [*bench, *few, *options.bench], 1.5),
        ("speed_fused", [*bench, *few, "space.fused=true", *options.bench], 1),
        ("speed_bf16", [*bench, "trainer.precision=bf16-mixed", *few, *options.bench], 1),
    ]
    runs = whole_runs(options, logs) if has_cifar10(options.data) else {}
    named += [(name, [python, *command, trainer], 2) for name, command in runs.items()]
    named.append(("speed_all", [*bench, *options.bench], 1))
    return [
        Part(name, command, share, str(logs / f"{name}.log"), name in {*runs, "speed_all"})
        for name, command, share in named
    ]


def gpu_tests() -> list[str]:
    """Return the files with tests of a GPU. Others may import packages that are not installed."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [
        str(file.relative_to(ROOT))
        for file in files
        if "\n@pytest.mark.gpu" in (text := file.read_text(encoding="utf-8")) or "    pytest.mark.gpu," in text
    ]


def whole_runs(options: argparse.Namespace, logs: Path) -> dict[str, list[str]]:
    """Return the commands of runs on CIFAR-10 without the trainer."""
    data, runs = f"paths.data={Path(options.data).absolute()}", logs.absolute()
    te_nas = ["search.py", "method=te_nas", "dataset=cifar10", data]
    training = ["train.py", "genotype=DARTS_V2", "protocol=darts_cifar10", "epochs=20", data]
    fast = ["trainer.precision=bf16-mixed", "training.channels_last=true"]
    return {
        "te_nas": [*te_nas, "space=nas_bench_201", f"hydra.run.dir={runs}/runs/te_nas"],
        "training": [*training, *fast, f"hydra.run.dir={runs}/runs/training"],
        "te_nas_darts": [*te_nas, "space=darts", f"hydra.run.dir={runs}/runs/te_nas_darts"],
    }


def has_cifar10(folder: str) -> bool:
    """Return whether CIFAR-10 is in a folder, as a folder or as an archive."""
    return any(Path(folder, name).exists() for name in ("cifar-10-batches-py", "cifar-10-python.tar.gz"))


def with_limit(command: list[str], seconds: float) -> list[str]:
    """Return the command of a part; a measurement gets the time in which it may start runs."""
    if "tools/bench.py" not in command:
        return command
    place = command.index("tools/bench.py") + 1
    return [*command[:place], "--seconds", f"{max(seconds / 2, seconds - LAST_RUN):.0f}", *command[place:]]


def run_part(part: Part, seconds: float) -> str:
    """Run a part for at most ``seconds``; print its output and store it. Return "passed", or how it ended."""
    command = with_limit(part.command, seconds)
    print(f"\n== {part.name}, at most {seconds:.0f} s: {' '.join(command)}", flush=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    process = start_group(command, ROOT, stderr=subprocess.STDOUT, env=environment)
    copy = threading.Thread(target=_copy, args=(process.stdout, part.log), daemon=True)
    try:
        copy.start()
        code = process.wait(seconds)
        return "passed" if code == 0 else f"failed with exit code {code}"
    except subprocess.TimeoutExpired:
        _interrupt(process, GRACE)
        return f"{STOPPED} {seconds:.0f} s"
    except KeyboardInterrupt:
        _interrupt(process, GRACE / 4)
        raise
    finally:
        signal_group(process, signal.SIGKILL)
        process.wait()
        copy.join(GRACE / 4)


def _copy(source: IO[str], file: str) -> None:
    """Print and store lines until no process can write any more."""
    with Path(file).open("w", encoding="utf-8") as log, source:
        for line in source:
            print(line, end="", flush=True)
            log.write(line)
            log.flush()


def _interrupt(process: subprocess.Popen[str], patience: float) -> None:
    signal_group(process, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)


def run_parts(parts: Sequence[Part], limit: float, rows: dict[str, tuple[str, float]]) -> None:
    """Run the parts one after another within ``limit`` seconds, and store their results and durations in rows."""
    began = time.monotonic()
    for number, part in enumerate(parts):
        start = time.monotonic()
        left = limit - GRACE - (start - began)
        seconds = left * part.share / sum(other.share for other in parts[number:])
        if seconds < min(LEAST, limit / 10):
            continue
        ended = "interrupted"
        try:
            ended = run_part(part, seconds)
        finally:
            rows[part.name] = ended, time.monotonic() - start


def main(arguments: Sequence[str]) -> int:
    """Run the parts and return the exit code."""
    options = parse_arguments(arguments)
    parts = parts_of(options, logs := new_folder(Path(options.output)))
    if problem := problem_of(options, [part.name for part in parts]):
        print(problem, file=sys.stderr)
        return 1
    parts = [part for part in parts if not options.only or part.name in options.only]
    logs.mkdir(parents=True)
    rows = {part.name: (NOT_STARTED, 0.0) for part in parts}
    if not has_cifar10(options.data):
        print(f"no CIFAR-10 in {options.data}: --data DIR adds searches of TE-NAS and a published training")
    try:
        run_parts(parts, options.seconds, rows)
    except KeyboardInterrupt:
        return 130
    finally:
        print("\npart           seconds  result")
        for name, (ended, seconds) in rows.items():
            print(f"{name:<14} {seconds:7.0f}  {ended}")
        print(f"output of each part: {logs}", flush=True)
    open_ended = {part.name for part in parts if part.open_ended}
    return int(
        any(
            ended not in ("passed", NOT_STARTED) and not (name in open_ended and ended.startswith(STOPPED))
            for name, (ended, _) in rows.items()
        )
    )


def problem_of(options: argparse.Namespace, names: Sequence[str]) -> str | None:
    """Return the reason for which nothing can be checked."""
    if unknown := [name for name in options.only if name not in names]:
        return f"--only {unknown[0]}: no such part. Parts: {', '.join(names)}; those on CIFAR-10 need --data DIR."
    if options.trainer == "gpu" and not torch.cuda.is_available():
        return f"trainer=gpu: PyTorch {torch.__version__} finds no CUDA device. --trainer cpu is a dry run on the CPU."
    return None


def new_folder(output: Path) -> Path:
    """Return a folder for this call that does not exist: its date and time."""
    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    names = (name if number == 1 else f"{name}_{number}" for number in itertools.count(1))
    return next(output / name for name in names if not (output / name).exists())


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=520.0, help="limit of all parts together")
    parser.add_argument("--data", default="data", help="folder that may contain CIFAR-10")
    parser.add_argument("--output", default="outputs/gpu_check", help="folder of the dated folders of calls")
    parser.add_argument("--workers", type=int, default=max(1, min(12, (os.cpu_count() or 2) - 2)))
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="names of parts to run")
    parser.add_argument("--trainer", default="gpu", help="trainer of the measurements and runs; cpu: a dry run")
    parser.add_argument("--bench", type=str.split, default=[], help="more arguments of tools/bench.py")
    parser.add_argument("--pytest", type=str.split, default=[], help="more arguments of pytest")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    raise_on_signals()
    raise SystemExit(main(sys.argv[1:]))
