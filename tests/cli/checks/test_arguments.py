"""Overrides that replace each other, or have no effect."""

from __future__ import annotations

import pytest

from nas.cli.main import prepare
from nas.utils.errors import NasError

REPEATED = ("method=random_search", "method.repetitions=2")
PLOTS = "{_target_:nas.callbacks.recording.cell_plots.CellPlots}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [*REPEATED, "cpu_minutes=1"],
            "cpu_minutes=1: method.repetitions=2 runs without a trainer and does not use cpu_minutes.",
        ),
        ([*REPEATED, "logger=wandb"], "logger=wandb: method.repetitions=2 runs without a trainer"),
        (
            ["method=gdas", "budget.latency_table=t.json"],
            "budget.latency_table=t.json: the search limits no latency. Add budget.latency_ms=NUMBER.",
        ),
        (["method=darts", "method.epochs=5"], "method.epochs=5: the run has epochs=30. Use epochs=5."),
    ],
    ids=lambda value: value.partition(":")[0] if isinstance(value, str) else "",
)
def test_overrides_without_effect_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(NasError) as error:
        prepare("search", arguments)
    assert str(error.value).startswith(message)


def test_the_last_of_two_overrides_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """As in Hydra: scripts add overrides to common ones."""
    plan = prepare("search", ["seed=1", "method=gdas", "seed=2", "method=darts"]).plan
    assert plan is not None and plan.cfg.seed == 2 and plan.cfg.method.name == "darts"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["seed=1", "seed=1"],
        ["epochs=5", "trainer.max_epochs=5"],
        ["trainer=smoke", "epochs=5"],
        [*REPEATED, "logger=none", "cpu_minutes=null", "~callbacks.cell_plots"],
        [*REPEATED, "logger=csv", "callbacks=default"],
        ["-m", *REPEATED, "logger=wandb"],
        ["method=gdas", "budget.latency_table=t.json", "budget.latency_ms=5"],
        ["method=nsga2", "method.objectives=[value,latency_ms]", "budget.latency_table=t.json"],
        ["method=proxyless", "method.arch_step.cost_target.target=8", "budget.latency_table=t.json"],
        ["method=darts", "dataset=synthetic", "method.epochs=5"],
        ["method.weight_step={clip_norm:1}", "method.weight_step.optimizer.lr=0.1"],
        ["~callbacks.cell_plots", f"+callbacks.cell_plots={PLOTS}"],
    ],
    ids=" ".join,
)
def test_overrides_that_complete_each_other_are_accepted(arguments: list[str]) -> None:
    assert prepare("search", arguments).plan is not None
