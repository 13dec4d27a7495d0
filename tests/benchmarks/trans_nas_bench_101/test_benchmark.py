"""Queries of the tables of TransNAS-Bench-101."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas import benchmarks
from nas.benchmarks.convert import convert
from nas.benchmarks.trans_nas_bench_101.benchmark import TransNasBench101
from nas.benchmarks.trans_nas_bench_101.tasks import METRICS, TASKS
from nas.spaces.trans_nas_bench_101.micro import TransNasBench101Micro
from nas.utils.errors import NasError
from tests.support import trans_nas_bench_101_tools as files
from tests.support.trans_nas_bench_101_tools import MACRO, MICRO, NAMES, SKELETONS, SOURCE

SPACE = TransNasBench101Micro((3, 32, 32), 10)


@pytest.fixture
def table(root: Path) -> TransNasBench101:
    found = benchmarks.find_table(root, MICRO)
    assert isinstance(found, TransNasBench101) and len(found) == 12
    return found


@pytest.mark.parametrize(("task", "kind"), [(task, kind) for task, kinds in files.METRICS.items() for kind in kinds])
def test_values_are_those_of_the_best_validation_epoch(task: str, kind: str, table: TransNasBench101) -> None:
    for name in NAMES:
        valid = files.curve_of(name, task, f"valid_{kind}")
        best = valid.index(min(valid) if kind == "loss" else max(valid))
        for split in files.SPLITS:
            metric, expected = f"{split}_{kind}", files.curve_of(name, task, f"{split}_{kind}")
            assert table.value(name, task, metric, "best_valid") == expected[best]
            assert table.value(name, task, metric, "last") == expected[-1]
            assert table.value(name, task, metric, 1) == expected[0]
            assert table.curve(name, task, metric) == tuple(expected)
            if kind != "loss":
                assert table.accuracy(name, task, metric, files.EPOCHS[task], "mean") == expected[best]
            if kind == TASKS[task]:
                assert table.accuracy(name, task, split, files.EPOCHS[task], "each") == (expected[best],)


def test_times_figures_and_numbers_are_those_of_the_file(root: Path, table: TransNasBench101) -> None:
    for number, name in enumerate(NAMES):
        hours, minutes, seconds = map(int, files.times_of(name, "class_object")[-1].split(":"))
        found = table.simulated_seconds(name, "class_object", 3)
        assert found == hours * 3600 + minutes * 60 + seconds and found > 3600
        assert table.model_info(name, "class_object", "encoder_params") == 10.0
        assert table.latency(name, "class_object") == 0.0
        assert table.index(table.row(name)) == len(SKELETONS) + number
        assert table.genotype(len(SKELETONS) + number) == SPACE.parse(name)
    macro = benchmarks.find_table(root, MACRO)
    assert macro is not None and len(macro) == 3 and macro.index(macro.row("64-2311-basic")) == 1
    assert macro.accuracy("64-4111-basic", "room_layout", "valid", 2, "mean") == max(
        files.curve_of("64-4111-basic", "room_layout", "valid_neg_loss")
    )


def test_metrics_and_directions(table: TransNasBench101) -> None:
    assert table.metrics("room_layout") == tuple(f"{s}_{k}" for s in files.SPLITS for k in ("loss", "neg_loss"))
    directions = {metric: table.direction("segmentsemantic", metric) for metric in table.metrics("segmentsemantic")}
    assert {name for name, direction in directions.items() if direction == "min"} == {
        "train_loss",
        "valid_loss",
        "test_loss",
    }
    assert all(METRICS[kind].direction == "max" for kind in TASKS.values())
    assert table.report_epochs("class_object") == 3 and table.report_epochs("room_layout") == 2


def test_costs_are_those_of_the_encoder(table: TransNasBench101) -> None:
    """Counts of the authors' program without its linear layer, at 224 x 224 pixels."""
    space = table.space
    assert space.params_and_macs(SPACE.parse("64-41414-1_02_333"), "class_object") == (22_520_608, 3_511_115_776)
    assert space.params_and_macs(SPACE.parse("64-41414-1_02_333"), "jigsaw")[0] == 22_520_608


REFUSED: list[tuple[Callable[[TransNasBench101], Any], str]] = [
    (lambda t: t.accuracy(NAMES[0], "class_objct", "valid", 3, "mean"), "unknown dataset of the benchmark"),
    (lambda t: t.accuracy(NAMES[0], "jigsaw", "valid", 3, "mean"), "unknown dataset of the benchmark 'jigsaw'"),
    (lambda t: t.accuracy(NAMES[0], "class_object", "valid_loss", 3, "mean"), "unknown split of class_object"),
    (lambda t: t.accuracy(NAMES[0], "class_object", "valid", 25, "mean"), "epochs=25: .* has trainings of 3 epochs"),
    (lambda t: t.accuracy(NAMES[0], "class_object", "valid", 3, 1), "seed=1: .* each of seed 0"),
    (lambda t: t.value(NAMES[0], "jigsaw", "valid_top1", "last"), "unknown task of the benchmark 'jigsaw'"),
    (lambda t: t.value(NAMES[0], "class_object", "valid_ssim", "last"), "unknown metric of class_object 'valid_ssim'"),
    (lambda t: t.value(NAMES[0], "class_object", "valid_top1", 4), "epoch=4: .* epochs 1 to 3, last and best_valid"),
    (lambda t: t.value(NAMES[0], "class_object", "valid_top1", 0), "epoch=0: "),
    (lambda t: t.value("64-41414-9_99_999", "class_object", "valid_top1", 1), "not a cell of TransNAS-Bench-101"),
    (lambda t: t.direction("class_object", "valid_tp1"), "did you mean 'valid_top1'"),
    (lambda t: t.model_info(NAMES[0], "class_object", "encoder_param"), "did you mean 'encoder_params'"),
    (lambda t: t.model_info(NAMES[0], "class_object", "model_params"), "does not contain model_params of class_object"),
    (lambda t: t.row("64-4111-basic"), "of space 'trans_nas_bench_101_macro' is not in TransNAS-Bench-101 .micro"),
    (lambda t: t.row(next(n for n in files.micro_names() if n not in NAMES)), "which has 12 of the 4,096"),
    (lambda t: t.check_space(SPACE), "12 of the 4,096 architectures .* Convert the benchmark without --partial"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_table_refuses_what_it_does_not_store(number: int, table: TransNasBench101) -> None:
    query, problem = REFUSED[number]
    with pytest.raises(NasError, match=problem):
        query(table)


EXTREMES = {
    "class_scene": (54.936, "3_32_132"),
    "class_object": (45.586, "3_13_113"),
    "segmentsemantic": (94.613, "3_13_022"),
    "normal": (0.58729, None),
    "room_layout": (-0.60100, None),
    "jigsaw": (95.372, "3_30_132"),
    "autoencoder": (0.57723, None),
}
"""Best validation value of all cells on each task, and the cell."""


def test_best_cells_of_a_published_sample(shared: Path, tmp_path: Path) -> None:
    if not (shared / "data" / "benchmarks_other" / "all_benchmarks_zen.zip").is_file():
        pytest.skip("the sample all_benchmarks_zen.zip is absent")
    files.save(files.sample_content(shared), tmp_path / SOURCE)
    convert(tmp_path / SOURCE, tmp_path / "micro.parquet", space=MICRO)
    table = benchmarks.find_table(tmp_path, MICRO)
    assert table is not None and len(table) == 4096
    for task, (value, cell) in EXTREMES.items():
        split = "valid_acc" if task == "segmentsemantic" else "valid"
        column = table.accuracies(task, split, 1, "mean")
        assert column.max() == pytest.approx(value, abs=6e-4)
        if cell is not None:
            assert table.architecture(int(column.argmax())) == f"64-41414-{cell}"
