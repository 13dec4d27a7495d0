"""Hostile runs and files, with the command lines that read them.

Every payload would create the directory ``Bench.marker`` if it were executed. ``HOSTILE`` lists all cases; each is
answered by one line on stderr, or by a normal run for the few that are skipped (``phrase`` is "").
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.hostile_bench import HUGE_CELL, SYNTHETIC, Bench, Case, Code
from tests.support.hostile_runs import run_cases
from tests.support.hostile_weights import weights_cases


def _special(kind: str, *arguments: str) -> Callable[[Bench], list[str]]:
    """Return the maker of a named pipe or a link to a device, with the arguments that name it ({file}, {run})."""

    def make(bench: Bench) -> list[str]:
        file = bench.directory / "special.json"
        if kind == "pipe":
            os.mkfifo(file)
        else:
            file.symlink_to("/dev/zero")
        return [argument.format(file=file, run=bench.trained) for argument in arguments]

    return make


SPECIAL: dict[str, tuple[str, tuple[str, ...], str]] = {
    "genotype": ("train", ("genotype={file}",), "there is no file"),
    "weights": ("train", ("mode=eval", "weights={file}"), "weights="),
    "init_weights": ("train", (*SYNTHETIC, "genotype={run}", "init_weights={file}"), "not a regular file"),
    "ckpt_path": ("search", ("ckpt_path={file}",), "ckpt_path="),
    "split": ("search", (*SYNTHETIC, "dataset.split={file}"), "not a regular file"),
    "test_split": (
        "search",
        (*SYNTHETIC, "dataset.split=nas_bench_201", "dataset.test_split={file}"),
        "not a regular file",
    ),
}


def _text(name: str, text: str, *arguments: str) -> Callable[[Bench], list[str]]:
    """Return the maker of a text file, with the arguments that name it ({file}) or its directory ({dir})."""

    def make(bench: Bench) -> list[str]:
        file = bench.directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return [argument.format(file=file, dir=bench.directory) for argument in arguments]

    return make


def _imagenet16(bench: Bench) -> list[str]:
    """Write a batch of ImageNet16 that creates the marker, and return the arguments of a search on it."""
    (bench.directory / "train_data_batch_1").write_bytes(pickle.dumps({"data": Code(bench.marker)}))
    return ["dataset=imagenet16_120", f"paths.data={bench.directory}", "method=gdas", "space.channels=4"]


def _genotype_json(space: str, cells: Any) -> str:
    return json.dumps({"format": "nas-genotype", "version": 1, "space": space, "cells": cells})


WIDE = {"cell": {"links": [["99999", k, k + 1] for k in range(5)], "output": [5]}}


MANY = {"normal": {"links": [["skip_connect", 0, 2]] * 20_000, "output": [2]}}


DEEP = '{"a":' + "[" * 200_000


TEXTS: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "genotype.json: deep": ("train", DEEP, ("genotype={file}",), "the file is not JSON"),
    "genotype.json: nodes": (
        "train",
        _genotype_json("darts", {"normal": HUGE_CELL}),
        ("genotype={file}", *SYNTHETIC),
        "a cell with 999999999 nodes",
    ),
    "genotype.json: widths": (
        "train",
        _genotype_json("nats_size", WIDE),
        ("genotype={file}", *SYNTHETIC),
        "at most 4096 channels per layer",
    ),
    "genotype.json: links": ("train", _genotype_json("darts", MANY), ("genotype={file}",), "is damaged"),
    "split: deep": ("search", DEEP, (*SYNTHETIC, "dataset.split={file}"), "nested too deeply"),
}


def _linked_file(name: str) -> Callable[[Bench], list[str]]:
    """Return the maker of an interrupted run in which a file that a resume appends to is a link out of it."""

    def make(bench: Bench) -> list[str]:
        run = bench.copy(bench.searched, finished=False)
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(bench.directory / "target")
        (bench.directory / "target").write_text("untouched")
        return [f"ckpt_path={run}"]

    return make


def _file_cases() -> Iterator[Case]:
    for name, (script, arguments, phrase) in SPECIAL.items():
        for kind in ("pipe", "device"):
            yield Case(f"{kind}: {name}", script, _special(kind, *arguments), phrase)
    for name, (script, text, arguments, phrase) in TEXTS.items():
        yield Case(name, script, _text("text.json", text, *arguments), phrase)
    yield Case("train_data_batch_1: code", "search", _imagenet16, "it contains posix.mkdir")
    for name in ("history.jsonl", "metrics.csv", "search.log", "checkpoints/x.ckpt", ".hydra/config.yaml"):
        yield Case(f"link: {name}", "search", _linked_file(name), "is a link out of the run directory")


HOSTILE: dict[str, Case] = {case.name: case for case in (*run_cases(), *weights_cases(), *_file_cases())}
"""All hostile files by name."""
