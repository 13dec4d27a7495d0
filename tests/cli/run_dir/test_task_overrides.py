"""nas.cli.run_dir.task_overrides: overrides with interpolations, in runs, sweeps, further runs and records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.compose_tools import ROOT
from tests.support.error_tools import SEARCH, TRAIN, run

RELATIVE = "space.cells_per_stage=${.channels}"
GIVEN = ("space.channels=1", RELATIVE, 'seed="${oc.decode:${oc.env:NAS_TEST_SEED}}"', "threads=${epochs}")


def lines_of(directory: Path) -> list[str]:
    found: list[str] = yaml.safe_load((directory / ".hydra" / "overrides.yaml").read_text())
    return found


def test_task_overrides_are_read_by_a_single_function() -> None:
    readers = [
        str(file.relative_to(ROOT))
        for file in (ROOT / "nas").rglob("*.py")
        if re.search(r"overrides\.task\b(?!\.extend| = )", file.read_text())
    ]
    assert readers == ["nas/cli/run_dir/task_overrides.py"]


def test_a_search_and_a_training_take_interpolations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative interpolation, which only the configuration resolves, and a variable of the environment."""
    monkeypatch.setenv("NAS_TEST_SEED", "3")
    lines = [line for line in SEARCH if not line.startswith("space.")]
    search = tmp_path / "search"
    run("search", "method=gdas", *lines, *GIVEN, f"hydra.run.dir={search}").succeeded()
    assert set(GIVEN) <= set(lines_of(search))
    assert yaml.safe_load((search / "summary.json").read_text())["seed"] == 3
    training = tmp_path / "training"
    options = [line for line in TRAIN if not line.startswith("network.c")]
    network = ["network.channels=1", "network.cells_per_stage=${.channels}"]
    run("train", f"genotype={search}", *options, *network, f"hydra.run.dir={training}").succeeded()
    evaluation = ["mode=eval", f"weights={training}", "evaluation.runs=1", "seed=${epochs}"]
    run("train", *evaluation, f"hydra.run.dir={tmp_path}/eval").succeeded()


def test_jobs_of_a_sweep_take_interpolations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_TEST_SEED", "3")
    lines = [line for line in SEARCH if not line.startswith("space.")]
    run("search", "-m", "method=gdas", *lines, *GIVEN, f"hydra.sweep.dir={tmp_path}/sweep").succeeded()
    config = yaml.safe_load((tmp_path / "sweep" / "0" / ".hydra" / "config.yaml").read_text())
    assert (config["threads"], config["space"]["cells_per_stage"]) == ("${epochs}", "${.channels}")


@pytest.mark.parametrize("line", ["seed=${oc.env:NAS_TEST_SEED}", "space.channels=${oc.env:NAS_TEST_SEED}"])
def test_text_of_an_environment_variable_is_no_number(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has an override that works."""
    monkeypatch.setenv("NAS_TEST_SEED", "3")
    key, _, value = line.partition("=")
    fix = f"'{key}=\"${{oc.decode:{value}}}\"'"
    run("search", *SEARCH, line).refused(f"{line}: {key} takes a whole number", "the text '3'", fix)
