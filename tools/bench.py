"""Measure the bilevel step of methods through search.py, at the size of the published searches.

    python tools/bench.py                                     every method that trains a supernet, on both spaces
    python tools/bench.py trainer=gpu space=darts method=gdas,drnas trainer.precision=bf16-mixed
    python tools/bench.py --refs DIR --rounds 3 --write method=gdas,darts threads=2

Arguments with "=" are overrides of search.py; ``method`` and ``space`` accept lists. Each variant is a process:

    plain     channels_last=false fold_weights=false cuda_graphs=false compile=false
    fast      channels_last=true fold_weights=true cuda_graphs=auto (tangle_nas: without fold_weights)
    compiled  the same with compile=true
    authors   the authors' own step (tools/authors_step.py), with --refs

All variants of a method run in turn in each round, so a ratio compares runs shortly after each other. Ratios are
medians over the rounds. Prints one JSON line per run, then a table, which --write stores in BENCHMARKS.md. The exit
code is 1 if a run failed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tools.authors_step import PROGRAMS  # noqa: E402
from tools.processes import raise_on_signals, run_group  # noqa: E402

EXCLUDED = ("mask_gumbel", "mask_rl", "tas")  # layer widths only
EXCLUDED += ("darts_pt", "shapley_nas")  # steps of darts, and long evaluations between epochs
WARMUP = 3  # steps that StepTimer does not count
PLAIN = {"channels_last": "false", "fold_weights": "false", "cuda_graphs": "false", "compile": "false"}
FAST = {"channels_last": "true", "fold_weights": "true", "cuda_graphs": "auto", "compile": "false"}
VARIANTS = {"plain": PLAIN, "fast": FAST, "compiled": FAST | {"compile": "true"}}
METHODS = ROOT / "conf" / "method"


def trains_supernet(method: str) -> bool:
    """Return whether the config of a method, or one that it extends, is that of a search by gradients."""
    config = yaml.safe_load((METHODS / f"{method}.yaml").read_text())
    bases = [base for base in config.get("defaults", []) if isinstance(base, str) and base != "_self_"]
    if "_target_" in config:
        return bool(config["_target_"] == "nas.searches.gradient.GradientSearch")
    return any(trains_supernet(base) for base in bases)


DEFAULTS = {
    "method": ",".join(
        name
        for name in sorted({path.stem for path in METHODS.glob("[!_]*.yaml")} - {*EXCLUDED})
        if trains_supernet(name)
    ),
    "space": "nas_bench_201,darts",
    "dataset": "synthetic",
    "dataset.size": "2048",
    "epochs": "1",
    "trainer.limit_val_batches": "0",
    "method.arch_step.warmup_epochs": "0",  # measured steps are bilevel also if the search begins with weight steps
    "method.arch_step.warmup_share": "0",
}
OPTIONS = {name: {"method.callbacks": "[]"} for name in ("enas", "one_shot", "r_darts", "rsps", "setn")}
"""Options of methods that train a controller, select or measure by many passes after an epoch, which takes minutes."""
OPTIONS["tangle_nas"] = {"fold_weights": "false"}  # its edges combine the weights of their ops instead
BATCH = {"nas_bench_201": "64", "darts": "16"}
"""Default batch sizes: as published on NAS-Bench-201, and a quarter of it on DARTS, whose steps are long on a CPU."""
LAST_RUN = 60.0
"""Seconds that the last run may take beyond ``--seconds``."""
NO_PROGRAM = 2
"""Exit code of authors_step.py for a method without a program."""
BEGIN, END = "<!-- begin of make bench -->", "<!-- end of make bench -->"


@dataclass
class Row:
    """Measurements of a method on a space, by variant; one value per round."""

    method: str
    space: str
    batch: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    start: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of the training loop in addition to its median steps: the compilation and the first steps."""
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, variant: str, found: Mapping[str, Any]) -> None:
        """Store the result of a run."""
        if not found:
            return
        if found.get("step_seconds") is None:
            self.failed[variant] = str(found.get("failed"))
            return
        self.seconds.setdefault(variant, []).append(float(found["step_seconds"]))
        self.memory[variant] = int(found["peak_memory_bytes"])
        if "search_seconds" in found:
            start = float(found["search_seconds"]) - int(found["steps"]) * float(found["step_seconds"])
            self.start.setdefault(variant, []).append(start)

    def median(self, variant: str) -> float | None:
        values = self.seconds.get(variant)
        return statistics.median(values) if values else None

    def ratio(self, base: str, variant: str) -> float | None:
        """Return the median over rounds of the time of ``base`` divided by the time of ``variant``."""
        pairs = list(zip(self.seconds.get(base, []), self.seconds.get(variant, []), strict=False))
        return statistics.median(one / other for one, other in pairs) if pairs else None

    def compile_seconds(self) -> float | None:
        if "compiled" not in self.start or "fast" not in self.start:
            return None
        return statistics.median(self.start["compiled"]) - statistics.median(self.start["fast"])


def measure(overrides: Mapping[str, str], steps: int, seconds: float | None = None) -> dict[str, Any]:
    """Run a short search and return its summary, or the last line of its error and the traceback.

    A run that takes longer than ``seconds`` is stopped.
    """
    with tempfile.TemporaryDirectory() as directory:
        arguments = [f"{key}={value}" for key, value in overrides.items()]
        command = [sys.executable, str(ROOT / "search.py"), *arguments, f"trainer.limit_train_batches={steps}"]
        command.append(f"hydra.run.dir={directory}/run")
        try:
            done = run_group(command, seconds, directory)
        except subprocess.TimeoutExpired:
            return {"failed": [f"stopped after {seconds:.0f} s"]}
        summary, failure = Path(directory, "run", "summary.json"), Path(directory, "run", "failure.txt")
        if not summary.exists():
            text = failure.read_text() if failure.exists() else done.stderr
            return {"failed": (done.stderr or done.stdout).strip().splitlines()[-1:], "traceback": text}
        return {**json.loads(summary.read_text()), "steps": steps}


def measure_authors(
    refs: Path, row: Row, steps: int, threads: str | None, seconds: float | None = None
) -> dict[str, Any]:
    """Run the authors' step in a separate process for at most ``seconds``."""
    command = [sys.executable, str(ROOT / "tools" / "authors_step.py"), str(refs), row.method, row.space]
    command += ["--steps", str(steps), "--batch-size", str(row.batch)]
    command += [] if threads is None else ["--threads", threads]
    try:
        done = run_group(command, seconds)
    except subprocess.TimeoutExpired:
        return {"failed": [f"stopped after {seconds:.0f} s"]}
    if done.returncode == NO_PROGRAM:
        return {}
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(options: argparse.Namespace, given: Mapping[str, str], rows: list[Row]) -> None:
    """Measure all variants of all methods and spaces, round by round, within the time limit, and add them to rows."""
    began = time.monotonic()
    for method, space in itertools.product(given["method"].split(","), given["space"].split(",")):
        batch = given.get("dataset.batch_size", BATCH.get(space, "64"))
        if options.paired and (method, space) not in PROGRAMS:
            continue
        row = Row(method, space, int(batch))
        rows.append(row)
        for _ in range(options.rounds):
            for variant in variants_of(options, method):
                left = None if options.seconds is None else options.seconds - (time.monotonic() - began)
                if left is not None and left <= 0:
                    return
                limit = None if left is None else left + LAST_RUN
                if variant == "authors":
                    found = measure_authors(options.refs, row, options.steps, given.get("threads"), limit)
                else:
                    more = {"method": method, "space": space, "dataset.batch_size": batch}
                    own = OPTIONS.get(method, {})
                    found = measure({**given, **VARIANTS[variant], **own, **more}, WARMUP + options.steps, limit)
                row.add(variant, found)
                print(found.get("traceback", ""), end="", file=sys.stderr, flush=True)
                keys = ("step_seconds", "peak_memory_bytes", "device", "precision", "failed")
                line: dict[str, Any] = {"method": method, "space": space, "variant": variant}
                if found.get("step_seconds") and "search_seconds" in found:
                    line["start_seconds"] = round(row.start[variant][-1], 1)
                print(json.dumps(line | {key: found[key] for key in keys if key in found}), flush=True)


def variants_of(options: argparse.Namespace, method: str | None = None) -> list[str]:
    """Return the variants of a method, or those of any method."""
    compiled = options.compiled if method is None else method in options.compiled
    more = ["compiled"] if compiled and "compiled" not in options.variants else []
    return [*(["authors"] if options.refs else []), *options.variants, *more]


def table(rows: Sequence[Row], variants: Sequence[str]) -> list[str]:
    """Return the Markdown table of the measurements."""
    fastest = next(name for name in reversed(variants) if name != "compiled" or len(variants) == 1)
    header = ["method", "space", "batch", *(f"{name}, s" for name in variants)]
    header += [f"{base} / {name}" for base, name in itertools.pairwise(variants)]
    header += [f"{variants[0]} / {fastest}"] if len(variants) > 2 else []
    header += [f"images a second, {fastest}", f"MiB, {fastest}"] + (
        ["compilation, s"] if "compiled" in variants else []
    )
    times = [_times(row, variants, fastest) for row in rows]
    places = [2 if all(value is None or value >= 0.1 for value in column) else 4 for column in zip(*times, strict=True)]
    lines = [header, ["---"] * len(header)]
    for row, values in zip(rows, times, strict=True):
        last, memory = row.median(fastest), row.memory.get(fastest)
        rest = [None if last is None else 2 * row.batch / last, None if memory is None else memory / 2**20]
        cells = [f"`{row.method}`", f"`{row.space}`", str(row.batch)]
        cells += [_number(value, digits) for value, digits in zip(values, places, strict=True)]
        cells += [_number(value, 0) for value in rest]
        cells += [_number(row.compile_seconds(), 0)] if "compiled" in variants else []
        lines.append(cells)
    return ["| " + " | ".join(line) + " |" for line in lines]


def _times(row: Row, variants: Sequence[str], fastest: str) -> list[float | None]:
    """Return the medians and ratios of a row."""
    ratios = [row.ratio(base, name) for base, name in itertools.pairwise(variants)]
    ratios += [row.ratio(variants[0], fastest)] if len(variants) > 2 else []
    return [*(row.median(name) for name in variants), *ratios]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def write(lines: Sequence[str], command: str, rounds: int, threads: str | None) -> None:
    """Replace the measurements of the last call in BENCHMARKS.md."""
    file = ROOT / "BENCHMARKS.md"
    machine = f"{os.cpu_count()} CPU cores ({platform.machine()}), {threads or 'default'} threads"
    text = [BEGIN, f"{date.today()}, {machine}, {rounds} rounds: `{command}`.", "", *lines, END]
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    file.write_text(pattern.sub(lambda _: "\n".join(text), file.read_text()))


def parse_arguments(arguments: Sequence[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    """Return the options, and the overrides of search.py over their defaults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refs", type=Path, help="folder with clones of the authors' repositories")
    parser.add_argument("--paired", action="store_true", help="only methods whose authors' step can be run")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=4, help="steps of a run that are counted")
    parser.add_argument("--variants", type=lambda text: text.split(","), default=["plain", "fast"])
    parser.add_argument(
        "--compiled", type=lambda text: text.split(","), default=[], help="methods that are also measured compiled"
    )
    parser.add_argument("--seconds", type=float, help="time after which no run starts; the last may take a minute more")
    parser.add_argument("--write", action="store_true", help="store the table in BENCHMARKS.md")
    options, rest = parser.parse_known_args(arguments)
    wrong = [text for text in rest if "=" not in text] + [name for name in options.variants if name not in VARIANTS]
    if wrong:
        parser.error(f"{wrong[0]}: neither an option, nor an override key=value, nor one of {', '.join(VARIANTS)}")
    return options, DEFAULTS | dict(text.split("=", 1) for text in rest)


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table and return the exit code."""
    options, given = parse_arguments(arguments)
    rows: list[Row] = []
    try:
        run(options, given, rows)
    finally:  # an interrupted measurement keeps what it has measured
        report(rows, options, arguments, given.get("threads"))
    return int(any(row.failed for row in rows))


def report(rows: Sequence[Row], options: argparse.Namespace, arguments: Sequence[str], threads: str | None) -> None:
    """Print the table and the failures, and store the table in BENCHMARKS.md with ``--write``."""
    lines = table(rows, variants_of(options))
    print("\n" + "\n".join(lines))
    for row in rows:
        for variant, reason in row.failed.items():
            print(f"{row.method} on {row.space}, {variant}: {reason}")
    if options.write:
        shown = ["REFS" if text == str(options.refs) else text for text in arguments]
        write(lines, f"python tools/bench.py {shlex.join(shown)}", options.rounds, threads)


if __name__ == "__main__":
    raise_on_signals()
    raise SystemExit(main(sys.argv[1:]))
