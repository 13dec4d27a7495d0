"""nas.report.groups and group_options: runs that differ only in the seed form a group."""

from __future__ import annotations

from typing import Any

import pytest

from nas.report.groups import columns_of, common_scores, group_runs
from nas.report.run import Run


def training(seed: int = 0, published: str | None = None, genotype: str = "", **overrides: str) -> Run:
    summary: dict[str, Any] = {"mode": "train", "space": "darts", "dataset": "cifar10", "seed": seed}
    summary |= {"published": {"name": published}} if published else {"genotype": genotype} if genotype else {}
    return Run(
        "run", kind="train", summary=summary, overrides={key.replace("__", "."): v for key, v in overrides.items()}
    )


def names(*runs: Run) -> list[str]:
    return [group.name for group in group_runs(runs)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"published": "DARTS_V1"}, {"published": "PDARTS"}),
        ({"genotype": "a"}, {"genotype": "b"}),
        ({"genotype": "a", "trainer__limit_train_batches": "5"}, {"genotype": "a"}),
        ({"trainer__precision": "16-mixed"}, {}),
        ({"trainer": "smoke"}, {"trainer": "cpu"}),
        ({"experiment": "laptop/darts"}, {"experiment": "darts/nas_bench_201"}),
    ],
)
def test_settings_with_an_effect_on_results_separate_groups(first: dict[str, str], second: dict[str, str]) -> None:
    assert len(set(names(training(0, **first), training(1, **second)))) == 2


def test_settings_without_an_effect_on_results_do_not() -> None:
    ignored = {"trainer": "gpu", "trainer__profiler": "simple", "trainer__max_steps": "-1", "genotype": "b.json"}
    ignored |= {"trainer__accelerator": "gpu", "ckpt_path": "run", "tags": "[a]", "logger__wandb__mode": "online"}
    (group,) = group_runs([training(0, "DARTS_V1", trainer="cpu"), training(1, "DARTS_V1", **ignored)])
    assert group.name == "train" and len(group.members) == 2


def test_recorded_choices_replace_overrides() -> None:
    choices = {"method": "te_nas", "experiment": "te_nas/darts"}
    summary = {"method": "te_nas"}
    given = [
        Run("run", "search", summary=summary, choices=choices, overrides={"experiment": "te_nas/darts"}),
        Run("run", "search", summary=summary, choices=choices, overrides={"method": "te_nas"}),
        Run("run", "search", summary=summary, choices={"method": "te_nas_random"}),
    ]
    assert names(*given) == ["te_nas, method=te_nas, experiment=te_nas/darts", "te_nas, method=te_nas_random"]


def test_columns_do_not_repeat_the_accuracy_on_the_data_set_of_the_search() -> None:
    values = {"benchmark/test": 93.0, "cifar10/test": 92.99999999999999, "cifar100/test": 70.0}
    runs = [Run("run", "search", summary={"method": m, "seed": 0, **values}) for m in ("darts", "gdas")]
    titles = ["benchmark test (%)", "CIFAR-100 test (%)"]
    assert [title for _, title in columns_of(group_runs(runs))] == titles
    assert common_scores(group_runs(runs)) == ["benchmark/test", "cifar100/test"]
    other = Run("run", "search", summary={"method": "snas", "benchmark/test": 71.0, "cifar10/test": 93.5})
    assert "CIFAR-10 test (%)" in dict(columns_of(group_runs([*runs, other]))).values()


def test_results_that_differ_by_rounding_are_equal() -> None:
    exact = 20 / 62 * 100  # in the summary of an evaluation; that of a training is in float32
    runs = [
        Run("run", "search", summary={"method": "a", "seed": s, "test_accuracy": v})
        for s, v in enumerate((exact, 32.25806474685669))
    ]
    (group,) = group_runs(runs)
    assert group.results("test_accuracy") == [32.2581, 32.2581]
    assert set(group.by_seed("test_accuracy").values()) == {32.2581}
    proxies = [Run("run", "search", summary={"method": "a", "value": value}) for value in (1073466.0, 1073469.0)]
    assert [group.results("value") for group in group_runs(proxies)] == [[1073466.0, 1073469.0]], "values are exact"


def test_groups_have_unique_names() -> None:
    summaries = [{"method": "darts", "space": space} for space in ("darts", "", "nas_bench_201")]
    runs = [Run("run", kind, summary=summary) for summary in summaries for kind in ("search", "")]
    assert len(set(names(*runs))) == 6
    runs = [
        Run("run", "search", summary={"method": "darts", "space": "a"}),
        Run("run", "", summary={"method": "darts"}),
    ]
    assert names(*runs) == ["darts", "darts (unknown kind, space)"]
