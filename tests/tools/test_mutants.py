"""Tests of the list of mutants and of the program that plants them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.compose_tools import ROOT
from tools.mutants import LIST, Mutant, load_mutants, mutated

MUTANTS = load_mutants(ROOT / LIST)
MORE = ("searches", "relaxations", "gradients", "objectives", "callbacks", "proxies", "data", "training", "cli")
"""Packages with more than four mutants."""
SMALL = """
thing.py:
  - {what: a sum is a difference, old: a + b, new: a - b}
  - {what: a product is a sum, old: a * b, new: a + b}
  - {what: a file that cannot be imported, old: "def double", new: "def"}
  - {what: a test that does not exist, old: a * b, new: a, tests: [tests/test_other.py]}
"""


def test_list_covers_all_packages() -> None:
    assert len(MUTANTS) >= 110
    packages = Counter(m.file.split("/")[1] for m in MUTANTS if m.file.startswith("nas/"))
    folders = {path.parent.name for path in (ROOT / "nas").glob("*/__init__.py")}
    assert {name for name in folders if packages[name] < 4} == set()
    assert {name for name in MORE if packages[name] < 6} == set()
    assert sum(m.file.startswith("conf/") for m in MUTANTS) >= 6


@pytest.mark.parametrize("file", sorted({m.file for m in MUTANTS}))
def test_mutants_of_a_file_are_up_to_date(file: str) -> None:
    """The text to replace occurs once, the mistake is still Python, and the tests exist."""
    text = (ROOT / file).read_text()
    for mutant in MUTANTS:
        if mutant.file == file:
            changed = mutated(text, mutant)
            assert changed != text and mutant.what and mutant.tests
            if file.endswith(".py"):
                compile(changed, file, "exec")
            for test in mutant.tests:
                path, _, function = test.partition("[")[0].partition("::")
                assert f"def {function}" in (ROOT / path).read_text(), test


def test_mutants_are_different() -> None:
    assert len({(m.file, m.old, m.new) for m in MUTANTS}) == len({(m.file, m.what) for m in MUTANTS}) == len(MUTANTS)


def test_mutated_refuses_text_that_is_not_unique() -> None:
    for text in ("a + a", "b"):
        with pytest.raises(ValueError, match="not once"):
            mutated(text, Mutant(0, "x.py", "", "a", "c", ()))


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program on a project of two functions, of which the tests check one."""
    (root / "tools").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / LIST).write_text(SMALL)
    (root / "thing.py").write_text("def add(a, b):\n    return a + b\n\n\ndef double(a, b):\n    return a * b\n")
    (root / "tests" / "test_thing.py").write_text(
        "import thing\n\n\ndef test_add():\n    assert thing.add(1, 2) == 3\n"
    )
    program = [sys.executable, str(ROOT / "tools" / "mutants.py"), f"--root={root}", "--preload=pytest"]
    return subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=120)


def test_surviving_mutants_are_reported(tmp_path: Path) -> None:
    done = run(tmp_path / "project", "--only", "0", "1", "2")
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and len(lines) == 5, done.stdout + done.stderr
    assert Counter("NOT NOTICED" in line for line in lines[:3]) == {True: 1, False: 2}
    assert any(line.split()[:2] == ["0", "noticed"] and "tests/test_thing.py::test_add" in line for line in lines)
    assert lines[3] == "not noticed: 1 thing.py: a product is a sum" and lines[4].startswith("2 of 3 mistakes noticed")
    assert (tmp_path / "project" / "thing.py").read_text().count("a + b") == 1, "the project itself is unchanged"


def test_missing_tests_are_no_success(tmp_path: Path) -> None:
    done = run(tmp_path / "project", "-k", "does not exist", "--unchecked")
    assert done.returncode == 1 and "NO TESTS RUN" in done.stdout and "0 of 1 mistakes noticed" in done.stdout
    again = run(tmp_path / "other", "-k", "does not exist")
    assert again.returncode == 2 and "the tests fail without a mistake" in again.stdout
