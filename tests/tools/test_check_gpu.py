"""Tests of tools/check_gpu.py: a part that fails or hangs does not stop the others, and its output is kept."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from tools import bench, check_gpu
from tools.processes import run_group

ROOT = Path(__file__).resolve().parents[2]
HANGS = "trap 'echo table so far; exit' INT; echo started; while :; do sleep 0.1; done"
LEAVES = "trap '' INT; sleep 40 > /dev/null 2>&1 & echo $!"
STUBBORN = "trap '' INT; sleep 40 & echo $!; wait; wait"
DRIVER = """
import sys
from pathlib import Path
from tools import check_gpu
from tools.processes import raise_on_signals
raise_on_signals()
part = check_gpu.Part("slow", ["sh", "-c", sys.argv[2]], 1, sys.argv[1] + "/slow.log")
check_gpu.parts_of = lambda options, logs: [part]
raise SystemExit(check_gpu.main(["--trainer", "cpu", "--output", sys.argv[1], "--data", sys.argv[1]]))
"""
"""Program with one part: the folder of its output and the command of a shell are its arguments."""


def run_shell_parts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: str, commands: dict[str, str], open_ended: str = ""
) -> int:
    """Run commands of a shell as parts, with their logs in the folder."""
    parts = [
        check_gpu.Part(name, ["sh", "-c", command], 1, str(folder / f"{name}.log"), name == open_ended)
        for name, command in commands.items()
    ]
    monkeypatch.setattr(check_gpu, "parts_of", lambda options, logs: parts)
    monkeypatch.setattr(check_gpu, "GRACE", 4.0)
    arguments = ["--seconds", seconds, "--output", str(folder), "--data", str(folder), "--trainer", "cpu"]
    return check_gpu.main(arguments)


def results(text: str) -> dict[str, str]:
    """Return the results of the parts in the last table."""
    lines = text.split("part           seconds  result\n")[1].splitlines()[:-1]
    return {line.split()[0]: " ".join(line.split()[2:]) for line in lines}


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Return whether a process exists and is no zombie."""
    stat = Path(f"/proc/{process}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_failed_and_stopped_parts_keep_their_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = {"fails": "echo out of memory; exit 3", "hangs": HANGS, "works": r"printf 'done \377\n'"}
    assert run_shell_parts(tmp_path, monkeypatch, "14", commands) == 1
    ended = results(capsys.readouterr().out)
    assert ended["fails"] == "failed with exit code 3" and ended["works"] == "passed"
    assert ended["hangs"].startswith("stopped after")
    assert (tmp_path / "fails.log").read_text() == "out of memory\n"
    assert (tmp_path / "hangs.log").read_text() == "started\ntable so far\n"
    assert (tmp_path / "works.log").read_text(encoding="utf-8") == "done \N{REPLACEMENT CHARACTER}\n"


def test_open_ended_and_missing_parts_are_no_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_shell_parts(tmp_path, monkeypatch, "6", {"all": HANGS}, open_ended="all") == 0
    assert results(capsys.readouterr().out)["all"].startswith("stopped after")
    assert run_shell_parts(tmp_path, monkeypatch, "4.1", {"all": HANGS}) == 0
    assert results(capsys.readouterr().out)["all"] == "not started: no time left"
    assert run_shell_parts(tmp_path, monkeypatch, "30", {"all": "exit 1"}, open_ended="all") == 1


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize(("command", "code"), [(LEAVES, 0), (STUBBORN, 1)], ids=["leaves", "stubborn"])
def test_processes_that_ignore_an_interrupt_do_not_survive(
    command: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.monotonic()
    assert run_shell_parts(tmp_path, monkeypatch, "7", {"part": command}) == code
    child = int((tmp_path / "part.log").read_text())
    wait_until(lambda: not is_running(child), 10)
    assert time.monotonic() - start < 30, "killed, and not at its end"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_measurement_over_its_time_ends_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_group(["sh", "-c", "sleep 60 & echo $! > child; wait"], 3, tmp_path)
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not is_running(child))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_part_and_print_the_table(number: signal.Signals, tmp_path: Path) -> None:
    """The shell ignores SIGINT, as for a command in the background."""
    command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-c", DRIVER, str(tmp_path), HANGS]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    log = tmp_path / "slow.log"
    try:
        wait_until(lambda: log.exists() and log.read_text() == "started\n", 120)
        for _ in range(2):
            process.send_signal(number)
        out = process.communicate(timeout=60)[0]
    finally:
        process.kill()
    assert process.returncode == 130 and results(out) == {"slow": "interrupted"}
    assert log.read_text() == "started\ntable so far\n"


def test_missing_gpu_and_unknown_parts_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for arguments, start in (([], "trainer=gpu: PyTorch"), (["--only", "test"], "--only test: no such part")):
        assert check_gpu.main([*arguments, "--output", str(tmp_path / "logs"), "--data", str(tmp_path)]) == 1
        out, err = capsys.readouterr()
        assert err.startswith(start) and err.count("\n") == 1 and not out
    assert not (tmp_path / "logs").exists()


def test_each_call_has_a_new_folder(tmp_path: Path) -> None:
    first = check_gpu.new_folder(tmp_path)
    first.mkdir()
    assert first.parent == tmp_path and check_gpu.new_folder(tmp_path) != first


def test_measurements_get_a_limit_and_their_own_one_counts(tmp_path: Path) -> None:
    options = check_gpu.parse_arguments(["--data", str(tmp_path), "--bench=--seconds=5"])
    for part in check_gpu.parts_of(options, tmp_path):
        command = check_gpu.with_limit(part.command, 100.0)
        assert (command == part.command) == (part.name == "tests")
        if part.name != "tests":
            assert command[1:4] == ["tools/bench.py", "--seconds", "50"]
            assert bench.parse_arguments(command[2:])[0].seconds == 5.0


def test_dry_run_on_the_cpu_measures_a_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = "--steps 1 method=gdas space=nas_bench_201 space.channels=4 space.cells_per_stage=1 dataset.batch_size=8"
    arguments = ["--only", "speed", "--trainer", "cpu", "--output", str(tmp_path), "--data", str(tmp_path)]
    assert check_gpu.main([*arguments, "--bench", f"{few} dataset.size=64 --variants plain"]) == 0
    log = next(tmp_path.glob("*/speed.log"))
    assert "| `gdas` | `nas_bench_201` | 8 |" in log.read_text(encoding="utf-8")
    assert "passed" in capsys.readouterr().out.splitlines()[-2]


def test_parts_do_not_share_names_and_whole_runs_need_data(tmp_path: Path) -> None:
    def names(folder: Path) -> list[str]:
        options = check_gpu.parse_arguments(["--data", str(folder), "--output", str(tmp_path)])
        return [part.name for part in check_gpu.parts_of(options, tmp_path)]

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
    assert bench.main(with_error) == 1
    out, err = capfd.readouterr()
    assert "broken step" in err and "Traceback" in err and "gdas on nas_bench_201, plain:" in out


def test_run_that_hangs_is_stopped_and_reported() -> None:
    assert bench.measure({"method": "gdas"}, 1, seconds=0.1) == {"failed": ["stopped after 0 s"]}


@pytest.mark.parametrize("target", ["gpu", "docs", "bench"])
def test_make_uses_the_programs_of_another_environment(target: str) -> None:
    out = make(target, "BIN=/env/bin")
    assert "/env/bin/python" in out and "venv" not in out and "pip" not in out


def test_make_installs_into_its_own_environment_only() -> None:
    assert "/env/bin" not in make("-W", "setup.py", ".venv", "BIN=/env/bin")


def make(*arguments: str) -> str:
    """Return the commands that make would run."""
    if not (ROOT / "Makefile").is_file() or shutil.which("make") is None:
        pytest.skip("no Makefile or no make")
    done = subprocess.run(["make", "--no-print-directory", "-n", *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Broken(pl.Callback):
    """Callback that fails in the first step."""

    def on_train_batch_start(self, *args: Any) -> None:
        raise RuntimeError("broken step")
