"""Conversion of files of TransNAS-Bench-101."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas import benchmarks
from nas.benchmarks.convert import convert
from nas.cli.commands.convert import main
from tests.support import trans_nas_bench_101_tools as files
from tests.support.nats_tools import CallOnLoad
from tests.support.trans_nas_bench_101_tools import MACRO, MICRO, NAMES, SKELETONS, SOURCE


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


def test_space_is_refused_for_sources_of_one_space(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nasbench_full.tfrecord").touch()
    arguments = [str(tmp_path / "nasbench_full.tfrecord"), str(tmp_path / "out.parquet"), "--space", MICRO]
    assert main(arguments) == 1
    assert "has one space. Remove --space." in capsys.readouterr().err
