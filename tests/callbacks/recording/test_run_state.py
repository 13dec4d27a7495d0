"""Runs that a limit or a kill has stopped end as uninterrupted ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.compose_tools import QUERYING, tiny
from tests.support.error_tools import NB201, SEARCH, TINY, TRAIN, run
from tests.support.query_tools import FORMULA
from tests.support.resume_tools import (
    assert_same_results,
    checkpoint,
    history,
    killed_before_summary,
)

NO_PLOTS = "~callbacks.cell_plots"
STOP = "{_target_:pytorch_lightning.callbacks.EarlyStopping,monitor:train/loss,stopping_threshold:100.0}"
BLACK_BOX = ["dataset=cifar10", *FORMULA, NO_PLOTS, "method.budget.queries=7", "epochs=3"]
TE_NAS = [
    *("method=te_nas", *TINY, "space.channels=4", "space.cells_per_stage=1", NO_PLOTS, "epochs=5"),
    *("method.repeats=1", "method.ntk_batch=2", "method.proxies.1.batch_size=20"),
]


def finished(script: str, arguments: list[str], directory: Path) -> Path:
    """Run a script to its end and return its directory."""
    run(script, *arguments, f"hydra.run.dir={directory}").succeeded()
    return directory


def resumed(script: str, directory: Path, *more: str) -> Path:
    """Resume a run to its end and return its directory."""
    run(script, f"ckpt_path={directory}", *more).succeeded()
    return directory


def stopped(script: str, arguments: list[str], directory: Path, limit: str, epochs: str) -> Path:
    """Run a script that a limit of the trainer stops, and return its directory."""
    outcome = run(script, *arguments, f"hydra.run.dir={directory}", limit)
    outcome.succeeded()
    key = limit.partition("=")[0]
    assert f"{key} stopped the run after {epochs} epochs" in outcome.said
    assert f"run python {script}.py ckpt_path={directory} {key}=-1" in outcome.said
    assert not (directory / "summary.json").exists(), "the run is not finished"
    return directory


@pytest.mark.parametrize(
    "method", ["gdas", *(pytest.param(m, marks=pytest.mark.slow) for m in ("drnas_progressive", "p_darts"))]
)
def test_search_stopped_by_steps_resumes_exactly(method: str, tmp_path: Path) -> None:
    """Stop within the third of four epochs. The metrics of stages differ, and with them the order of columns."""
    arguments = [*tiny(method), "epochs=4", NO_PLOTS]
    whole = finished("search", arguments, tmp_path / "whole")
    steps = checkpoint(whole)["global_step"]
    limited = stopped("search", arguments, tmp_path / "limited", f"trainer.max_steps={steps // 2 + 1}", "2 of 4")
    assert len(history(limited)) == 2 and checkpoint(limited)["epoch"] == 1
    again = run("search", f"ckpt_path={limited}")
    again.succeeded()
    assert "stopped the run after 2 of 4" in again.said and not (limited / "summary.json").exists()
    assert_same_results(whole, resumed("search", limited, "trainer.max_steps=-1"))
    before = json.loads((limited / "summary.json").read_text())["search_seconds"]
    broken = resumed("search", killed_before_summary(limited, tmp_path / "broken"))
    assert_same_results(whole, broken)
    summary = json.loads((broken / "summary.json").read_text())
    assert summary["val_accuracy"] is not None
    saved = checkpoint(limited)["run"]["seconds"]
    assert 0 < saved < before and saved < summary["search_seconds"], "times add up over resumes"


def test_training_stopped_by_steps_or_a_kill_resumes_exactly(tmp_path: Path) -> None:
    arguments = [*TRAIN, "dataset.size=80", "epochs=3", f"genotype={NB201}", "ema=0.7"]
    whole = finished("train", arguments, tmp_path / "whole")
    limited = stopped("train", arguments, tmp_path / "limited", "trainer.max_steps=8", "1 of 3")
    assert not (limited / "model.pt").exists()
    assert_same_results(whole, resumed("train", limited, "trainer.max_steps=-1"))
    broken = resumed("train", killed_before_summary(whole, tmp_path / "broken"))
    assert_same_results(whole, broken)


def test_trainer_time_stops_a_run_that_resumes_exactly(tmp_path: Path) -> None:
    arguments = [*SEARCH, "dataset.size=128", "epochs=3", NO_PLOTS]
    timer = "callbacks.clock={_target_:tests.support.resume_tools.TimerOfSteps,steps:5}"
    limited = run("search", *arguments, f"hydra.run.dir={tmp_path}/limited", f"+{timer}")
    limited.succeeded()
    assert "trainer.max_time stopped the run after 1 of 3 epochs" in limited.said
    whole = finished("search", arguments, tmp_path / "whole")
    assert_same_results(whole, resumed("search", tmp_path / "limited", "~callbacks.clock"))
    none = run("search", *arguments, f"hydra.run.dir={tmp_path}/none", "trainer.max_time=00:00:00:00")
    none.succeeded()
    assert "after 0 of 3 epochs. There is no checkpoint: start from scratch" in none.said


@pytest.mark.parametrize("script", ["search", pytest.param("train", marks=pytest.mark.slow)])
def test_run_that_a_callback_has_ended_stays_ended(script: str, tmp_path: Path) -> None:
    more = [NO_PLOTS] if script == "search" else [f"genotype={NB201}"]
    arguments = [*(SEARCH if script == "search" else TRAIN), "epochs=3", f"+callbacks.stop={STOP}", *more]
    whole = finished(script, arguments, tmp_path / "whole")
    assert json.loads((whole / "summary.json").read_text())["epochs"] == 1
    broken = killed_before_summary(whole, tmp_path / "broken")
    assert_same_results(whole, resumed(script, broken, f"+callbacks.stop={STOP}"))
    longer = run(script, f"ckpt_path={whole}", f"hydra.run.dir={tmp_path}/longer", "epochs=4", "~callbacks.stop")
    longer.succeeded()
    assert json.loads((tmp_path / "longer" / "summary.json").read_text())["epochs"] == 4


def test_epoch_that_a_callback_cuts_is_not_recorded(tmp_path: Path) -> None:
    cut = "+callbacks.cut={_target_:tests.support.resume_tools.StopAfter,step:5}"
    arguments = [*SEARCH, "dataset.size=128", "epochs=3", NO_PLOTS]
    ended = finished("search", [*arguments, cut], tmp_path / "ended")
    assert json.loads((ended / "summary.json").read_text())["epochs"] == 1
    assert len(history(ended)) == 1 and checkpoint(ended)["global_step"] == 4
    whole = finished("search", arguments, tmp_path / "whole")
    run("search", f"ckpt_path={ended}", f"hydra.run.dir={tmp_path}/new", "~callbacks.cut").succeeded()
    assert history(tmp_path / "new") == history(whole)[1:]


@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=[] if m == "bohb" else pytest.mark.slow) for m in sorted(QUERYING)]
)
def test_black_box_search_killed_before_its_summary_or_stopped_by_steps(method: str, tmp_path: Path) -> None:
    arguments = [f"method={method}", *BLACK_BOX]
    whole = finished("search", arguments, tmp_path / "whole")
    assert_same_results(whole, resumed("search", killed_before_summary(whole, tmp_path / "broken"), *FORMULA))
    limited = stopped("search", arguments, tmp_path / "limited", "trainer.max_steps=4", "1 of 3")
    assert_same_results(whole, resumed("search", limited, *FORMULA, "trainer.max_steps=-1"))
    more = tmp_path / "more"
    longer = ["method.budget.queries=9", "epochs=4", f"hydra.run.dir={more}"]
    run("search", f"ckpt_path={whole}", *FORMULA, *longer).succeeded()
    assert json.loads((more / "summary.json").read_text())["queries"] == 9


def test_black_box_search_killed_after_its_seconds(tmp_path: Path) -> None:
    arguments = ["method=random_search", *BLACK_BOX[:-2], "method.budget.seconds=70", "epochs=9"]
    whole = finished("search", arguments, tmp_path / "whole")
    assert json.loads((whole / "summary.json").read_text())["ended_by"] == "seconds"
    assert_same_results(whole, resumed("search", killed_before_summary(whole, tmp_path / "broken"), *FORMULA))


@pytest.mark.slow
def test_te_nas_killed_before_its_summary_or_stopped_by_steps(tmp_path: Path) -> None:
    whole = finished("search", TE_NAS, tmp_path / "whole")
    assert_same_results(whole, resumed("search", killed_before_summary(whole, tmp_path / "broken")))
    limited = stopped("search", TE_NAS, tmp_path / "limited", "trainer.max_steps=33", "1 of 5")
    assert_same_results(whole, resumed("search", limited, "trainer.max_steps=-1"))


def test_resume_with_other_lengths(tmp_path: Path) -> None:
    whole = finished("search", [*SEARCH, "epochs=2", "trainer.max_epochs=1", NO_PLOTS], tmp_path / "whole")
    new = f"hydra.run.dir={tmp_path}/new"
    run("search", f"ckpt_path={whole}", f"hydra.run.dir={tmp_path}/same").succeeded()
    assert_same_results(whole, whole)
    found, expected = (json.loads((d / "summary.json").read_text()) for d in (tmp_path / "same", whole))
    assert found["val_accuracy"] == expected["val_accuracy"] is not None, "nothing was left to do"
    run("search", f"ckpt_path={whole}", new, "epochs=2").succeeded()
    assert json.loads((tmp_path / "new" / "summary.json").read_text())["epochs"] == 2, "epochs replaces max_epochs"
    fewer = run("search", f"ckpt_path={tmp_path}/new", f"hydra.run.dir={tmp_path}/fewer", "epochs=1")
    fewer.refused("epochs=1: the checkpoint has 2 complete epochs. Set epochs=2 or more")
