"""Costs of HW-NAS-Bench by name, and refused names, spaces and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.benchmarks.hardware_source import COSTS, HardwareSource
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import from_index, native
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.hardware_tools import value_of, write_table

SPACE = NasBench201((3, 32, 32), 10)
NAMES = [native(from_index(index)) for index in range(15_625)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("hardware"), NAMES).parent


def test_costs_are_the_measurements_of_the_data_set(root: Path) -> None:
    name = "hw_nas_bench.fpga_energy"
    cost = HardwareSource(root, "cifar100").costs(SPACE, [name], "budget")[name]
    assert (cost.name, cost.unit) == (name, "mJ")
    genotype = from_index(21)
    assert cost(genotype) == value_of(native(genotype), "cifar100", "fpga_energy")
    assert len(COSTS) == 9 and "hw_nas_bench.eyeriss_arithmetic_intensity" not in COSTS
    assert HardwareSource("nowhere", "nothing").costs(SPACE, [], "budget") == {}


@pytest.mark.parametrize(
    ("space", "options", "problem"),
    [
        (Darts((3, 32, 32), 10), {}, "opt: HW-NAS-Bench has no networks of space=darts. Use space=nas_bench_201."),
        (SPACE, {"dataset": "digits"}, "opt: HW-NAS-Bench has cifar10, cifar100, imagenet16_120, and no digits"),
        (SPACE, {"root": "nowhere"}, "opt: no HW-NAS-Bench in nowhere. Download HW-NAS-Bench-v1_0.pickle, run"),
        (SPACE, {"name": "hw_nas_bench.fpga"}, "unknown opt: cost of HW-NAS-Bench 'hw_nas_bench.fpga': did you mean"),
    ],
)
def test_missing_measurements_are_refused(space: Any, options: dict[str, str], problem: str, root: Path) -> None:
    name = options.get("name", "hw_nas_bench.fpga_energy")
    source = HardwareSource(options.get("root", root), options.get("dataset", "cifar10"))
    with pytest.raises(NasError, match=problem):
        source.costs(space, [name], "opt")


def test_incomplete_files_are_refused_before_a_search(tmp_path: Path) -> None:
    write_table(tmp_path, NAMES[:64], partial=True)
    with pytest.raises(NasError, match=r"opt: .*parquet lacks 15,561 of the 15,625 genotypes of space=nas_bench_201"):
        HardwareSource(tmp_path).costs(SPACE, ["hw_nas_bench.fpga_energy"], "opt")
