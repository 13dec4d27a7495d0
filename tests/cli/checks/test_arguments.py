"""Overrides that contradict each other."""

from __future__ import annotations

import pytest

from nas.cli.main import prepare
from nas.utils.errors import NasError

REPEATED = ("method=random_search", "method.repetitions=2")
PLOTS = "{_target_:nas.callbacks.recording.cell_plots.CellPlots}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=1", "seed=2"], "seed=2: the command line also has seed=1. Leave out one of the two."),
        (["seed=1", "++seed=2"], "++seed=2: the command line also has seed=1."),
        (["method=gdas", "method=darts"], "method=darts: the command line also has method=gdas."),
        (["-m", "seed=1,2", "seed=3"], "seed=3: the command line also has seed=1,2."),
        (
            ["method.weight_step.clip_norm=2", "method.weight_step={clip_norm:1}"],
            "method.weight_step={clip_norm:1}: the command line also has method.weight_step.clip_norm=2.",
        ),
        (["trainer.max_epochs=5", "epochs=10"], "trainer.max_epochs=5: the command line also has epochs=10."),
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
def test_overrides_that_replace_each_other_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(NasError) as error:
        prepare("search", arguments)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "arguments",
    [
        ["seed=1", "seed=1"],
        ["epochs=5", "trainer.max_epochs=5"],
        ["trainer=smoke", "epochs=5"],
        [*REPEATED, "logger=none", "cpu_minutes=null", "~callbacks.cell_plots"],
        ["-m", *REPEATED, "logger=csv"],
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
