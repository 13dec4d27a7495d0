"""Synthetic run directories, made from a real one, and a parser of the pages of a report."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
BEST = 94.37


def extended_run(source: Path, target: Path, epochs: int = 4, seed: int = 0, **summary: Any) -> Path:
    """Copy a search on NAS-Bench-201 with further epochs of random genotypes, scores and accuracies.

    Args:
        source: run directory of a search.
        target: the new directory.
        epochs: number of epochs.
        seed: seed of the records and of the summary.
        summary: further entries of summary.json.
    """
    shutil.copytree(source, target)
    rng = random.Random(seed)
    first = json.loads((source / "history.jsonl").read_text().splitlines()[0])
    history, alphas = [], []
    for epoch in range(epochs):
        ops = [rng.choice(OPS) for _ in range(6)]
        native = f"|{ops[0]}~0|+|{ops[1]}~0|{ops[2]}~1|+|{ops[3]}~0|{ops[4]}~1|{ops[5]}~2|"
        accuracies = {name: 50 + 10 * rng.random() + epoch for name in ("train/accuracy", "benchmark/test")}
        counts = {op: ops.count(op) for op in ops}
        history.append({**first, **accuracies, "epoch": epoch, "genotype": native, "ops": counts})
        rows = [[rng.random() + 0.01 for _ in OPS] for _ in range(6)]
        scores = [[value / sum(row) for value in row] for row in rows]
        alphas.append({"epoch": epoch, "scores": {"cell": scores}})
    write_lines(target / "history.jsonl", history)
    write_lines(target / "alphas.jsonl", alphas)
    known = {"seed": seed, "benchmark/test": history[-1]["benchmark/test"], "benchmark_of": "cifar10, 200 epochs"}
    change_summary(target, **{**known, "benchmark_best": {"benchmark/test": BEST}, **summary})
    return target


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    """Write a log with one object per line."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def change_summary(run: Path, **values: Any) -> None:
    """Set entries of summary.json."""
    path = run / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def deny_access(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Make a directory unreadable, also for root, who may read all directories."""

    def denied(function: Callable[..., Any], itself: bool) -> Callable[..., Any]:
        def call(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            below = Path(path) if isinstance(path, str | Path) else Path()
            if directory in below.parents or (itself and below == directory):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return function(path, *arguments, **options)

        return call

    for name, itself in (("stat", False), ("open", False), ("listdir", True), ("scandir", True)):
        monkeypatch.setattr(os, name, denied(getattr(os, name), itself))


class Page(HTMLParser):
    """Elements, ids, attributes and visible text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.source = path.read_text()
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """The visible text with single spaces."""
        return " ".join(" ".join(self.texts).split())

    def count(self, tag: str, css_class: str | None = None) -> int:
        """Return the number of elements with a tag and a class."""
        found = [attributes for name, attributes in self.elements if name == tag]
        return sum(css_class is None or css_class in (part.get("class") or "").split() for part in found)

    def attributes(self, name: str) -> list[str]:
        """Return the values of an attribute of all elements."""
        return [value for _, found in self.elements if (value := found.get(name)) is not None]
