"""Black-box searches that are refused, each in one line and before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.support.compose_tools import DATA, small
from tests.support.error_tools import run
from tests.support.query_tools import COMMAND, QUICK

REFUSED = {
    "method.budget.queries=0": ["method.budget.queries=0: use a whole number from 1"],
    "method.budget.queries=-5": ["budget.queries=-5"],
    "method.budget.queries=2.5": ["method.budget.queries=2.5", "whole number"],
    "method.budget.seconds=0": ["budget.seconds=0", "above 0"],
    "method.budget.seconds=-1.5": ["budget.seconds=-1.5"],
    "method.budget.seconds=soon": ["method.budget.seconds=soon", "a number"],
    "method.budget.seconds=5": ["budget.seconds=5: the first query takes", "budget.queries"],
    "method.repetitions=0": ["method.repetitions=0: use a whole number from 1"],
    "method.evaluator=null": [
        "method.evaluator=null: method=regularized_evolution needs an evaluator",
        "evaluator=benchmark",
    ],
    "method.strategy.population=0": ["population=0"],
    "method.strategy.populatoin=5": ["method.strategy.populatoin", "method.strategy.population"],
    "budget.queries=5": ["budget.queries", "method.budget.queries"],
    "evaluator=benchmrk": ["unknown evaluator 'benchmrk'", "'benchmark'"],
    "evaluator=supernet": ["evaluator.supernet_dir=null", "method=one_shot"],
    "evaluator.network.channels=4": ["evaluator.network is null", "'evaluator.network={channels: VALUE}'"],
    "evaluator.network={chanels:4}": ["evaluator.network.chanels", "channels, cells_per_stage"],
    "evaluator.network={channels:four}": ["evaluator.network.channels=four", "a whole number"],
    "trainer.precision=16-mixed": ["trainer.precision=16-mixed", "supports 32-true and bf16-mixed", "loss scaling"],
    "trainer.precision=64": ["trainer.precision=64-true", "supports 32-true and bf16-mixed"],
    "trainer=ddp_cpu": ["each of the 2 processes of this trainer", "trainer=cpu"],
}


@pytest.mark.parametrize("argument", REFUSED)
def test_search_refuses_wrong_options_in_one_line(argument: str, tmp_path: Path) -> None:
    arguments = [a for a in COMMAND if not a.startswith(argument.partition("=")[0])]
    if argument.startswith("evaluator"):
        arguments = [a for a in arguments if not a.startswith("evaluator")]
    run("search", *arguments, argument, f"hydra.run.dir={tmp_path}/r").refused(*REFUSED[argument])
    assert not (tmp_path / "r" / "summary.json").exists()


def test_search_refuses_missing_benchmark_before_writing(tmp_path: Path) -> None:
    command = ["method=random_search", "evaluator=benchmark", f"paths.data={tmp_path}"]
    run("search", *command, f"hydra.run.dir={tmp_path}/a").refused("evaluator.dataset=digits", "dataset=cifar10")
    there = [*command, "dataset=cifar10", f"hydra.run.dir={tmp_path}/b"]
    run("search", *there).refused("there is no table of space 'nas_bench_201'", str(tmp_path))
    run("search", *there, "method.repetitions=3").refused("there is no table of space 'nas_bench_201'")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists(), "nothing was written"
    elsewhere = [*there[:-1], f"paths.benchmark={tmp_path}/tables", f"hydra.run.dir={tmp_path}/c"]
    run("search", *elsewhere).refused(f"no table of space 'nas_bench_201' (NAS-Bench-201) in {tmp_path}/tables")


def test_repetitions_refuse_other_precision(tmp_path: Path) -> None:
    options = ["trainer.precision=bf16-mixed", "method.repetitions=2", f"hydra.run.dir={tmp_path}/r"]
    run("search", *COMMAND, *options).refused(
        "trainer.precision=bf16-mixed", "repetitions run in 32-true without a trainer", "method.repetitions=1"
    )


NOT_STORED = {
    "evaluator.epochs=13": ["evaluator=benchmark: epochs=13: ", "has trainings of 12, 200 epochs on cifar10 valid"],
    "evaluator.split=vald": ["unknown split of cifar10 'vald': did you mean 'valid'?"],
    "evaluator.benchmark_seed=random": ["evaluator.benchmark_seed=random: seed=each", "only the mean over seeds"],
    "evaluator.epoch=12": ["evaluator.epoch", "evaluator.epochs"],
    "space=darts": ["there is no table of space 'darts' (NAS-Bench-301)"],
    "space=shufflenet": ["space 'shufflenet' has no benchmark; nas_bench_201, nats_size, nas_bench_101, "],
}


@pytest.mark.data
@pytest.mark.parametrize("argument", NOT_STORED)
def test_search_refuses_what_benchmark_does_not_store_before_writing(
    argument: str, shared: Path, tmp_path: Path
) -> None:
    command = ["method=random_search", "evaluator=benchmark", "dataset=cifar10", f"paths.benchmark={shared}/data"]
    run("search", *command, argument, f"hydra.run.dir={tmp_path}/r").refused(*NOT_STORED[argument])
    assert not (tmp_path / "r").exists()


@pytest.mark.data
def test_sweep_jobs_check_benchmark_separately(shared: Path, tmp_path: Path) -> None:
    command = ["method=random_search", "evaluator=benchmark", "dataset=cifar10", f"paths.benchmark={shared}/data"]
    swept = [
        "-m",
        *QUICK,
        *command,
        "method.budget.queries=3",
        "evaluator.epochs=13,12",
        f"hydra.sweep.dir={tmp_path}/s",
    ]
    run("search", *swept)
    assert "epochs=13" in (tmp_path / "s/0/failure.txt").read_text()
    assert json.loads((tmp_path / "s/1/summary.json").read_text())["queries"] == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_repetitions_refuse_missing_gpu(tmp_path: Path) -> None:
    command = ["method=random_search", *small("nas_bench_201"), *DATA, "method.repetitions=2", "trainer=gpu"]
    run("search", *command, f"hydra.run.dir={tmp_path}/r").refused("finds no GPU", "trainer=cpu")


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        (["proxy=naswot", "proxy.batch_size=0"], "proxy.batch_size=0: use a whole number from 1"),
        (["proxy=naswot", "proxy.batch_size=1"], "batch_size=1: proxy=naswot needs at least 2 images"),
        (["proxy=jacob_cov", "proxy.batch_size=1"], "batch_size=1: proxy=jacob_cov"),
        (["proxy=linear_regions", "proxy.chunk=0"], "proxy.chunk=0: use"),
        (["proxy=zen", "proxy.repeats=0"], "proxy.repeats=0: use"),
    ],
)
def test_search_refuses_proxies_of_too_few_images(options: list[str], phrase: str, tmp_path: Path) -> None:
    command = ["method=random_search", *small("nas_bench_201"), *DATA, *options]
    run("search", *command, f"hydra.run.dir={tmp_path}/r").refused(phrase)
