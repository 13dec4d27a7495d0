"""Benchmarks against published numbers and, if available, original records of NATS-Bench."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import timeit
from pathlib import Path

import numpy as np
import pytest

from nas import benchmarks
from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.benchmarks import convert
from nas.benchmarks.benchmark import Benchmark
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES, DATASETS
from nas.benchmarks.find import open_table
from nas.spaces.nas_bench_201.notation import from_index, native, parse
from nas.utils.errors import NasError
from tests.support.golden_tools import shared_folder

DATA = shared_folder() / "data"
RECORDS = Path(os.environ.get("NAS_NATS_BENCH") or DATA / "nats_bench")
needs_means = pytest.mark.skipif(
    not (DATA / "nas_bench_201" / "nb201.parquet").exists(), reason=f"no nas_bench_201/nb201.parquet in {DATA}"
)
SKIPS = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
MEANS = [
    (0, "cifar10", "valid", 200, 81.9827),
    (0, "cifar10", "test", 200, 85.8633),
    (0, "cifar10", "test_of_valid_run", 200, 81.52),
    (0, "cifar10", "valid", 12, 63.364),
    (0, "cifar100", "test", 200, 52.9133),
    (11, "cifar10", "valid", 200, 87.94),
    (11, "cifar10", "test", 200, 91.5833),
    (11, "cifar100", "test", 200, 67.6067),
    (11, "imagenet16_120", "test", 200, 30.1667),
    (284, "cifar10", "valid", 12, 72.876),
    (284, "cifar10", "valid", 200, 86.0467),
    (284, "cifar10", "test", 200, 88.79),
    (284, "cifar100", "test", 200, 62.14),
    (284, "imagenet16_120", "test", 200, 32.4667),
]
RECORDS_ONLY = [
    (0, "cifar10", "test_of_valid_run", 12, 63.24),
    (0, "cifar100", "valid", 200, 52.70),
    (11, "cifar100", "valid", 200, 67.4533),
    (11, "imagenet16_120", "valid", 200, 30.4111),
    (284, "cifar100", "valid", 200, 61.68),
    (284, "imagenet16_120", "valid", 200, 33.40),
]
SECONDS = [
    (11, "cifar10", 12, 153.69593326),
    (11, "cifar10", 200, 2496.56261086),
    (11, "cifar100", 12, 299.9196134),
    (11, "imagenet16_120", 12, 907.9352778),
    (284, "cifar10", 12, 60.89902594),
    (0, "cifar10", 12, 12 * 7.221093 + 2.548979),
]


@pytest.fixture(scope="module")
def means() -> Benchmark:
    table = benchmarks.find_benchmark(DATA, "nas_bench_201")
    assert table is not None
    return table


def genotype_of_widths(text: str) -> Genotype:
    links = tuple(Link(width, node, node + 1) for node, width in enumerate(text.split(":")))
    return Genotype("nats_size", {"cell": CellGenotype(links, (5,))})


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
        (("cifar10", "test", 11, "mean"), ["epochs=11", "only the accuracy after its last epoch"]),
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
        (genotype_of_widths("8:8:8:8:8"), "a genotype of space 'nats_size' (cells cell) is not in NAS-Bench-201"),
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
table = find.find_table({str(DATA)!r}, "nas_bench_201")
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


@pytest.mark.parametrize(
    ("text", "dataset", "macs", "parameters"),
    [
        ("8:8:8:8:8", "cifar10", 4.481114, 0.011714),
        ("8:8:8:8:8", "cifar100", 4.481924, 0.012524),
        ("8:8:8:8:8", "imagenet16_120", 1.121336, 0.012704),
        ("16:16:16:16:16", "cifar10", 17.481898, 0.045562),
        ("8:8:8:16:32", "cifar10", 6.84065, 0.049202),
        ("8:8:40:32:40", "cifar10", 21.827994, 0.144834),
        ("8:8:40:32:40", "cifar100", 21.831684, 0.148524),
        ("8:8:40:32:40", "imagenet16_120", 5.461816, 0.149344),
        ("16:16:32:32:64", "cifar10", 33.866378, 0.225466),
        ("64:64:64:64:64", "cifar10", 274.399882, 0.713674),
    ],
)
def test_cost_of_nats_size_equals_published(text: str, dataset: str, macs: float, parameters: float) -> None:
    space = BENCHMARK_SPACES["nats_size"]
    got = space.cost(space.ops_of(genotype_of_widths(text)), *DATASETS[dataset])
    assert got == (round(parameters * 1e6), round(macs * 1e6))


def test_benchmark_spaces_list_all_architectures() -> None:
    assert [space.size for space in BENCHMARK_SPACES.values()] == [15625, 32768]
    listed = list(BENCHMARK_SPACES["nats_size"].all_native())
    assert listed[0] == "8:8:8:8:8" and listed[-1] == "64:64:64:64:64" and listed[284] == "8:8:40:32:40"
    assert set(BENCHMARK_SPACES["nas_bench_201"].all_native()) == {native(from_index(i)) for i in range(15625)}


@needs_means
@pytest.mark.data
def test_params_and_macs_are_those_of_the_network(means: Benchmark) -> None:
    text = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    assert means.params_and_macs(parse(text), "cifar10") == (802426, 113951370)  # averaged seeds give 640,399
    with pytest.raises(NasError, match="unknown dataset"):
        means.params_and_macs(parse(text), "mnist")


@pytest.mark.data
@pytest.mark.skipif(
    not (RECORDS / "NATS-tss-v1_0-3ffb9-simple").is_dir(),
    reason=f"no NATS-tss-v1_0-3ffb9-simple in {RECORDS} ($NAS_NATS_BENCH)",
)
def test_original_records_equal_published_numbers(tmp_path: Path) -> None:
    convert.convert(RECORDS / "NATS-tss-v1_0-3ffb9-simple", tmp_path / "tss.parquet", partial=True)
    table = open_table(tmp_path / "tss.parquet")
    for index, dataset, split, epochs, expected in [*MEANS, *RECORDS_ONLY]:
        g = from_index(index)
        assert table.accuracy(g, dataset, split, epochs, "mean") == pytest.approx(expected, abs=6e-5)
    for index, dataset, epochs, seconds in SECONDS:
        assert table.simulated_seconds(from_index(index), dataset, epochs) == pytest.approx(seconds, rel=1e-7)
    g = from_index(0)
    assert table.latency(g, "cifar10") == pytest.approx(0.013936, abs=1e-6)
    assert len(table.accuracy(g, "cifar10", "test", 200, "each")) == 3
    convert.convert(RECORDS / "NATS-sss-v1_0-50262-simple", tmp_path / "sss.parquet", partial=True)
    table = open_table(tmp_path / "sss.parquet")
    assert table.accuracy(genotype_of_widths("8:8:8:8:8"), "cifar10", "test", 90, "mean") == pytest.approx(79.79)
    g = genotype_of_widths("8:8:40:32:40")
    assert table.index(table.row(g)) == 284
    assert table.accuracy(g, "cifar10", "test", 90, 777) == pytest.approx(89.51)
    assert table.accuracy(g, "cifar100", "valid", 90, "mean") == pytest.approx(62.78)
    assert table.accuracy(g, "cifar100", "test", 90, "mean") == pytest.approx(62.70)
