"""Options of a sweep that only its jobs have, from the command line to the jobs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from nas.cli.main import prepare
from nas.cli.overrides.hydra_internals import split_arguments
from nas.cli.overrides.job_options import defer_to_jobs
from nas.utils.errors import NasError
from tests.support.compose_tools import DATA
from tests.support.error_tools import run

METHODS = "method=random_search,bohb"
NOT_IN_DARTS = (
    "^~method.cached: method=darts has no method.cached, and a sweep removes it in each job. Run method=darts in a "
    "command without ~method.cached.$"
)


def deferred(*arguments: str) -> list[str]:
    """Return the rewritten overrides of a sweep."""
    flags, _ = split_arguments(["-m", *arguments])
    found = defer_to_jobs("search", list(arguments), flags).arguments
    assert len(found) == len(arguments)
    return [line for line in found if line not in arguments]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([METHODS, "method.repetitions=5", "seed=0,1"], ["method.repetitions=choice(5)"]),
        (
            [METHODS, "executor=processes", "executor.workers=2", "evaluator=zero_cost", "proxy=naswot"],
            [
                *("executor=choice(processes)", "executor.workers=choice(2)"),
                *("evaluator=choice(zero_cost)", "proxy=choice(naswot)"),
            ],
        ),
        (["space=darts,darts_s2", "space.layers=3", "space.channels=8"], ["space.layers=choice(3)"]),
        (["dataset=ptb,wikitext2", "space=recurrent", "dataset.bptt=3"], ["dataset.bptt=choice(3)"]),
        (
            [METHODS, "method.budget={queries:3,seconds:null}", "+method.more=[1,2]"],
            ["method.budget=choice({queries:3,seconds:null})"],
        ),
        (["hparams_search=nas_bench_201_study", "executor=serial"], ["executor=choice(serial)"]),
        (
            [METHODS, "evaluator=zero_cost", "proxy=naswot", "method.budget.seconds=null"],
            ["evaluator=choice(zero_cost)", "proxy=choice(naswot)", "++method.budget.seconds=null"],
        ),
        ([METHODS, "~method.cached", "proxy=naswot"], ["proxy=choice(naswot)"]),
        ([METHODS, "++method.repetitions=5", "~callbacks.cell_plots", "epochs=2"], []),
        (["method=random_search", "method.repetitions=5", "seed=0,1"], []),
    ],
)
def test_values_that_the_default_choices_lack_are_deferred(arguments: list[str], expected: list[str]) -> None:
    assert deferred(*arguments) == expected


@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=joblib"]])
def test_jobs_have_the_overrides_of_the_command_line(
    launcher: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = prepare("search", ["-m", METHODS, "method.repetitions=5", *DATA, *launcher]).plan
    assert plan is not None
    assert [job.overrides for job in plan.jobs] == [
        (f"method={method}", "method.repetitions=5", *DATA) for method in ("random_search", "bohb")
    ]


def test_grid_of_a_study_takes_options_of_its_methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = ["-m", "hparams_search=nas_bench_201_study", "method.repetitions=3"]
    plan = prepare("search", [*study, "executor.workers=2"]).plan
    assert plan is not None and len(plan.jobs) == 7
    assert all({"executor=processes", "executor.workers=2"} <= set(job.overrides) for job in plan.jobs)
    with pytest.raises(NasError, match="executor=serial has no option 'workers'|unknown key 'executor.workers'"):
        prepare("search", [*study, "executor=serial", "executor.workers=2"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([METHODS, "method.repetition=5"], "^unknown key 'method.repetition': did you mean 'method.repetitions'"),
        (["method=random_search,gdas", "method.repetitions=5"], "^method=gdas: unknown key 'method.repetitions'"),
        (["method=gdas,random_search", "method.repetitions=5"], "^unknown key 'method.repetitions'"),
        (["space=darts_s2,nas_bench_201", "space.layers=3"], "^space=nas_bench_201: unknown key 'space.layers'"),
        (["method=gdas,darts", "executor=processes"], "^executor=processes: method=gdas evaluates no candidates"),
        ([METHODS, "method.repetitions=many"], "method.repetitions takes"),
        ([METHODS, "~method.cachd"], "^method=random_search: unknown key 'method.cachd': did you mean 'method.cached'"),
        (["method=darts,bohb", "~method.cached"], NOT_IN_DARTS),
        (["method=bohb,darts", "~method.cached"], NOT_IN_DARTS),
        ([METHODS, "~method.fidelities"], "~method.fidelities: method.fidelities is null already, and Hydra cannot"),
    ],
)
def test_keys_that_a_job_lacks_are_refused_in_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NasError, match=message) as caught:
        prepare("search", ["-m", *arguments])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "sweeper", [[], pytest.param(["hydra/sweeper=optuna", "hydra/sweeper/sampler=grid"], marks=pytest.mark.slow)]
)
def test_sweep_runs_with_options_of_its_methods(sweeper: list[str], tmp_path: Path) -> None:
    if sweeper:
        pytest.importorskip("optuna")
    options = ["method=random_search,regularized_evolution", "method.budget.queries=2", "evaluator=zero_cost"]
    options += ["executor=serial", "proxy=params", "~method.cached", *DATA, f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    run("search", "-m", *options, *sweeper).succeeded()
    with (tmp_path / "sweep" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"random_search", "regularized_evolution"}
    for number in range(2):
        record = tmp_path / "sweep" / str(number) / ".hydra"
        lines = (record / "overrides.yaml").read_text()
        assert "- method.budget.queries=2\n" in lines and "choice(" not in lines
        assert "cached" not in yaml.safe_load((record / "config.yaml").read_text())["method"]
