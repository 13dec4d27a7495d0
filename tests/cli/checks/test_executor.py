"""An executor whose package is missing is refused before anything is written."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from nas.cli.main import prepare
from nas.utils.errors import NasError
from tests.support.compose_tools import DATA


def test_missing_ray_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(NasError, match=r"^executor=ray: Ray is not installed. Run pip install 'nas-compose\[ray\]'"):
        prepare("search", ["method=random_search", "executor=ray", *DATA])
    assert not list(tmp_path.iterdir())
