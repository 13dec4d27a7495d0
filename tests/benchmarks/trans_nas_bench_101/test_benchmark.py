"""Conversion of TransNAS-Bench-101 and queries of its tables."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas import benchmarks
from nas.benchmarks.convert import convert, main
from nas.benchmarks.trans_nas_bench_101.benchmark import TransNasBench101
from nas.benchmarks.trans_nas_bench_101.tasks import METRICS, TASKS
from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.callbacks.recording.benchmark import BenchmarkAccuracy
from nas.proxies.ranking.report import RankingReport, format_report
from nas.proxies.ranking.score_log import ScoreRecord
from nas.spaces.trans_nas_bench_101.macro import TransNasBench101Macro
from nas.spaces.trans_nas_bench_101.micro import TransNasBench101Micro
from nas.utils.errors import NasError
from tests.support import trans_nas_bench_101_tools as files
from tests.support.compose_tools import lines
from tests.support.error_tools import run
from tests.support.nats_tools import CallOnLoad

SOURCE = "transnas-bench_v10141024.pth"
MICRO, MACRO = "trans_nas_bench_101_micro", "trans_nas_bench_101_macro"
SPACE = TransNasBench101Micro((3, 32, 32), 10)
NAMES = random.Random(7).sample(files.micro_names(), 12)
SKELETONS = ["64-4111-basic", "64-2311-basic", "64-443311-basic"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert a file of twelve cells and three skeletons."""
    directory = tmp_path_factory.mktemp("transnas")
    files.save(files.content(SKELETONS, NAMES), directory / SOURCE)
    for space in (MICRO, MACRO):
        convert(directory / SOURCE, directory / f"{space}.parquet", partial=True, space=space)
    return directory


@pytest.fixture
def table(root: Path) -> TransNasBench101:
    found = benchmarks.find_table(root, MICRO)
    assert isinstance(found, TransNasBench101) and len(found) == 12
    return found


def test_values_are_those_of_the_best_validation_epoch(table: TransNasBench101) -> None:
    for name in NAMES:
        for task, kinds in files.METRICS.items():
            for kind in kinds:
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


def test_older_files_of_torch_and_times_of_single_epochs(tmp_path: Path) -> None:
    content = files.content([], NAMES[:2])
    for name, seconds in zip(NAMES, ([5.0, 4.0, 6.0], [1.0, 2.0, 3.0]), strict=False):
        content["data"]["micro"][name]["class_object"]["metrics"]["time_elapsed"] = seconds
    files.save(content, tmp_path / SOURCE, legacy=True)
    convert(tmp_path / SOURCE, tmp_path / "t.parquet", partial=True, space=MICRO)
    table = benchmarks.find_table(tmp_path, MICRO)
    assert table is not None
    assert [table.simulated_seconds(name, "class_object", 3) for name in NAMES[:2]] == [15.0, 6.0]


Change = Callable[[dict[str, Any], dict[str, Any]], object]
CHANGES: dict[str, Change] = {
    "other space": lambda data, cell: data["data"].update(mini={}),
    "name": lambda data, cell: data["data"]["micro"].update({SKELETONS[0]: cell}),
    "long name": lambda data, cell: data["data"]["micro"].update({"x\n" * 1000: cell}),
    "skeleton": lambda data, cell: data["data"]["macro"].update({"64-1111-basic": cell}),
    "length": lambda data, cell: cell["class_object"]["metrics"]["valid_top1"].append(1.0),
    "one value": lambda data, cell: cell["class_object"]["metrics"].update(valid_top1=[1.0]),
    "column": lambda data, cell: data["info_names"].append("a/b"),
    "no metrics": lambda data, cell: data["metrics_dict"].update(class_object=["time_elapsed"]),
    "no cells": lambda data, cell: data["data"].update(micro={}),
    "no tasks": lambda data, cell: data["task_list"].clear(),
    "time": lambda data, cell: cell["class_object"]["metrics"].update(time_elapsed=["soon", "1:00:00", "2:00:00"]),
    "negative time": lambda data, cell: cell["class_object"]["metrics"].update(time_elapsed=[-2.0, -1.0, 0.0]),
    "epochs": lambda data, cell: cell["class_object"].update(total_epochs="3"),
}
"""Changes of the content of a file and of its first cell."""


def damaged(kind: str, path: Path) -> list[str]:
    """Write a file that is not to be converted and return further arguments."""
    content: Any = files.content(SKELETONS, NAMES)
    if kind in CHANGES:
        CHANGES[kind](content, content["data"]["micro"][NAMES[0]])
    elif kind == "code":
        content = CallOnLoad(os.mkdir, str(path.parent / "made"))
    elif kind == "other keys":
        content = {"data": {}}
    files.save(content, path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-2000])
    partial = [] if kind == "incomplete" else ["--partial"]
    return partial if kind == "no space" else [*partial, "--space", MACRO if kind == "skeleton" else MICRO]


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("code", "no code was run"),
        ("other keys", "it has no metrics_dict, info_names, task_list"),
        ("other space", "the spaces macro, micro, mini"),
        ("name", "'64-4111-basic' in the space micro"),
        ("long name", "x\\n' in the space micro)"),
        ("skeleton", "'64-1111-basic' in the space macro"),
        ("length", "4 values of valid_top1 in 3 epochs"),
        ("one value", "1 values of valid_top1 in 3 epochs"),
        ("column", "the name 'a/b'"),
        ("no metrics", "no metrics of class_object"),
        ("no cells", "it has 0 of the 4,096 architectures"),
        ("no tasks", "is damaged or cut off (no results)"),
        ("time", "the time 'soon'"),
        ("negative time", "the time -2.0"),
        ("epochs", "total_epochs of class_object"),
        ("incomplete", "it has 12 of the 4,096 architectures"),
        ("no space", f"has two spaces. Set --space={MICRO} or --space={MACRO}."),
        ("cut", "is damaged or cut off"),
    ],
)
def test_convert_refuses_other_files(
    kind: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = damaged(kind, tmp_path / SOURCE)
    before = set(tmp_path.iterdir())
    assert main([str(tmp_path / SOURCE), str(tmp_path / "out.parquet"), *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and problem in line and set(tmp_path.iterdir()) == before


def test_numbers_beyond_32_bits_are_missing(tmp_path: Path) -> None:
    content = files.content([], NAMES[:1])
    content["data"]["micro"][NAMES[0]]["class_object"]["metrics"]["valid_top1"] = [1e300, 2.0, -1e300]
    convert(files.save(content, tmp_path / SOURCE), tmp_path / "micro.parquet", partial=True, space=MICRO)
    table = benchmarks.find_table(tmp_path, MICRO)
    assert table is not None and table.accuracy(NAMES[0], "class_object", "valid", 3, "mean") == 2.0


def test_rankings_have_the_name_and_unit_of_the_metric(root: Path) -> None:
    records = [ScoreRecord(name, None, float(score), 1.0, score, score) for score, name in enumerate(NAMES)]
    for task, title, unit in (("room_layout", "negative loss", ""), ("class_object", "top-1 accuracy", " %")):
        report = RankingReport(str(root), task, top=(1,), resamples=5)
        accuracies = report.find_accuracies(SPACE, records)
        assert title in accuracies.axis and ("%" in accuracies.axis) == bool(unit)
        page = format_report(report(records, True, accuracies), "count")
        found = accuracies.values[-1]
        assert (f"accuracy {found:.2f} %;" if unit else f"accuracy {found:.4f};") in page and "seeds" not in page


def test_space_is_refused_for_sources_of_one_space(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nasbench_full.tfrecord").touch()
    arguments = [str(tmp_path / "nasbench_full.tfrecord"), str(tmp_path / "out.parquet"), "--space", MICRO]
    assert main(arguments) == 1
    assert "has one space. Remove --space." in capsys.readouterr().err


def test_black_box_search_reads_a_complete_table(tmp_path: Path) -> None:
    names = files.macro_names()
    files.save(files.content(names, [], ["class_object", "room_layout"]), tmp_path / SOURCE)
    convert(tmp_path / SOURCE, tmp_path / "macro.parquet", space=MACRO)
    space = TransNasBench101Macro((3, 32, 32), 10)
    evaluator = BenchmarkQuery(space, root=str(tmp_path), dataset="room_layout")
    assert evaluator.label == "room_layout valid negative loss, best of 2 epochs" and evaluator.epochs == 2
    best = {task: max(max(files.curve_of(n, task, m)) for n in names) for task, m in _MAIN.items()}
    assert {task: evaluator.best_accuracies()[f"{task}/valid"] for task in best} == best
    command = [
        "method=regularized_evolution",
        "evaluator=benchmark",
        f"space={MACRO}",
        "evaluator.dataset=class_object",
    ]
    options = [f"paths.benchmark={tmp_path}", "method.budget.queries=15", "logger=none", "~callbacks.cell_plots"]
    run("search", *command, *options, f"hydra.run.dir={tmp_path / 'run'}").succeeded()
    queries = lines(tmp_path / "run" / "queries.jsonl")
    expected = [max(files.curve_of(line["genotype"], "class_object", "valid_top1")) for line in queries]
    assert [line["value"] for line in queries] == expected and len(queries) == 15
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["value_of"] == "class_object valid top-1 accuracy, best of 3 epochs (%)"
    assert summary["class_object/valid"] == max(expected) and "room_layout/test" in summary
    assert summary["benchmark/valid"] == summary["value"]
    assert summary["benchmark_of"] == "class_object, top-1 accuracy, best of 3 epochs"
    for task, epochs in (("room_layout", 0), ("class_object", 3)):
        callback = BenchmarkAccuracy(str(tmp_path), "digits", task=task)
        callback._open(MACRO)
        assert callback.description == (f"{task}, top-1 accuracy, best of {epochs} epochs" if epochs else "")


_MAIN = {"class_object": "valid_top1", "room_layout": "valid_neg_loss"}


@pytest.mark.parametrize(
    ("options", "phrases"),
    [
        (["evaluator.dataset=cifar10"], ["evaluator.dataset=cifar10: TransNAS-Bench-101 (micro) has class_scene"]),
        (["evaluator.dataset=jigsaw"], ["evaluator.dataset=jigsaw: unknown task of the benchmark"]),
        (["evaluator.dataset=class_object", "evaluator.epochs=25"], ["epochs=25", "trainings of 3 epochs"]),
        (["evaluator.dataset=class_object"], ["12 of the 4,096 architectures", "without --partial"]),
        (["evaluator.dataset=class_object", "evaluator.split=test_loss"], ["unknown split of class_object"]),
    ],
)
def test_search_refuses_in_one_line(options: list[str], phrases: list[str], root: Path, tmp_path: Path) -> None:
    command = ["method=random_search", "evaluator=benchmark", f"space={MICRO}", f"paths.benchmark={root}"]
    run("search", *command, *options, f"hydra.run.dir={tmp_path / 'run'}").refused(*phrases)
    assert not (tmp_path / "run").exists()


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
