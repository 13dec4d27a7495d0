"""The table of NAS-Bench-201 means against published numbers."""

from __future__ import annotations

import re
import subprocess
import sys
import timeit

import numpy as np
import pytest

from nas import benchmarks
from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.benchmarks.benchmark import Benchmark
from nas.spaces.nas_bench_201.notation import from_index, native, parse
from nas.utils.errors import NasError
from tests.support.nats_tools import MEANS, SECONDS, needs_means, shared_data, widths_genotype

SKIPS = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"


@pytest.fixture(scope="module")
def means() -> Benchmark:
    table = benchmarks.find_benchmark(shared_data(), "nas_bench_201")
    assert table is not None
    return table


@needs_means
@pytest.mark.data
@pytest.mark.parametrize(("index", "dataset", "split", "epochs", "expected"), MEANS)
def test_accuracy_equals_published_means(
    index: int, dataset: str, split: str, epochs: int, expected: float, means: Benchmark
) -> None:
    got = means.accuracy(from_index(index), dataset, split, epochs, "mean")
    assert got == pytest.approx(expected, abs=6e-5)


@needs_means
@pytest.mark.data
@pytest.mark.parametrize(("index", "dataset", "epochs", "expected"), SECONDS)
def test_simulated_seconds_equal_published(
    index: int, dataset: str, epochs: int, expected: float, means: Benchmark
) -> None:
    got = means.simulated_seconds(from_index(index), dataset, epochs)
    assert got == pytest.approx(expected, rel=1e-7)


@needs_means
@pytest.mark.data
def test_accuracies_have_published_optimum(means: Benchmark) -> None:
    best = {
        name: means.accuracies(name, "test", 200, "mean").max() for name in ("cifar10", "cifar100", "imagenet16_120")
    }
    assert best == pytest.approx({"cifar10": 94.3733, "cifar100": 73.5133, "imagenet16_120": 47.3111}, abs=6e-5)
    assert means.accuracies("cifar10", "valid", 200, "mean").max() == pytest.approx(91.6067, abs=6e-5)
    assert np.nanmax(means.accuracies("cifar100", "valid", 200, "mean")) == pytest.approx(73.4933, abs=6e-5)
    g = parse(SKIPS)
    got = [means.accuracy(g, name, "test", 200, "mean") for name in best]
    assert got == pytest.approx([54.2967, 15.6067, 16.3222], abs=6e-5)


@needs_means
@pytest.mark.data
def test_rows_follow_authors_indices(means: Benchmark) -> None:
    assert len(means) == 15625 and means.notation == "nas_bench_201"
    for index in range(0, 15625, 97):
        g = from_index(index)
        assert means.row(g) == means.index(means.row(g)) == index
        assert means.architecture(index) == native(g)
        links = tuple(reversed(g.cells["cell"].links))
        assert means.row(Genotype(g.space, {"cell": CellGenotype(links, (3,))})) == index
    values = means.accuracies("cifar10", "test", 200, "mean")
    assert values[123] == means.accuracy(from_index(123), "cifar10", "test", 200, "mean")
    assert not values.flags.writeable


@needs_means
@pytest.mark.data
def test_accuracy_of_single_seeds(means: Benchmark) -> None:
    g = from_index(0)
    assert means.accuracy(g, "cifar100", "test", 200, 888) == pytest.approx(53.68, abs=1e-4)  # of the original record
    assert means.accuracy(g, "cifar10", "test_of_valid_run", 200, 888) == pytest.approx(81.9, abs=1e-4)
    one = means.accuracy(g, "cifar10", "test", 12, 111)
    assert means.accuracy(g, "cifar10", "test", 12, np.int64(111)) == one  # type: ignore[call-overload]
    assert means.accuracies("cifar100", "valid", 12, np.int32(111))[0] > 0  # type: ignore[arg-type]
    assert means.accuracy(g, "cifar10", "test", 12, "each") == (one,)
    assert means.accuracy(g, "cifar10", "test", 12, "mean") == one == pytest.approx(69.55, abs=1e-4)


@needs_means
@pytest.mark.data
@pytest.mark.parametrize(
    ("query", "phrases"),
    [
        (("cifar11", "valid", 200, "mean"), ["unknown dataset", "'cifar11'", "did you mean 'cifar10'?"]),
        (("cifar10", "tset", 200, "mean"), ["unknown split of cifar10 'tset'", "'test'"]),
        (("cifar10", "valtest", 200, "mean"), ["unknown split of cifar10 'valtest'", "test_of_valid_run"]),
        (("cifar10", "test", 90, "mean"), ["epochs=90", "has trainings of 12, 200 epochs"]),
        (("cifar10", "test_of_valid_run", 12, "mean"), ["epochs=12", "has trainings of 200 epochs"]),
        (("cifar10", "test", 200, 777), ["seed=777", "has only the mean over seeds"]),
        (("cifar100", "test", 200, 777), ["seed=777", "has the mean and seed 888"]),
        (("cifar100", "test", 200, "each"), ["seed=each", "has the mean and seed 888"]),
        (("cifar10", "test", 12, "random"), ["seed=random", "has the mean and each of seed 111"]),
        (("cifar10", "test", 12, True), ["seed=True"]),
        (("cifar10", "test", 12, "111"), ["seed='111'", "has the mean and each of seed 111"]),
        (("cifar10", "test", 12, None), ["seed=None", "has the mean and each of seed 111"]),
        (("cifar10", None, 12, "mean"), ["unknown split of cifar10 'None'", "Choose from test,"]),
        ((None, "test", 12, "mean"), ["unknown dataset of the benchmark 'None'", "Choose from cifar10,"]),
        (("cifar10", "test", "12", "mean"), ["epochs='12'", "has trainings of 12, 200 epochs"]),
        (("cifar10", "test", 11, "mean"), ["epochs=11", "for each only one accuracy"]),
        (
            ("cifar100", "valid", 200, "mean"),
            ["does not contain cifar100 valid after 200 epochs for |avg_pool_3x3~0|+"],
        ),
    ],
)
def test_accuracy_refuses_what_is_not_stored(query: tuple[object, ...], phrases: list[str], means: Benchmark) -> None:
    with pytest.raises(NasError) as error:
        means.accuracy(from_index(0), *query)  # type: ignore[call-overload]
    for phrase in phrases:
        assert phrase in str(error.value)
    assert "\n" not in str(error.value)


@needs_means
@pytest.mark.data
def test_accuracy_refuses_genotypes_of_other_spaces(means: Benchmark) -> None:
    whole = from_index(0).cells["cell"]

    def other(*links: Link) -> Genotype:
        return Genotype("nas_bench_201", {"cell": whole._replace(links=links)})

    for g, phrase in (
        (widths_genotype("8:8:8:8:8"), "a genotype of space 'nats_size' (cells cell) is not in NAS-Bench-201"),
        (Genotype("nas_bench_201", {}), "is not in NAS-Bench-201"),
        (
            Genotype("nas_bench_201", {"cell": whole._replace(links=whole.links[1:])}),
            "is not an architecture of NAS-Bench",
        ),
        (
            other(Link("sep_conv_3x3", 0, 1), *whole.links[1:]),
            "sep_conv_3x3 0->1",
        ),
    ):
        with pytest.raises(NasError, match=re.escape(phrase)):
            means.accuracy(g, "cifar10", "test", 200, "mean")


@needs_means
@pytest.mark.data
def test_opening_and_queries_are_fast_and_small(means: Benchmark) -> None:
    program = f"""
import time, torch, pyarrow.parquet, nas.benchmarks.find as find
def resident(): return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
before, began = resident(), time.process_time()
table = find.find_file({str(shared_data())!r}, "nas_bench_201")
table.accuracies("cifar10", "test", 200, "mean")
print(time.process_time() - began, resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 3.0 and megabytes < 300
    g = from_index(11)
    means.accuracy(g, "cifar10", "test", 200, "mean")
    calls = 2000
    best = min(timeit.repeat(lambda: means.accuracy(g, "cifar10", "test", 200, "mean"), number=calls, repeat=5)) / calls
    assert best < 50e-6


@needs_means
@pytest.mark.data
def test_params_and_macs_are_those_of_the_network(means: Benchmark) -> None:
    text = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    assert means.params_and_macs(parse(text), "cifar10") == (802426, 113951370)  # averaged seeds give 640,399
    with pytest.raises(NasError, match="unknown dataset"):
        means.params_and_macs(parse(text), "mnist")
