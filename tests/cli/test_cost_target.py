"""Searches with a target cost: latency in the loss, the variant with REINFORCE, and mistakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nas.latency.table_file import save_table
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.compose_tools import small
from tests.support.error_tools import SEARCH, TINY, run
from tests.support.latency_tools import SINGLE, make_table

QUIET = ("~callbacks.cell_plots", "logger=none", "trainer.enable_progress_bar=false")
EARLY = ("method.arch_step.every=1", "method.arch_step.warmup_share=0", "method.arch_step.warmup_epochs=0", "epochs=1")
OPTION = "method.arch_step.cost_target"
REWARD = "method.arch_step.reward={_target_: nas.objectives.reinforce.ReinforceObjective, samples: 3, momentum: 0.01}"


def alphas(directory: Path) -> dict[str, list[list[float]]]:
    """Return the scores of each cell type after the last epoch."""
    scores: dict[str, list[list[float]]] = json.loads((directory / "alphas.jsonl").read_text().splitlines()[-1])[
        "scores"
    ]
    return scores


def test_costs_in_the_loss_change_alpha(tmp_path: Path) -> None:
    table = make_table(12, lambda counts: sum(SINGLE[key] * count for key, count in counts.items()))
    save_table(replace(table, classes=10), NasBench201((3, 8, 8), 10), tmp_path / "table.json")
    common = ["method=proxyless", *SEARCH[:-1], *EARLY, *QUIET]
    common += ["budget.network={channels: 4, cells_per_stage: 1}"]
    latency = [f"{OPTION}.target=5", f"{OPTION}.form=add", f"budget.latency_table={tmp_path}/table.json"]
    macs = [f"{OPTION}.target=1e5", f"{OPTION}.cost=macs"]
    for name, more in (("free", []), ("latency", latency), ("macs", macs)):
        run("search", *common, *more, f"hydra.run.dir={tmp_path}/{name}").succeeded()
    free, *others = (alphas(tmp_path / name) for name in ("free", "latency", "macs"))
    assert free and all(other != free for other in others) and others[0] != others[1]


def test_reinforce_with_multiply_adds_on_the_mobile_space(tmp_path: Path) -> None:
    common = ["method=proxyless", *small("mobile"), *TINY, *EARLY, *QUIET, REWARD]
    target = [f"{OPTION}.cost=macs", f"{OPTION}.form=reward", f"{OPTION}.target=2e4"]
    for name, more in (("free", []), ("target", target)):
        run("search", *common, *more, f"hydra.run.dir={tmp_path}/{name}").succeeded()
    assert alphas(tmp_path / "free") != alphas(tmp_path / "target")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((f"{OPTION}.target=80",), "no latency table. Run nas-search latency space=mobile"),
        ((f"{OPTION}.target=80", f"{OPTION}.cost=energy"), "cost_target.cost=energy: unknown. Use parameters, macs"),
        ((f"{OPTION}.target=1", f"{OPTION}.cost=macs"), "Use method.arch_step.cost_target.form=add"),
        ((f"{OPTION}.target=1e6", f"{OPTION}.form=reward"), "not supported without method.arch_step.reward"),
        (
            (f"{OPTION}.target=1e6", REWARD),
            "form=multiply: not supported with method.arch_step.reward. Use form=reward",
        ),
        ((REWARD, "method.relaxation.paths=two"), "method.relaxation.paths=two: a reward needs samples"),
        ((f"{OPTION}.target=-1",), "cost_target.target=-1"),
    ],
)
def test_wrong_options(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    given = ["method=proxyless", *small("mobile"), *TINY, *options, f"hydra.run.dir={tmp_path}/run"]
    run("search", *given).refused(message)
    assert not list(tmp_path.rglob("history.jsonl"))
