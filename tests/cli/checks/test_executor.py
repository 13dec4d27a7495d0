"""Executors that cannot be used are refused before anything is written."""

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


def test_budget_of_cpu_time_needs_the_process_of_the_search() -> None:
    given = ["method=random_search", "cpu_minutes=10", *DATA]
    with pytest.raises(NasError, match=r"^cpu_minutes=10: the CPU time of worker processes is not measured\."):
        prepare("search", [*given, "executor=processes"])
    prepare("search", given)
