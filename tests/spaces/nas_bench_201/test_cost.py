"""nas.spaces.nas_bench_201.cost: parameters and MACs against published figures and counted networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.spaces.base import Shape
from nas.spaces.nas_bench_201.cost import nas_bench_201_cost
from nas.spaces.nas_bench_201.notation import benchmark_order, from_index, from_ops
from nas.spaces.notation import parse_genotype
from tests.nn.test_macs import DATA, PUBLISHED, counted, published_cost


@pytest.mark.parametrize("data", PUBLISHED)
def test_nas_bench_201_cost_matches_the_published_formula(data: str) -> None:
    shape, classes = DATA[data]
    wrong = [
        ops
        for ops in benchmark_order()
        if nas_bench_201_cost(from_ops(ops), shape, classes) != published_cost(ops, data)
    ]
    assert not wrong


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 33, 20), (5, 7, 9)])
def test_nas_bench_201_cost_matches_networks_of_any_size(shape: Shape) -> None:
    ops = ("nor_conv_1x1", "none", "nor_conv_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_1x1")
    got = nas_bench_201_cost(from_ops(ops), shape, 7, channels=6, cells_per_stage=2)
    assert got == counted(ops, shape, 7, channels=6, cells_per_stage=2)


@pytest.mark.data
@pytest.mark.parametrize(("data", "column"), list(zip(DATA, ("cifar10", "cifar100", "imagenet16"), strict=True)))
def test_nas_bench_201_cost_matches_the_benchmark_table(shared: Path, data: str, column: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow reads the benchmark's table")
    names = ["arch_index", "arch_str", f"{column}_params_M_formula", f"{column}_flops_M"]
    table = parquet.read_table(shared / "data" / "nas_bench_201" / "nb201.parquet", columns=names).to_pydict()
    rows = list(zip(*(table[name] for name in names), strict=True))
    assert len(rows) == 15_625
    for index, text, parameters_m, macs_m in rows:
        found = nas_bench_201_cost(parse_genotype(text), *DATA[data])
        assert found == (round(parameters_m * 1e6), round(macs_m * 1e6)), text
        assert nas_bench_201_cost(from_index(index), *DATA[data]) == found
