"""Predictions of NAS-Bench-301: values, ensemble statistics, and what it refuses."""

from __future__ import annotations

import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest

from nas import benchmarks
from nas.benchmarks.convert import convert
from nas.benchmarks.nas_bench_301.benchmark import NasBench301
from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.cli.commands.convert import main
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.utils.errors import NasError
from tests.support.compose_tools import lines
from tests.support.error_tools import TINY, run
from tests.support.nas_bench_301_tools import MODELS, expected_predictions, write_benchmark
from tests.support.query_tools import darts

QUERY = ("cifar10", "valid", 100)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert the small models."""
    return write_benchmark(tmp_path_factory.mktemp("nb301")).parent


@pytest.fixture
def benchmark(root: Path) -> NasBench301:
    found = benchmarks.find_benchmark(root, "darts")
    assert isinstance(found, NasBench301)
    return found


def test_predictions_equal_those_of_the_libraries(benchmark: NasBench301) -> None:
    assert len(benchmark) == 2
    for genotype, accuracy, seconds in expected_predictions():
        each = benchmark.accuracy(genotype, *QUERY, "each")
        assert each == pytest.approx(accuracy, abs=1e-4)
        assert benchmark.accuracy(genotype, *QUERY, 1) == each[1]
        assert benchmark.accuracy(genotype, *QUERY, "mean") == pytest.approx(statistics.fmean(accuracy), abs=1e-4)
        mean, std = benchmark.prediction(genotype)
        assert (mean, std) == pytest.approx((statistics.fmean(each), statistics.pstdev(each)))
        assert benchmark.simulated_seconds(genotype, "cifar10", 100) == pytest.approx(statistics.fmean(seconds))


def test_sample_accuracy_has_the_distribution_of_the_ensemble(benchmark: NasBench301) -> None:
    genotype, rng = expected_predictions()[0].genotype, random.Random(0)
    samples = [benchmark.sample_accuracy(genotype, *QUERY, rng) for _ in range(4000)]
    mean, std = benchmark.prediction(genotype)
    assert abs(statistics.fmean(samples) - mean) < 4 * std / math.sqrt(4000)
    assert statistics.stdev(samples) == pytest.approx(std, rel=0.05)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (("cifar100", "valid", 100, "mean"), "unknown dataset of the benchmark 'cifar100'"),
        (("cifar10", "test", 100, "mean"), "split=test: NAS-Bench-301 predicts the split valid only"),
        (("cifar10", "valid", 12, "mean"), "epochs=12: NAS-Bench-301 predicts trainings of 100 epochs only"),
        (("cifar10", "valid", 100, 2), "seed=2: .* has the models 0 to 1, mean and each"),
    ],
)
def test_benchmark_refuses_what_it_does_not_predict(query: Any, problem: str, benchmark: NasBench301) -> None:
    with pytest.raises(NasError, match=problem):
        benchmark.accuracy(expected_predictions()[0].genotype, *query)
    with pytest.raises(NasError, match="have no indices"):
        benchmark.accuracy(3, *QUERY, "mean")


def test_find_table_refuses_predictions_and_damage_is_noticed(root: Path, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="predicts accuracies and contains no table"):
        benchmarks.find_table(root, "darts")
    content = bytearray((root / "nas_bench_301.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "nas_bench_301.parquet").write_bytes(content)
    with pytest.raises(NasError, match="is damaged"):
        benchmarks.find_benchmark(tmp_path, "darts")


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        (darts("darts_s4"), "does not cover space=darts_s4, whose normal cell has noise"),
        (Darts((3, 32, 32), 10, nodes=5), "whose normal cell has other nodes"),
        (Darts((3, 32, 32), 10, keeps_none=True), "cell has none. Use space=darts with space.keeps_none=false"),
        (Darts((3, 32, 32), 10, fixed_reduction=True), "Use space.fixed_reduction=false"),
    ],
    ids=["noise", "nodes", "none", "fixed"],
)
def test_benchmark_query_refuses_spaces_with_other_genotypes(space: Space, problem: str, root: Path) -> None:
    with pytest.raises(NasError, match=problem):
        BenchmarkQuery(space, root=str(root))


@pytest.mark.parametrize("table", ["present", "absent"])
def test_search_in_another_space_of_darts_cells_names_what_is_not_covered(
    table: str, root: Path, tmp_path: Path
) -> None:
    """The message does not name a missing table."""
    place = f"paths.benchmark={root if table == 'present' else tmp_path}"
    small = ["space=darts_s4", "space.channels=2", "space.layers=3", "epochs=1", place]
    done = run("search", *TINY, "method=gdas", *small, f"hydra.run.dir={tmp_path / 'run'}")
    done.succeeded()
    assert "benchmark      not available: NAS-Bench-301 does not cover space=darts_s4, whose normal cell" in done.said
    command = ["method=random_search", "evaluator=benchmark", "space=darts_s4", "dataset=cifar10", place]
    run("search", *command, f"hydra.run.dir={tmp_path / 'no'}").refused(
        "evaluator=benchmark: NAS-Bench-301 does not cover space=darts_s4", "Use space=darts"
    )


@pytest.mark.parametrize("option", [["--partial"], ["--as", "nb_models"]], ids=" ".join)
def test_convert_refuses_options_without_effect(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(MODELS), str(tmp_path / "a.parquet"), *option]) == 1
    assert capsys.readouterr().err.startswith(
        f"error: {'='.join(option)}: {MODELS} contains the models of NAS-Bench-301"
    )
    assert not list(tmp_path.iterdir())


def test_benchmark_query_predicts_with_default_lengths(root: Path) -> None:
    genotype, accuracy, seconds = expected_predictions()[3]
    query = BenchmarkQuery(darts("darts"), root=str(root))
    assert query.label == "predicted cifar10 valid accuracy after 100 epochs (%)"
    assert query(genotype) == pytest.approx((statistics.fmean(accuracy), statistics.fmean(seconds)), abs=1e-3)
    assert query.reported_accuracies(genotype) == {"cifar10/valid": query(genotype).value}
    assert query.best_accuracies() == {}
    noisy = BenchmarkQuery(darts("darts_s2"), root=str(root), benchmark_seed="random", seed=4)
    first = noisy(genotype).value
    noisy.reset(4)
    assert noisy(genotype).value == first != noisy(genotype).value


def test_models_without_times_are_refused_by_searches_only(tmp_path: Path) -> None:
    convert(MODELS / "xgb_v1.0", tmp_path / "nas_bench_301.parquet")
    found = benchmarks.find_benchmark(tmp_path, "darts")
    assert found is not None and found.accuracy(expected_predictions()[0].genotype, *QUERY, "mean") > 0
    with pytest.raises(NasError, match="has no model of the training time. Convert the directory nb_models"):
        BenchmarkQuery(darts("darts"), root=str(tmp_path))


def test_black_box_search_runs_on_predictions(root: Path, tmp_path: Path) -> None:
    command = ["method=regularized_evolution", "evaluator=benchmark", "space=darts", "dataset=cifar10", "epochs=2"]
    options = [f"paths.benchmark={root}", "method.budget.queries=30", "logger=none", "~callbacks.cell_plots"]
    run("search", *command, *options, f"hydra.run.dir={tmp_path / 'run'}").succeeded()
    benchmark = benchmarks.find_benchmark(root, "darts")
    assert benchmark is not None
    for line in lines(tmp_path / "run" / "history.jsonl"):
        expected = benchmark.accuracy(line["genotype"], *QUERY, "mean")
        assert line["benchmark/valid"] == pytest.approx(expected, rel=1e-6)
    run("search", *command, f"paths.benchmark={tmp_path}", f"hydra.run.dir={tmp_path / 'no'}").refused(
        "there is no table of space 'darts' (NAS-Bench-301) in", "paths.benchmark"
    )


def test_gradient_search_logs_the_predicted_accuracy(root: Path, tmp_path: Path) -> None:
    small = ["space=darts", "space.channels=2", "space.layers=3", "space.ops=[skip_connect,sep_conv_3x3]", "epochs=1"]
    done = run("search", *TINY, "method=gdas", *small, f"paths.benchmark={root}", f"hydra.run.dir={tmp_path / 'run'}")
    done.succeeded()
    assert "NAS-Bench-301: accuracies on cifar10, 100 epochs, predicted (it has no synthetic)" in done.said
    (line,) = lines(tmp_path / "run" / "history.jsonl")
    benchmark = benchmarks.find_benchmark(root, "darts")
    assert benchmark is not None
    assert line["benchmark/valid"] == pytest.approx(benchmark.accuracy(line["genotype"], *QUERY, "mean"), rel=1e-6)
    assert "benchmark/test" not in line
