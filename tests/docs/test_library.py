"""The code of docs/library.md, and the notebook with the same code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nas
from tests.support.compose_tools import ROOT
from tests.support.custom_packages import python_blocks

NOTEBOOK = ROOT / "docs" / "examples" / "search.ipynb"


def notebook_code() -> list[str]:
    """Return the code cells of the notebook."""
    notebook: dict[str, Any] = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4
    for cell in notebook["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_notebook_has_the_code_of_the_page() -> None:
    assert notebook_code()[:-1] == [block.rstrip("\n") for block in python_blocks("library.md")]


def test_search_has_15_lines() -> None:
    assert sum(map(bool, map(str.strip, python_blocks("library.md")[0].splitlines()))) == 15


def test_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for code in notebook_code():
        exec(compile(code, str(NOTEBOOK), "exec"), namespace)
    printed = capsys.readouterr().out
    assert "|+|" in printed
    assert (tmp_path / "cell.png").is_file() and (tmp_path / "model.pt2").is_file()
    assert nas.load(tmp_path / "model.pt").genotype == namespace["genotype"]
