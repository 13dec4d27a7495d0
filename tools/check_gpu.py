"""Check a GPU within a time limit: the GPU tests, the speed of methods, and whole runs on CIFAR-10.

    python tools/check_gpu.py                             # 9 minutes; logs in outputs/gpu_check/
    python tools/check_gpu.py --data DIR --seconds 1800   # with CIFAR-10 in DIR also the whole runs
    python tools/check_gpu.py --only tests --workers 8

The parts run in turn. A part that fails, or is stopped at its limit, does not stop the parts after it. A stopped part
first gets an interrupt, upon which tests and measurements print what they have. The output of a part is printed and
stored in OUTPUT/PART.log as it appears. The last lines are the result and the duration of each part. The exit code is 1
if a part failed, also one that was stopped.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
GRACE = 20.0
"""Seconds between the interrupt of a part and its end by force."""
LEAST = 15.0
"""A part with fewer seconds is not started."""


class Part(NamedTuple):
    """A command and its share of the time that is left when it starts."""

    name: str
    command: list[str]
    share: float
    log: str


def parts_of(options: argparse.Namespace) -> list[Part]:
    """Return the parts in the order of their use if the time runs out."""
    python, trainer = sys.executable, f"trainer={options.trainer}"
    bench = [python, "tools/bench.py", trainer]
    tests = [python, "-m", "pytest", "-m", "gpu", "-n", str(options.workers), "-p", "no:cacheprovider", "-q"]
    tests += ["--continue-on-collection-errors", *gpu_tests()]
    few = ["method=darts,gdas,drnas,pc_darts", "space=nas_bench_201,darts", "dataset.batch_size=64"]
    named: list[tuple[str, list[str], float]] = [
        ("tests", [*tests, *options.pytest], 0.55),
        ("speed", [*bench, *few, *options.bench], 0.4),
        ("speed_fused", [*bench, *few, "space.fused=true", *options.bench], 0.3),
        ("speed_bf16", [*bench, "trainer.precision=bf16-mixed", *few, *options.bench], 0.5),
    ]
    if has_cifar10(options.data):
        named += [(name, [python, *command, trainer], 0.5) for name, command in whole_runs(options).items()]
    named.append(("speed_all", [*bench, *options.bench], 1.0))
    logs = Path(options.output)
    found = [Part(name, command, share, str(logs / f"{name}.log")) for name, command, share in named]
    return [part for part in found if not options.only or part.name in options.only]


def gpu_tests() -> list[str]:
    """Return the files with tests of a GPU. Others may import packages that are not installed."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [
        str(file.relative_to(ROOT))
        for file in files
        if "\n@pytest.mark.gpu" in (text := file.read_text()) or "    pytest.mark.gpu," in text
    ]


def whole_runs(options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the commands of runs on CIFAR-10 without the trainer."""
    data, runs = f"paths.data={Path(options.data).absolute()}", Path(options.output).absolute()
    te_nas = ["search.py", "method=te_nas", "dataset=cifar10", data]
    training = ["train.py", "genotype=DARTS_V2", "protocol=darts_cifar10", "epochs=20", data]
    fast = ["trainer.precision=bf16-mixed", "training.channels_last=true"]
    return {
        "te_nas": [*te_nas, "space=nas_bench_201", f"hydra.run.dir={runs}/runs/te_nas"],
        "te_nas_darts": [*te_nas, "space=darts", f"hydra.run.dir={runs}/runs/te_nas_darts"],
        "training": [*training, *fast, f"hydra.run.dir={runs}/runs/training"],
    }


def has_cifar10(folder: str) -> bool:
    """Return whether CIFAR-10 is in a folder, as a folder or as an archive."""
    return any(Path(folder, name).exists() for name in ("cifar-10-batches-py", "cifar-10-python.tar.gz"))


def run_part(part: Part, seconds: float) -> str:
    """Run a part for at most ``seconds``; print its output and store it. Return "passed", or how it ended."""
    print(f"\n== {part.name}, at most {seconds:.0f} s: {' '.join(part.command)}", flush=True)
    with Path(part.log).open("w") as log:
        process = subprocess.Popen(
            part.command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a signal reaches its own processes, too
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        copy = threading.Thread(target=_copy, args=(process.stdout, log), daemon=True)
        copy.start()
        ended = _wait(process, seconds)
        copy.join(GRACE)
    return ended


def _copy(source: IO[str], log: IO[str]) -> None:
    for line in source:
        print(line, end="", flush=True)
        log.write(line)
        log.flush()


def _wait(process: subprocess.Popen[str], seconds: float) -> str:
    try:
        code = process.wait(seconds)
        return "passed" if code == 0 else f"failed with exit code {code}"
    except subprocess.TimeoutExpired:
        for number, patience in ((signal.SIGINT, GRACE), (signal.SIGKILL, None)):
            os.killpg(process.pid, number)
            try:
                process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        return f"stopped after {seconds:.0f} s"
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def main(arguments: Sequence[str]) -> int:
    """Run the parts and return the exit code."""
    options = parse_arguments(arguments)
    Path(options.output).mkdir(parents=True, exist_ok=True)
    parts, began = parts_of(options), time.monotonic()
    rows = {part.name: ("not started: no time left", 0.0) for part in parts}
    if not has_cifar10(options.data):
        print(f"no CIFAR-10 in {options.data}: --data DIR adds TE-NAS and 20 epochs of a published training")
    try:
        for number, part in enumerate(parts):
            start = time.monotonic()
            left = options.seconds - GRACE - (start - began)
            seconds = left if number + 1 == len(parts) else part.share * left
            if seconds < min(LEAST, options.seconds / 10):
                continue
            ended = run_part(part, seconds)
            rows[part.name] = ended, time.monotonic() - start
    finally:
        print("\npart           seconds  result")
        for name, (ended, seconds) in rows.items():
            print(f"{name:<14} {seconds:7.0f}  {ended}")
        print(f"output of each part: {options.output}", flush=True)
    return int(any(ended != "passed" for ended, _ in rows.values()))


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=520.0, help="limit of all parts together")
    parser.add_argument("--data", default="data", help="folder that may contain CIFAR-10")
    parser.add_argument("--output", default="outputs/gpu_check", help="folder of the logs and runs")
    parser.add_argument("--workers", type=int, default=max(1, min(12, (os.cpu_count() or 2) - 2)))
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="names of parts to run")
    parser.add_argument("--trainer", default="gpu", help="trainer of the measurements and runs; cpu: a dry run")
    parser.add_argument("--bench", type=str.split, default=[], help="more arguments of tools/bench.py")
    parser.add_argument("--pytest", type=str.split, default=[], help="more arguments of pytest")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
