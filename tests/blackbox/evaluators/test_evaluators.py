"""Evaluators against what they stand for: a table, a score, a supernet's own accuracy, a training by hand."""

from __future__ import annotations

import math
import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from nas import benchmarks
from nas.architecture.cell import Genotype
from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.blackbox.evaluators.supernet import SupernetAccuracy
from nas.blackbox.evaluators.training import ShortTraining
from nas.blackbox.evaluators.zero_cost import ZeroCost
from nas.data.proxy_batches import ProxyBatches
from nas.data.synthetic import Synthetic
from nas.proxies.naswot import Naswot
from nas.proxies.params_macs import Params
from nas.searches.base import SupernetSearch
from nas.spaces.nas_bench_201.notation import OPS, from_index, native
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.query_tools import darts, sampled

SPACE = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
SMALL = {"channels": 4, "cells_per_stage": 1}


def images(**options: Any) -> Synthetic:
    return Synthetic(**{"shape": (3, 8, 8), "size": 64, "test_size": 16, "batch_size": 16, **options})


class Table(benchmarks.Benchmark):  # type: ignore[name-defined, misc]
    """Three seeds at 12 epochs, one mean at 200, of everything."""

    notation = "nas_bench_201"

    def accuracy(self, genotype: Genotype, dataset: str, split: str, epochs: int, seed: Any) -> Any:
        if epochs == 200:
            if dataset == "cifar100":
                raise NasError("not held")
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


def test_the_benchmark_is_asked_for_what_the_options_say(table: None) -> None:
    genotype = from_index(0)
    assert BenchmarkQuery(SPACE)(genotype) == (30.0, 84.0)
    assert BenchmarkQuery(SPACE, benchmark_seed=2, epochs=11)(genotype) == (60.0, 77.0)
    assert BenchmarkQuery(SPACE).facts(genotype) == {"cifar10/valid": 90.0, "cifar10/test": 90.0}


def test_random_draws_a_seed_anew_for_each_query_and_goes_on_after_a_resume(table: None) -> None:
    evaluator, genotype = BenchmarkQuery(SPACE, benchmark_seed="random", seed=3), from_index(0)
    values = [evaluator(genotype).value for _ in range(900)]
    counts = [values.count(value) for value in (10.0, 20.0, 60.0)]
    assert sum(counts) == 900 and all(240 < count < 360 for count in counts)
    again = BenchmarkQuery(SPACE, benchmark_seed="random", seed=4)
    again.begin(3)
    assert [again(genotype).value for _ in range(100)] == values[:100]
    other = BenchmarkQuery(SPACE, benchmark_seed="random")
    other.load(again.state())
    assert [other(genotype).value for _ in range(100)] == values[100:200]


@pytest.mark.parametrize(
    ("options", "phrases"),
    [
        ({"dataset": "digits"}, ["evaluator.dataset=digits", "cifar10"]),
        ({"benchmark_seed": "worst"}, ["evaluator.benchmark_seed=worst", "mean, random"]),
    ],
)
def test_what_a_benchmark_cannot_answer_is_said(table: None, options: dict[str, Any], phrases: list[str]) -> None:
    with pytest.raises(NasError) as error:
        BenchmarkQuery(SPACE, **options)
    assert all(phrase in str(error.value) for phrase in phrases)


def test_a_seed_that_some_lack_is_told_before_the_search(table: None, monkeypatch: pytest.MonkeyPatch) -> None:
    held = np.full(5**6, 60.0)
    held[:4] = math.nan
    monkeypatch.setattr(Table, "accuracies", lambda *query: held)
    with pytest.raises(
        NasError, match=r"12 epochs with seed 2 for only 15,621 of the 15,625 architectures.*seed=random"
    ):
        BenchmarkQuery(SPACE, benchmark_seed=2)


def test_a_space_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="there is no table of space 'nas_bench_201'"):
        BenchmarkQuery(SPACE, root=str(tmp_path))
    (tmp_path / "download.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(NasError, match="download.parquet in it cannot be read"):
        BenchmarkQuery(SPACE, root=str(tmp_path))


@pytest.mark.data
def test_the_shared_table_by_its_own_columns(shared: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    file = shared / "data" / "nas_bench_201" / "nb201.parquet"
    rows = pq.read_table(file).slice(4000, 3).to_pylist()
    evaluator = BenchmarkQuery(NasBench201((3, 32, 32), 10), root=str(shared / "data"))
    for row in rows:
        genotype = SPACE.parse(row["arch_str"])
        value, seconds = evaluator(genotype)
        assert math.isclose(value, row["cifar10valid_valid_acc_12"], rel_tol=1e-6)
        # One evaluation of 25,000 images, by the time of 35,000 (validation and test).
        passes = row["cifar10valid_valid_time_per_eval"] + row["cifar10valid_test_time_per_eval"]
        assert math.isclose(seconds, 12 * row["cifar10valid_train_time_per_epoch"] + passes * 25 / 35, rel_tol=1e-6)
        assert math.isclose(evaluator.facts(genotype)["cifar10/test"], row["cifar10_test_acc_200"], rel_tol=1e-6)
    assert math.isclose(evaluator.optimum()["cifar10/test"], 94.3733, abs_tol=1e-3)
    assert math.isclose(evaluator.optimum()["cifar10/valid"], 91.6067, abs_tol=1e-3)
    assert "cifar100/valid" not in evaluator.optimum(), "it is held of few"


NOT_HELD: list[tuple[dict[str, Any], str]] = [
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
@pytest.mark.parametrize(("options", "said"), NOT_HELD)
def test_what_the_table_lacks_is_said_before_the_first_query(options: dict[str, Any], said: str, shared: Path) -> None:
    with pytest.raises(NasError, match=said):
        BenchmarkQuery(SPACE, root=str(shared / "data"), **options)


def test_a_space_without_a_benchmark_is_told_what_else_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        NasError, match=r"space 'darts' has no benchmark, only nas_bench_201 and nats_size have.*zero_cost"
    ):
        BenchmarkQuery(darts(), root=str(tmp_path))


def test_seeds_are_drawn_independently_of_the_strategy(table: None) -> None:
    """A strategy draws from Random(seed) too: the same stream would tie the seed to the genotype's first op."""
    evaluator, counts = BenchmarkQuery(SPACE, benchmark_seed="random"), np.zeros((5, 3))
    for seed in range(600):
        evaluator.begin(seed)
        first = SPACE.sample(random.Random(seed)).cells["cell"].links[0].op
        counts[OPS.index(first), (10.0, 20.0, 60.0).index(evaluator(from_index(0)).value)] += 1
    assert stats.chi2_contingency(counts).pvalue > 1e-3


def test_zero_cost_is_the_score_at_its_initialization() -> None:
    data, genotype = images(), from_index(11)
    evaluator = ZeroCost(SPACE, data, proxy=Naswot(batch_size=16), network=SMALL, seed=5)
    first, second = evaluator(genotype), evaluator(from_index(12))
    assert evaluator(genotype).value == first.value != second.value and first.seconds > 0
    torch.manual_seed(5)
    network = SPACE.network(genotype, **SMALL)
    expected = Naswot(batch_size=16)(network, ProxyBatches(data, 5)(16), torch.Generator().manual_seed(5))
    assert first.value == expected
    params = ZeroCost(SPACE, data, proxy=Params(), network=SMALL)
    sign = 1 if Params().higher_is_better else -1
    assert params(genotype).value == sign * sum(p.numel() for p in network.parameters())


def test_supernet_accuracy_is_that_of_the_supernet() -> None:
    torch.manual_seed(0)
    data = images(eval_batch_size=24)
    search = _Supernet(SPACE, "one_shot")
    before = {name: value.clone() for name, value in search.state_dict().items()}
    evaluator = SupernetAccuracy(search, data)
    for genotype in sampled(SPACE, 3):
        right = total = 0
        for x, y in data.val_dataloader():
            with torch.no_grad():
                logits = search.supernet.train()(x, SPACE.encode(genotype))
            right, total = right + int((logits.argmax(1) == y).sum()), total + len(y)
        assert math.isclose(evaluator(genotype).value, 100 * right / total, rel_tol=1e-5) and total == 32
    search.load_state_dict(before)
    evaluator(genotype)
    assert all(torch.equal(before[name], value) for name, value in search.state_dict().items())
    assert len(SupernetAccuracy(search, data, batches=1)._batches) == 1
    with pytest.raises(NasError, match="bilevel=true"):
        SupernetAccuracy(search, images(bilevel=False))


class _Supernet(SupernetSearch):
    def genotype(self) -> Genotype:
        return from_index(0)


def training(data: Synthetic, **options: Any) -> ShortTraining:
    sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    return ShortTraining(SPACE, data, sgd, network=SMALL, **options)


def test_a_short_training_depends_on_the_genotype_and_the_seed_alone() -> None:
    good = SPACE.parse(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    dead = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    easy: dict[str, Any] = {"size": 320, "noise": 0.2}
    first = training(images(**easy), epochs=3)
    state = torch.get_rng_state()
    values = [first(genotype).value for genotype in (good, dead, good)]
    assert values[0] == values[2] and torch.equal(state, torch.get_rng_state())
    torch.manual_seed(99)
    assert training(images(**easy), epochs=3)(good).value == values[0]
    assert values[0] > 60 > 35 > values[1], "a network without a path to its input can only guess among 10 classes"
    assert training(images(**easy), epochs=1)(good).seconds < first(good).seconds


def test_a_training_without_validation_images_is_refused() -> None:
    with pytest.raises(NasError, match="bilevel=true"):
        training(images(bilevel=False))
    with pytest.raises(NasError, match="epochs=0"):
        training(images(), epochs=0)
