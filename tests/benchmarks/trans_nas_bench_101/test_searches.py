"""Searches and rankings that read TransNAS-Bench-101."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.benchmarks.convert import convert
from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.callbacks.recording.benchmark import BenchmarkAccuracy
from nas.proxies.ranking.report import RankingReport, format_report
from nas.proxies.ranking.score_log import ScoreRecord
from nas.spaces.trans_nas_bench_101.macro import TransNasBench101Macro
from nas.spaces.trans_nas_bench_101.micro import TransNasBench101Micro
from tests.support import trans_nas_bench_101_tools as files
from tests.support.compose_tools import lines
from tests.support.error_tools import run
from tests.support.trans_nas_bench_101_tools import MACRO, MICRO, NAMES, SOURCE

_MAIN = {"class_object": "valid_top1", "room_layout": "valid_neg_loss"}


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


def test_rankings_have_the_name_and_unit_of_the_metric(root: Path) -> None:
    records = [ScoreRecord(name, None, float(score), 1.0, score, score) for score, name in enumerate(NAMES)]
    for task, title, unit in (("room_layout", "negative loss", ""), ("class_object", "top-1 accuracy", " %")):
        report = RankingReport(str(root), task, top=(1,), resamples=5)
        accuracies = report.find_accuracies(TransNasBench101Micro((3, 32, 32), 10), records)
        assert title in accuracies.axis and ("%" in accuracies.axis) == bool(unit)
        page = format_report(report(records, True, accuracies), "count")
        found = accuracies.values[-1]
        assert (f"accuracy {found:.2f} %;" if unit else f"accuracy {found:.4f};") in page and "seeds" not in page
