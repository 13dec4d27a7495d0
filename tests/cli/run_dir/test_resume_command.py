"""Command that resumes a run, in the messages about its end."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from nas.cli.interrupt import how_to_resume_sweep
from nas.cli.run_dir.failure import report_failure
from nas.cli.run_dir.resume_command import resume_command
from tests.support.node_tools import node_environment


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directory of an interrupted run, with a name that a shell divides."""
    (tmp_path / "a run" / ".hydra").mkdir(parents=True)
    (tmp_path / "a run" / "scores.jsonl").touch()
    monkeypatch.setattr(sys, "argv", ["search.py"])
    return tmp_path / "a run"


def test_command_is_complete_and_quoted(output: Path) -> None:
    expected = f"python search.py 'ckpt_path={output}' trainer.max_steps=-1"
    assert resume_command(output, "trainer.max_steps=-1") == expected


@pytest.mark.parametrize(
    ("launcher", "expected"),
    [("srun", "srun python search.py"), ("torchrun", "torchrun --nnodes=2 RENDEZVOUS --nproc-per-node=1 search.py")],
)
def test_command_starts_all_processes(
    launcher: str, expected: str, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = node_environment("srun", 0)
    if launcher == "torchrun":
        variables = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "GROUP_WORLD_SIZE": "2"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert resume_command(output) == f"{expected} 'ckpt_path={output}'"


@pytest.mark.parametrize(
    ("error", "begin"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            "error: no space left on device: all values so far are kept.",
        ),
        (RuntimeError("[x] Connection closed by peer"), "error: another process of the run has ended"),
        (ZeroDivisionError("division by zero"), "error: unexpected ZeroDivisionError: division by zero"),
    ],
    ids=["disk", "rank", "unexplained"],
)
def test_failures_end_with_the_command(
    error: Exception, begin: str, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report_failure(error, output)
    line = capsys.readouterr().err
    assert line.startswith(begin) and line.count("\n") == 1
    assert line.endswith(f"ll values so far are kept. To resume, run python search.py 'ckpt_path={output}'\n") or (
        "Free space. To resume, run python search.py" in line
    )
    (output / "scores.jsonl").unlink()
    report_failure(error, output)
    assert "To resume" not in capsys.readouterr().err, "there is nothing to resume from"


def test_interrupted_sweep_names_its_unfinished_jobs(output: Path) -> None:
    finished, new = output.with_name("1"), output.with_name("2")
    (finished / "checkpoints").mkdir(parents=True)
    for name in ("checkpoints/last.ckpt", "summary.json"):
        (finished / name).touch()
    line = how_to_resume_sweep([output, finished, new], "train")
    assert line.endswith(f"are kept. To resume, run python train.py 'ckpt_path={output}'")
    (finished / "summary.json").unlink()
    assert how_to_resume_sweep([output, finished], "search").endswith(
        f"python search.py 'ckpt_path={output}' && python search.py ckpt_path={finished}"
    )
    assert how_to_resume_sweep([new], "search") == "interrupted"
