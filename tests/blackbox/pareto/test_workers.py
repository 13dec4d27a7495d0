"""NSGA-II with worker processes: equal to a serial search with one worker, and a search with two within a limit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.compose_tools import lines
from tests.support.error_tools import SEARCH, run

GIVEN = (
    *SEARCH,
    "method=nsga2",
    "proxy=naswot",
    "method.budget.queries=8",
    "method.strategy.population=4",
    "threads=1",
)


@pytest.mark.slow
def test_workers_search_for_the_same_front(tmp_path: Path) -> None:
    found = {}
    workers = ("executor=processes", "executor.workers=1")
    for name, options in {"serial": (), "one": workers}.items():
        run("search", *GIVEN, *options, f"hydra.run.dir={tmp_path}/{name}").succeeded()
        front = json.loads((tmp_path / name / "front.json").read_text())
        queries = [(line["genotype"], line["value"]) for line in lines(tmp_path / name / "queries.jsonl")]
        found[name] = (queries, front["members"])
    assert found["serial"] == found["one"] and len(found["one"][0]) == 8
    two = (*GIVEN, "executor=processes", "executor.workers=2", "budget.macs=6e5", f"hydra.run.dir={tmp_path}/two")
    run("search", *two).succeeded()
    summary = json.loads((tmp_path / "two" / "summary.json").read_text())
    assert summary["queries"] == 8 and summary["budget"]["macs"]["value"] <= 6e5
