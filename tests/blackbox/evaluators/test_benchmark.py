"""Evaluation by a tabular benchmark: stored values, sampled seeds, and requests that the table cannot answer."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nas import benchmarks
from nas.architecture.cell import Genotype
from nas.benchmarks import convert, read_release
from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.spaces.nas_bench_201.notation import OPS, from_index, native
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.recurrent.space import Recurrent
from nas.utils.errors import NasError
from tests.support.nats_tools import SMALL, percentage_of, shuffled_names, write_directory

SPACE = NasBench201((3, 32, 32), 10)


class Table(benchmarks.TabularBenchmark):  # type: ignore[name-defined, misc]
    """Benchmark with three seeds after 12 epochs and a mean after 200."""

    notation = "nas_bench_201"

    def accuracy(self, genotype: Genotype, dataset: str, split: str, epochs: int, seed: Any) -> Any:
        if epochs == 200:
            if dataset == "cifar100":
                raise NasError("not stored")
            return math.nan if dataset == "imagenet16_120" else 90.0
        each = (10.0, 20.0, 60.0)
        return each if seed == "each" else 30.0 if seed == "mean" else each[seed]

    def accuracies(self, dataset: str, split: str, epochs: int, seed: Any) -> Any:
        return np.full(len(self), self.accuracy(from_index(0), dataset, split, epochs, seed))

    def simulated_seconds(self, genotype: Genotype, dataset: str, epochs: int) -> float:
        return 7.0 * epochs

    def architecture(self, row: int) -> str:
        return native(from_index(row))

    def __len__(self) -> int:
        return 5**6


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    Table.__abstractmethods__ = frozenset()
    monkeypatch.setattr(
        benchmarks, "find_benchmark", lambda root, notation: Table() if notation == "nas_bench_201" else None
    )


def test_benchmark_query_looks_up_selected_training(table: None) -> None:
    genotype = from_index(0)
    assert BenchmarkQuery(SPACE)(genotype) == (30.0, 84.0)
    assert BenchmarkQuery(SPACE, benchmark_seed=2, epochs=11)(genotype) == (60.0, 77.0)
    assert BenchmarkQuery(SPACE).reported_accuracies(genotype) == {"cifar10/valid": 90.0, "cifar10/test": 90.0}


def test_benchmark_query_samples_seed_per_query_and_resumes(table: None) -> None:
    evaluator, genotype = BenchmarkQuery(SPACE, benchmark_seed="random", seed=3), from_index(0)
    values = [evaluator(genotype).value for _ in range(900)]
    counts = [values.count(value) for value in (10.0, 20.0, 60.0)]
    assert sum(counts) == 900 and all(240 < count < 360 for count in counts)
    again = BenchmarkQuery(SPACE, benchmark_seed="random", seed=4)
    again.reset(3)
    assert [again(genotype).value for _ in range(100)] == values[:100]
    other = BenchmarkQuery(SPACE, benchmark_seed="random")
    other.load_state_dict(again.state_dict())
    assert [other(genotype).value for _ in range(100)] == values[100:200]


def test_benchmark_query_samples_seeds_independently_of_strategy(table: None) -> None:
    """A strategy samples from Random(seed) too; the same stream would correlate the seed with the first op."""
    evaluator, counts = BenchmarkQuery(SPACE, benchmark_seed="random"), np.zeros((5, 3))
    for seed in range(600):
        evaluator.reset(seed)
        first = SPACE.sample(random.Random(seed)).cells["cell"].links[0].op
        counts[OPS.index(first), (10.0, 20.0, 60.0).index(evaluator(from_index(0)).value)] += 1
    assert stats.chi2_contingency(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    ("options", "phrases"),
    [
        ({"dataset": "digits"}, ["evaluator.dataset=digits", "cifar10"]),
        ({"benchmark_seed": "worst"}, ["evaluator.benchmark_seed=worst", "mean, random"]),
    ],
)
def test_benchmark_query_refuses_unknown_options(table: None, options: dict[str, Any], phrases: list[str]) -> None:
    with pytest.raises(NasError) as error:
        BenchmarkQuery(SPACE, **options)
    assert all(phrase in str(error.value) for phrase in phrases)


def test_benchmark_query_refuses_incomplete_seed(table: None, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.full(5**6, 60.0)
    stored[:4] = math.nan
    monkeypatch.setattr(Table, "accuracies", lambda *query: stored)
    with pytest.raises(
        NasError, match=r"12 epochs with seed 2 for only 15,621 of the 15,625 architectures.*seed=random"
    ):
        BenchmarkQuery(SPACE, benchmark_seed=2)


def test_benchmark_query_refuses_missing_table(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="there is no table of space 'nas_bench_201'"):
        BenchmarkQuery(SPACE, root=str(tmp_path))
    (tmp_path / "download.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(NasError, match="download.parquet in it cannot be read"):
        BenchmarkQuery(SPACE, root=str(tmp_path))


def test_benchmark_query_refuses_space_without_benchmark(tmp_path: Path) -> None:
    with pytest.raises(
        NasError, match=r"'recurrent' has no benchmark; nas_bench_201, nats_size.*=supernet or training"
    ):
        BenchmarkQuery(Recurrent((), 10), root=str(tmp_path))


@pytest.mark.data
def test_benchmark_query_equals_columns_of_nas_bench_201_means(shared: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    file = shared / "data" / "nas_bench_201" / "nb201.parquet"
    rows = pq.read_table(file).slice(4000, 3).to_pylist()
    evaluator = BenchmarkQuery(NasBench201((3, 32, 32), 10), root=str(shared / "data"))
    for row in rows:
        genotype = SPACE.parse(row["arch_str"])
        value, seconds = evaluator(genotype)
        assert math.isclose(value, row["cifar10valid_valid_acc_12"], rel_tol=1e-6)
        # One evaluation of 25,000 images at the rate of 35,000 images (validation and test).
        passes = row["cifar10valid_valid_time_per_eval"] + row["cifar10valid_test_time_per_eval"]
        assert math.isclose(seconds, 12 * row["cifar10valid_train_time_per_epoch"] + passes * 25 / 35, rel_tol=1e-6)
        assert math.isclose(
            evaluator.reported_accuracies(genotype)["cifar10/test"], row["cifar10_test_acc_200"], rel_tol=1e-6
        )
    assert math.isclose(evaluator.best_accuracies()["cifar10/test"], 94.3733, abs_tol=1e-3)
    assert math.isclose(evaluator.best_accuracies()["cifar10/valid"], 91.6067, abs_tol=1e-3)
    assert "cifar100/valid" not in evaluator.best_accuracies(), "stored for few architectures"


@pytest.mark.data
def test_benchmark_query_with_fidelities_equals_single_lengths(shared: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    row = pq.read_table(shared / "data" / "nas_bench_201" / "nb201.parquet").slice(77, 1).to_pylist()[0]
    root = str(shared / "data")
    evaluator, genotype = BenchmarkQuery(SPACE, root=root, fidelities=[12, 200]), SPACE.parse(row["arch_str"])
    for length in (12, 200):
        value, seconds = evaluator(genotype, length)
        assert math.isclose(value, row[f"cifar10valid_valid_acc_{length}"], rel_tol=1e-6)
        assert (value, seconds) == BenchmarkQuery(SPACE, root=root, epochs=length)(genotype)
    assert evaluator.label == evaluator.label_at(None) == "cifar10 valid accuracy after 12 or 200 epochs (%)"
    assert evaluator.label_at(200) == "cifar10 valid accuracy after 200 epochs (%)"
    with pytest.raises(NasError, match=r"evaluator.fidelities=\[12, 50\]: .*trainings of 12, 200 epochs"):
        BenchmarkQuery(SPACE, root=root, fidelities=[12, 50])


NOT_STORED: list[tuple[dict[str, Any], str]] = [
    (
        {"benchmark_seed": "random"},
        "evaluator=benchmark: evaluator.benchmark_seed=random: .* only the mean over seeds",
    ),
    (
        {"benchmark_seed": 888},
        "evaluator.benchmark_seed=888: seed=888: .* only the mean over seeds",
    ),
    ({"epochs": 13}, "evaluator=benchmark: epochs=13: .* has trainings of 12, 200 epochs on cifar10 valid"),
    ({"fidelities": [12, 50]}, r"evaluator.fidelities=\[12, 50\]: epochs=50: .* trainings of 12, 200 epochs"),
    ({"split": "vald"}, "unknown split of cifar10 'vald': did you mean 'valid'"),
    (
        {"dataset": "cifar100", "epochs": 200},
        "cifar100 valid accuracy after 200 epochs for only 289 of the 15,625 architectures",
    ),
    ({"report_epochs": 50}, "evaluator.report_epochs=50: epochs=50: .* trainings of 12, 200 epochs on cifar10 test"),
]


@pytest.mark.data
@pytest.mark.parametrize(("options", "message"), NOT_STORED)
def test_benchmark_query_refuses_what_is_not_stored(options: dict[str, Any], message: str, shared: Path) -> None:
    with pytest.raises(NasError, match=message):
        BenchmarkQuery(SPACE, root=str(shared / "data"), **options)


def test_benchmark_query_best_accuracies_are_of_searched_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_release, "BENCHMARK_SPACES", SMALL)
    convert.convert(write_directory("nats_size", tmp_path), tmp_path / "sizes.parquet")
    tested = {
        name: percentage_of(index, 90, "cifar10", 777, "ori-test")
        for index, name in enumerate(shuffled_names("nats_size"))
    }
    for widths, best in (((8, 64), max(tested.values())), ((64,), tested["64:64:64:64:64"])):
        evaluator = BenchmarkQuery(NatsSize((3, 32, 32), 10, widths), root=str(tmp_path))
        assert evaluator.best_accuracies()["cifar10/test"] == best
    with pytest.raises(NasError, match=r"8:8:8:8:16 is not in .* has 32 of the 32,768 architectures"):
        BenchmarkQuery(NatsSize((3, 32, 32), 10), root=str(tmp_path))
    with pytest.raises(
        NasError, match="is not an architecture of the size space of NATS-Bench, which has one of 8, 16"
    ):
        BenchmarkQuery(NatsSize((3, 32, 32), 10, (8, 12)), root=str(tmp_path))


def test_queries_take_strings_and_refuse_other_values(table: None) -> None:
    query = BenchmarkQuery(SPACE)
    text = native(from_index(5))
    assert query(text) == query(from_index(5))
    assert query.reported_accuracies(text) == query.reported_accuracies(from_index(5)) != {}
    for ask in (query, query.reported_accuracies):
        with pytest.raises(NasError, match="genotype=DARTS_V2: not a genotype"):
            ask("DARTS_V2")
