"""Searches by queries that cannot be: one line each, before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.blackbox.test_search import COMMAND, QUICK
from tests.support.compose_tools import DATA, small
from tests.support.error_tools import run

REFUSED = {
    "method.budget.queries=0": ["budget.queries=0", "at least 1"],
    "method.budget.queries=-5": ["budget.queries=-5"],
    "method.budget.queries=2.5": ["method.budget.queries=2.5", "whole number"],
    "method.budget.seconds=0": ["budget.seconds=0", "above 0"],
    "method.budget.seconds=-1.5": ["budget.seconds=-1.5"],
    "method.budget.seconds=soon": ["method.budget.seconds=soon", "a number"],
    "method.budget.seconds=5": ["budget.seconds=5: the first query alone takes", "budget.queries"],
    "method.repetitions=0": ["repetitions=0", "at least 1"],
    "method.evaluator=null": ["method.evaluator=null", "evaluator=NAME"],
    "method.strategy.population=0": ["population=0"],
    "method.strategy.populatoin=5": ["method.strategy.populatoin", "method.strategy.population"],
    "budget.queries=5": ["budget.queries", "method.budget.queries"],
    "evaluator=benchmrk": ["unknown evaluator 'benchmrk'", "'benchmark'"],
    "evaluator=supernet": ["evaluator.supernet_dir=null", "method=one_shot"],
    "evaluator.network.channels=4": ["evaluator.network is null", "'evaluator.network={channels: VALUE}'"],
    "evaluator.network={chanels:4}": ["evaluator.network.chanels", "channels, cells_per_stage"],
    "evaluator.network={channels:four}": ["evaluator.network.channels=four", "a whole number"],
    "trainer.precision=16-mixed": ["trainer.precision=16-mixed", "in 32-true or bf16-mixed; float16's loss scaling"],
    "trainer.precision=64": ["trainer.precision=64-true", "in 32-true or bf16-mixed"],
    "trainer=ddp_cpu": ["the 2 processes of this trainer", "trainer=cpu"],
}


@pytest.mark.parametrize("argument", REFUSED)
def test_mistakes_end_in_one_line(argument: str, tmp_path: Path) -> None:
    arguments = [a for a in COMMAND if not a.startswith(argument.partition("=")[0])]
    if argument.startswith("evaluator"):
        arguments = [a for a in arguments if not a.startswith("evaluator")]
    run("search", *arguments, argument, f"hydra.run.dir={tmp_path}/r").refused(*REFUSED[argument])
    assert not (tmp_path / "r" / "summary.json").exists()


def test_the_benchmark_says_what_it_lacks(tmp_path: Path) -> None:
    command = ["method=random_search", "evaluator=benchmark", f"paths.data={tmp_path}"]
    run("search", *command, f"hydra.run.dir={tmp_path}/a").refused("evaluator.dataset=digits", "dataset=cifar10")
    there = [*command, "dataset=cifar10", f"hydra.run.dir={tmp_path}/b"]
    run("search", *there).refused("there is no table of space 'nas_bench_201'", str(tmp_path))
    run("search", *there, "method.repetitions=3").refused("there is no table of space 'nas_bench_201'")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists(), "nothing was written"
    elsewhere = [*there[:-1], f"paths.benchmark={tmp_path}/tables", f"hydra.run.dir={tmp_path}/c"]
    run("search", *elsewhere).refused(f"no table of space 'nas_bench_201' in {tmp_path}/tables")


def test_repetitions_do_not_pass_over_a_precision(tmp_path: Path) -> None:
    asked = ["trainer.precision=bf16-mixed", "method.repetitions=2", f"hydra.run.dir={tmp_path}/r"]
    run("search", *COMMAND, *asked).refused(
        "trainer.precision=bf16-mixed", "repetitions have no trainer", "method.repetitions=1"
    )


ASKED = {
    "evaluator.epochs=13": ["evaluator=benchmark: epochs=13: ", "has trainings of 12, 200 epochs on cifar10 valid"],
    "evaluator.split=vald": ["unknown split of cifar10 'vald': did you mean 'valid'?"],
    "evaluator.benchmark_seed=random": ["evaluator.benchmark_seed=random: seed=each", "only the mean over seeds"],
    "evaluator.epoch=12": ["evaluator.epoch", "evaluator.epochs"],
    "space=darts": ["space 'darts' has no benchmark, only nas_bench_201 and nats_size have"],
}


@pytest.mark.data
@pytest.mark.parametrize("argument", ASKED)
def test_what_the_table_lacks_is_told_before_anything_is_written(argument: str, shared: Path, tmp_path: Path) -> None:
    command = ["method=random_search", "evaluator=benchmark", "dataset=cifar10", f"paths.benchmark={shared}/data"]
    run("search", *command, argument, f"hydra.run.dir={tmp_path}/r").refused(*ASKED[argument])
    assert not (tmp_path / "r").exists()


@pytest.mark.data
def test_jobs_of_a_sweep_tell_what_the_table_lacks_each_for_itself(shared: Path, tmp_path: Path) -> None:
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
def test_repetitions_without_the_gpu_that_is_asked_for(tmp_path: Path) -> None:
    command = ["method=random_search", *small("nas_bench_201"), *DATA, "method.repetitions=2", "trainer=gpu"]
    run("search", *command, f"hydra.run.dir={tmp_path}/r").refused("finds no GPU here", "trainer=cpu")


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        (["proxy=naswot", "proxy.batch_size=0"], "naswot of a batch of 0: it is defined on at least 2 images"),
        (["proxy=jacob_cov", "proxy.batch_size=1"], "jacob_cov of a batch of 1"),
        (["proxy=snip", "proxy.batch_size=0"], "snip of a batch of 0: it is defined on at least 1 image"),
        (["proxy=linear_regions", "proxy.chunk=0"], "linear_regions: chunk=0"),
        (["proxy=zen", "proxy.repeats=0"], "zen: repeats=0"),
    ],
)
def test_scores_of_nothing_are_refused(options: list[str], phrase: str, tmp_path: Path) -> None:
    """An empty batch used to give a value, the same for every genotype."""
    command = ["method=random_search", *small("nas_bench_201"), *DATA, *options]
    run("search", *command, f"hydra.run.dir={tmp_path}/r").refused(phrase)
