"""Measure the bilevel step of each method through search.py, at the size of the published searches.

    python tools/bench.py                         every method on nas_bench_201, on the CPU
    python tools/bench.py trainer=gpu space=darts method=gdas,drnas trainer.precision=bf16-mixed

Arguments are overrides of search.py; ``method`` and ``space`` accept lists. Prints one JSON line per run, then a table.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXCLUDED = ("mask_gumbel", "mask_rl", "tas")  # no training steps, or layer widths only
DEFAULTS = {
    "method": ",".join(sorted({path.stem for path in (ROOT / "conf" / "method").glob("*.yaml")} - set(EXCLUDED))),
    "space": "nas_bench_201",
    "dataset": "synthetic",
    "dataset.size": "2048",
    "epochs": "1",
    "trainer.limit_train_batches": "13",
    "trainer.limit_val_batches": "0",
}


def measure(overrides: dict[str, str]) -> dict[str, object]:
    """Run a short search and return its summary, or the last line of its error."""
    with tempfile.TemporaryDirectory() as directory:
        arguments = [f"{key}={value}" for key, value in overrides.items()]
        command = [sys.executable, str(ROOT / "search.py"), *arguments, f"hydra.run.dir={directory}/run"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=directory)
        summary = Path(directory, "run", "summary.json")
        if not summary.exists():
            return {"failed": (done.stderr or done.stdout).strip().splitlines()[-1:]}
        found: dict[str, object] = json.loads(summary.read_text())
        return found


def main(arguments: list[str]) -> None:
    given = DEFAULTS | dict(argument.split("=", 1) for argument in arguments)
    rows = []
    for method, space in itertools.product(given["method"].split(","), given["space"].split(",")):
        found = measure(given | {"method": method, "space": space})
        row = {"method": method, "space": space} | {
            key: found.get(key) for key in ("step_seconds", "peak_memory_bytes", "device", "precision", "failed")
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    print(f"\n{'method':<12}{'space':<16}{'ms a step':>10}{'peak MiB':>10}")
    for row in rows:
        if row["step_seconds"] is not None:
            milliseconds, memory = 1000 * float(row["step_seconds"]), int(row["peak_memory_bytes"]) / 2**20
            print(f"{row['method']:<12}{row['space']:<16}{milliseconds:>10.1f}{memory:>10.0f}")
        else:
            print(f"{row['method']:<12}{row['space']:<16}  failed: {row['failed']}")


if __name__ == "__main__":
    main(sys.argv[1:])
