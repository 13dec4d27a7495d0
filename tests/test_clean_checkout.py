"""A test that leaves files in the checkout fails the session, and searches in this process leave none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clean_checkout import entries
from tests.support.compose_tools import ROOT
from tests.support.error_tools import SEARCH, run

HOOKS = "from tests.support.clean_checkout import pytest_sessionfinish, pytest_sessionstart, pytest_terminal_summary\n"


@pytest.mark.parametrize("written", ["outputs/search/date/time", "file", ".pytest_cache/x", ""])
def test_session_fails_if_a_test_leaves_files(written: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "outputs" / "search" / "old" / "run").mkdir(parents=True)
    body = f"Path({written!r}).mkdir(parents=True, exist_ok=True)" if written else "pass"
    (tmp_path / "test_it.py").write_text(f"from pathlib import Path\n\ndef test_it():\n    {body}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    fails = written in ("outputs/search/date/time", "file")
    assert done.returncode == (1 if fails else 0), done.stdout
    assert (f"  {written}\n" in done.stdout) == fails and "1 passed" in done.stdout


def test_failed_search_of_a_test_leaves_no_run_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    before = entries(ROOT)
    run("search", *SEARCH, "dataset.batch_size=64").refused("batch_size=64")  # a mistake that the job itself finds
    assert entries(ROOT) == before and Path.cwd() == ROOT
