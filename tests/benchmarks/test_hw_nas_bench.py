"""Latency and energy of HW-NAS-Bench: conversion, queries, and the cost of a genotype."""

from __future__ import annotations

import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from nas import benchmarks
from nas.architecture.cost import GenotypeCost
from nas.benchmarks.convert import convert
from nas.benchmarks.hw_nas_bench import DATASETS, UNITS, HardwareCost, HardwareTable, find_hardware_table
from nas.cli.commands.convert import main
from nas.spaces.nas_bench_201.notation import from_index, native
from nas.utils.errors import NasError
from tests.support.hardware_tools import SOURCE, content, value_of, write_table
from tests.support.nats_tools import CallOnLoad

NAMES = [native(from_index(index)) for index in random.Random(2).sample(range(5**6), 40)]


@pytest.fixture
def table(tmp_path: Path) -> HardwareTable:
    write_table(tmp_path, NAMES, partial=True)
    found = find_hardware_table(tmp_path)
    assert found is not None and len(found) == 40
    return found


def test_table_equals_the_published_layout(table: HardwareTable) -> None:
    for name in NAMES:
        for dataset in DATASETS.values():
            for metric in UNITS:
                assert table.value(name, dataset, metric) == value_of(name, dataset, metric)
    assert benchmarks.find_benchmark(table.path.parent, "nas_bench_201") is None


def test_cost_is_a_genotype_cost(table: HardwareTable) -> None:
    cost = HardwareCost(table, "cifar100", "edgegpu_energy")
    assert isinstance(cost, GenotypeCost) and (cost.name, cost.unit) == ("hw_nas_bench.edgegpu_energy", "mJ")
    genotype = table_genotype(3)
    assert cost(genotype) == value_of(NAMES[3], "cifar100", "edgegpu_energy")
    absent = next(from_index(i) for i in range(5**6) if native(from_index(i)) not in NAMES)
    with pytest.raises(NasError, match="does not contain"):
        cost(absent)


def table_genotype(number: int) -> Any:
    return next(from_index(i) for i in range(5**6) if native(from_index(i)) == NAMES[number])


def test_unknown_metrics_and_data_sets_are_refused(table: HardwareTable) -> None:
    with pytest.raises(NasError, match="unknown metric of HW-NAS-Bench 'edgegpu_latenc': did you mean"):
        HardwareCost(table, "cifar10", "edgegpu_latenc")
    with pytest.raises(NasError, match="unknown dataset of HW-NAS-Bench 'imagenet'"):
        HardwareCost(table, "imagenet", "edgegpu_latency")
    with pytest.raises(NasError, match="is not a genotype of|is not in NAS-Bench-201"):
        table.value("8:8:16:16:64", "cifar10", "edgegpu_latency")


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("code", "refers to posix.system, which no benchmark needs. Refused; no code was run"),
        ("cut", "is damaged or of another format"),
        ("short", "edgegpu_latency has wrong numbers"),
        ("negative", "edgegpu_latency has wrong numbers"),
        ("order", "its data sets have different architectures"),
        ("twice", "lists a cell twice"),
        ("layout", "is damaged or of another format"),
    ],
)
def test_convert_refuses_damaged_files(
    kind: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value: Any = content([*NAMES[:-1], NAMES[0]] if kind == "twice" else NAMES)
    latencies = value["nasbench201"]["cifar10"]["edgegpu_latency"]
    if kind == "code":
        value["call"] = CallOnLoad(os.system, "false")
    elif kind == "short":
        latencies.pop()
    elif kind == "negative":
        latencies[0] = -1.0
    elif kind == "order":
        value["nasbench201"]["cifar100"]["config"].reverse()
    elif kind == "layout":
        value = {"nasbench201": {}}
    packed = pickle.dumps(value)
    (tmp_path / SOURCE).write_bytes(packed[:-100] if kind == "cut" else packed)
    assert main([str(tmp_path / SOURCE), str(tmp_path / "out.parquet"), "--partial"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and problem in line
    assert not (tmp_path / "out.parquet").exists()


def test_incomplete_and_damaged_tables_are_noticed(table: HardwareTable, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="lacks 15,585 of the 15,625 cells of NAS-Bench-201"):
        convert(tmp_path / SOURCE, tmp_path / "other.parquet")
    damaged = bytearray(table.path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    table.path.write_bytes(damaged)
    with pytest.raises(NasError, match="is damaged"):
        HardwareTable(table.path)
    assert find_hardware_table(tmp_path / "nowhere") is None


@pytest.mark.data
def test_published_measurements_have_the_stated_values(shared: Path, tmp_path: Path) -> None:
    """The complete lists of four devices on CIFAR-10, against figures that the authors print for cell 0."""
    folder = shared / "data" / "benchmarks_other"
    names = list(torch.load(folder / "hw_nb201_str_arch2idx.pt", weights_only=True))
    value = content(names, lambda *key: 1.0)
    devices = {"raspi4": 10.4820, "pixel3": 3.60585, "eyeriss": 3.64562, "fpga": 2.57296}
    for device in devices:
        stored = torch.load(folder / f"hw_nb201_cifar10_{device}.pt", weights_only=True)
        value["nasbench201"]["cifar10"][f"{device}_latency"] = stored
    (tmp_path / SOURCE).write_bytes(pickle.dumps(value))
    said = convert(tmp_path / SOURCE, tmp_path / "hw_nas_bench.parquet")
    assert "10 metrics of 15,625 cells of NAS-Bench-201 on 3 data sets" in said
    table = HardwareTable(tmp_path / "hw_nas_bench.parquet")
    for device, expected in devices.items():
        assert table.value(names[0], "cifar10", f"{device}_latency") == pytest.approx(expected, rel=1e-5)
    assert json.dumps(table.value(names[13714], "cifar10", "fpga_latency")) == "6.67856"
