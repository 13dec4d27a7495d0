"""Tests of tools/check_gpu.py: a part that fails or hangs does not stop the others, and its output is kept."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from tools import bench, check_gpu

ROOT = Path(__file__).resolve().parents[2]
HANGS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("started", flush=True)
try:
    time.sleep(60)
finally:
    print("table so far", flush=True)
"""


def test_failed_and_stopped_parts_keep_their_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = {"fails": "print('out of memory'); raise SystemExit(3)", "hangs": HANGS, "works": "print('done')"}
    parts = [
        check_gpu.Part(name, [sys.executable, "-c", code], 0.3, str(tmp_path / f"{name}.log"))
        for name, code in codes.items()
    ]
    monkeypatch.setattr(check_gpu, "parts_of", lambda options: parts)
    monkeypatch.setattr(check_gpu, "GRACE", 5.0)
    start = time.monotonic()
    assert check_gpu.main(["--seconds", "20", "--output", str(tmp_path), "--data", str(tmp_path)]) == 1
    assert time.monotonic() - start < 20
    table = capsys.readouterr().out.split("part           seconds  result\n")[1].splitlines()
    ended = {line.split()[0]: " ".join(line.split()[2:]) for line in table[:3]}
    assert ended["fails"] == "failed with exit code 3" and ended["works"] == "passed"
    assert ended["hangs"].startswith("stopped after")
    assert (tmp_path / "fails.log").read_text() == "out of memory\n"
    assert "started\ntable so far\n" in (tmp_path / "hangs.log").read_text()


def test_dry_run_on_the_cpu_measures_a_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = "--steps 1 method=gdas space=nas_bench_201 space.channels=4 space.cells_per_stage=1 dataset.batch_size=8"
    arguments = ["--only", "speed", "--trainer", "cpu", "--output", str(tmp_path), "--data", str(tmp_path)]
    assert check_gpu.main([*arguments, "--bench", f"{few} dataset.size=64 --variants plain"]) == 0
    assert "| `gdas` | `nas_bench_201` | 8 |" in (tmp_path / "speed.log").read_text()
    assert "passed" in capsys.readouterr().out.splitlines()[-2]


def test_parts_do_not_share_names_and_whole_runs_need_data(tmp_path: Path) -> None:
    def names(folder: Path) -> list[str]:
        options = check_gpu.parse_arguments(["--data", str(folder), "--output", str(tmp_path)])
        return [part.name for part in check_gpu.parts_of(options)]

    without = names(tmp_path)
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert len(set(without)) == len(without) and {"te_nas", "training"} <= set(names(tmp_path)) - set(without)


def test_files_with_gpu_tests_are_found() -> None:
    found = check_gpu.gpu_tests()
    assert {"tests/gpu/test_gpu.py", "tests/nn/test_macs.py", "tests/cli/jobs/test_stop_on_nan.py"} <= set(found)
    assert len(found) < 10, "only these"


def test_failed_measurement_shows_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with_error = ["--variants", "plain", "--steps", "1", "method=gdas", "space=nas_bench_201", "space.channels=4"]
    with_error += ["+callbacks.broken._target_=tests.tools.test_check_gpu.Broken"]
    bench.main(with_error)
    out, err = capfd.readouterr()
    assert "broken step" in err and "Traceback" in err and "gdas on nas_bench_201, plain:" in out


def test_run_that_hangs_is_stopped_and_reported() -> None:
    assert bench.measure({"method": "gdas"}, 1, seconds=0.1) == {"failed": ["stopped after 0 s"]}


def test_make_uses_the_programs_of_another_environment() -> None:
    if not (ROOT / "Makefile").is_file():
        pytest.skip("no Makefile")
    done = subprocess.run(["make", "-n", "gpu", "BIN=/env/bin"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "/env/bin/python tools/check_gpu.py" in done.stdout
    assert "venv" not in done.stdout and "pip" not in done.stdout


class Broken(pl.Callback):
    """Callback that fails in the first step."""

    def on_train_batch_start(self, *args: Any) -> None:
        raise RuntimeError("broken step")
