"""Measurements of HW-NAS-Bench as limits and objectives on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.benchmarks.hw_nas_bench import HardwareTable
from nas.spaces.genotype_budget import read_budget
from nas.spaces.nas_bench_201.notation import from_index, native
from tests.support.error_tools import SEARCH, run
from tests.support.hardware_tools import write_table

PIXEL, FPGA = "hw_nas_bench.pixel3_latency", "hw_nas_bench.fpga_energy"
DATA = "budget.hw_nas_bench.dataset=cifar10"  # of the measurements; images are made up
FEW = ("proxy=naswot", "method.budget.queries=5", "method.strategy.population=3")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> HardwareTable:
    names = [native(from_index(index)) for index in range(15_625)]
    return HardwareTable(write_table(tmp_path_factory.mktemp("hardware"), names))


@pytest.mark.parametrize("method", [("method=gdas",), ("method=regularized_evolution", *FEW)])
def test_genotype_is_within_limits_of_devices(method: tuple[str, ...], table: HardwareTable, tmp_path: Path) -> None:
    limits = (f"budget.{PIXEL}=20", f"budget.{FPGA}=25", DATA, f"paths.benchmark={table.path.parent}")
    run("search", *SEARCH, *method, *limits, f"hydra.run.dir={tmp_path}").succeeded()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["budget"] == read_budget(tmp_path)
    for name, limit in ((PIXEL, 20), (FPGA, 25)):
        cost = summary["budget"][name]
        assert cost["limit"] == limit >= cost["value"]
        assert cost["value"] == table.value(summary["genotype"], "cifar10", name.partition(".")[2])
    more = "epochs=2" if len(method) == 1 else "method.budget.queries=7"
    longer = (f"ckpt_path={tmp_path}", more, f"hydra.run.dir={tmp_path}/longer")
    run("search", *longer, f"budget.{PIXEL}=19").refused(f"budget.{PIXEL}=19")
    run("search", *longer).succeeded()


def test_objectives_of_a_pareto_search(table: HardwareTable, tmp_path: Path) -> None:
    given = ("method=nsga2", *FEW, DATA, f"paths.benchmark={table.path.parent}", f"hydra.run.dir={tmp_path}")
    chosen = (f"method.objectives=[value,{PIXEL},{FPGA}]", f"method.pick.limits={{{PIXEL}: 30}}")
    run("search", *SEARCH, *given, *chosen).succeeded()
    front = json.loads((tmp_path / "front.json").read_text())
    assert [(one["name"], one["unit"]) for one in front["objectives"][1:]] == [(PIXEL, "ms"), (FPGA, "mJ")]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["objectives"][PIXEL] == table.value(summary["genotype"], "cifar10", "pixel3_latency")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ((f"budget.{PIXEL}=4",), "HW-NAS-Bench has cifar10, cifar100, imagenet16_120, and no synthetic"),
        ((f"budget.{PIXEL}=4", DATA), f"budget.{PIXEL}=4: no HW-NAS-Bench in nowhere. Download"),
        ((f"budget.{PIXEL}=0",), f"budget.{PIXEL}=0: "),
        ((f"budget.{PIXEL}=[4]",), f"budget.{PIXEL}=[4]: use a number above 0."),
        (("budget.macs=[4]",), "budget.macs=[4]: use a number above 0."),
        (("budget.hw_nas_bench=4",), "budget.hw_nas_bench=4: it takes keys."),
        (("budget.hw_nas_bench.pixel3=4",), "did you mean 'budget.hw_nas_bench.pixel3_latency'"),
        (("method=nsga2", f"method.objectives=[value,{PIXEL}]", *FEW, DATA), f"'{PIXEL}']: no HW-NAS-Bench in nowhere"),
        (("method=nsga2", "method.objectives=[value,pixel3]", *FEW), "unknown objective 'pixel3'"),
    ],
)
def test_mistakes_are_one_line(given: tuple[str, ...], problem: str, tmp_path: Path) -> None:
    run("search", *SEARCH, *given, "paths.benchmark=nowhere", f"hydra.run.dir={tmp_path}/run").refused(problem)
    assert not (tmp_path / "run" / "summary.json").exists()
