"""Packages of users with custom ops and spaces, for tests."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.compose_tools import ROOT

BOTTLENECK = """
from torch import nn


class Bottleneck(nn.Sequential):
    def __init__(self, channels, stride, options, expansion=2):
        width = expansion * channels
        super().__init__(
            nn.Conv2d(channels, width, 1, bias=False), options.norm(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False), options.norm(width), nn.ReLU(),
            nn.Conv2d(width, channels, 1, bias=False), options.norm(channels),
        )
"""


def write_package(folder: Path, name: str, code: str, entry_points: Mapping[str, str] | None = None) -> Path:
    """Write a module ``name`` into a folder and, with entry points by ``group/name``, the metadata of its package."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(code)
    if entry_points is not None:
        info = folder / f"{name}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        (info / "top_level.txt").write_text(f"{name}\n")
        groups: dict[str, list[str]] = {}
        for key, value in entry_points.items():
            group, _, point = key.partition("/")
            groups.setdefault(group, []).append(f"{point} = {value}")
        text = "\n".join(f"[{group}]\n" + "\n".join(lines) for group, lines in groups.items())
        (info / "entry_points.txt").write_text(f"{text}\n")
    return folder


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str) -> None:
    """Make the packages of a folder importable in this process until the end of the test."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()


def python_blocks(page: str) -> list[str]:
    """Return the Python code of a page in docs/, block by block."""
    text = (ROOT / "docs" / page).read_text()
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def code_block(page: str, language: str) -> str:
    """Return the first code block of a language in a page in docs/."""
    found = re.search(rf"^```{language}\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]
