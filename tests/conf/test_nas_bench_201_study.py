"""The comparison of black-box searches on NAS-Bench-201 from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from tests.support.compose_tools import CONF, script, succeeded

STUDY = yaml.safe_load((CONF / "hparams_search" / "nas_bench_201_study.yaml").read_text())["hydra"]["sweeper"]["params"]


@pytest.mark.slow
@pytest.mark.data
def test_study_compares_all_methods(shared: Path, tmp_path: Path) -> None:
    """Six repetitions of each method, in this process instead of two workers."""
    params = {**STUDY, "executor": "serial", "method.repetitions": 6, "method.budget.seconds": 1500}
    folder = tmp_path / "conf" / "hparams_search"
    folder.mkdir(parents=True)
    (folder / "small.yaml").write_text(
        f"# @package _global_\n{yaml.safe_dump({'hydra': {'sweeper': {'params': params}}})}"
    )
    more = ["-cd", str(tmp_path / "conf"), "hparams_search=small", f"paths.data={shared / 'data'}"]
    said = succeeded(script("search", "-m", *more, cwd=tmp_path))
    (comparison,) = tmp_path.rglob("comparison.csv")
    rows = list(csv.DictReader(comparison.open()))
    methods = [name.partition("/")[0] for name in STUDY["experiment"].split(",")]
    assert sorted(row["method"] for row in rows) == sorted(methods) and {row["n"] for row in rows} == {"6"}
    ranks = [float(row["cifar10/test rank"]) for row in rows]
    assert ranks == sorted(ranks) and sum(ranks) == pytest.approx(sum(range(1, len(methods) + 1)), abs=1e-3)
    assert (comparison.parent / "critical_difference.png").is_file() and "local_search" in said
