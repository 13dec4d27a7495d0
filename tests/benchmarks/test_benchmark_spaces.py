"""Spaces of the benchmarks: architectures and costs."""

from __future__ import annotations

import pytest

from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES, DATASETS
from nas.spaces.nas_bench_201.notation import from_index, native
from tests.support.nats_tools import widths_genotype


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
    got = space.cost(space.ops_of(widths_genotype(text)), *DATASETS[dataset])
    assert got == (round(parameters * 1e6), round(macs * 1e6))


def test_benchmark_spaces_list_all_architectures() -> None:
    assert [space.size for space in BENCHMARK_SPACES.values()] == [15625, 32768]
    listed = list(BENCHMARK_SPACES["nats_size"].all_native())
    assert listed[0] == "8:8:8:8:8" and listed[-1] == "64:64:64:64:64" and listed[284] == "8:8:40:32:40"
    assert set(BENCHMARK_SPACES["nas_bench_201"].all_native()) == {native(from_index(i)) for i in range(15625)}


def test_benchmark_spaces_report_the_lengths_of_the_papers() -> None:
    assert {name: space.epochs for name, space in BENCHMARK_SPACES.items()} == {"nas_bench_201": 200, "nats_size": 90}
