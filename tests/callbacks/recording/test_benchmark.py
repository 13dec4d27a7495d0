"""Benchmark accuracies in the history, the log and the summary of a search."""

from __future__ import annotations

import csv
import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from nas import benchmarks
from nas.architecture.cell import Genotype
from nas.benchmarks import convert, read_release
from nas.benchmarks.find import open_table
from nas.callbacks.recording.benchmark import BenchmarkAccuracy
from nas.callbacks.recording.history import History
from nas.searches.base import Search
from nas.spaces.nas_bench_201.notation import from_index, from_ops, parse
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.recurrent.space import Recurrent
from tests.support.compose_tools import lines
from tests.support.error_tools import SEARCH, run, unfinished
from tests.support.nats_tools import SMALL, needs_means, shared_data, write_directory

TWO = (*SEARCH[:-1], "epochs=2")


@needs_means
@pytest.mark.data
def test_benchmark_accuracy_is_logged_each_epoch(tmp_path: Path) -> None:
    table = benchmarks.find_benchmark(shared_data(), "nas_bench_201")
    assert table is not None
    done = run("search", *TWO, f"paths.data={shared_data()}", f"hydra.run.dir={tmp_path / 'run'}")
    done.succeeded()
    of = "cifar10, 200 epochs, mean over seeds"
    line = f"benchmark      NAS-Bench-201: accuracies on {of} (it has no synthetic)\n"
    assert done.said.count(line) == 1
    history = lines(tmp_path / "run" / "history.jsonl")
    assert len(history) == 2
    for line in history:
        g = parse(line["genotype"])
        valid, test = (table.accuracy(g, "cifar10", split, 200, "mean") for split in ("valid", "test"))
        assert (line["benchmark/valid"], line["benchmark/test"]) == pytest.approx((valid, test), rel=1e-6)
        assert f"benchmark valid {valid:.2f}%  benchmark test {test:.2f}%" in done.said
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["benchmark/test"] == pytest.approx(test, rel=1e-12) and summary["benchmark_of"] == of
    assert summary["genotype"] == history[-1]["genotype"]
    with (tmp_path / "run" / "metrics.csv").open() as file:
        logged = [float(row["benchmark/test"]) for row in csv.DictReader(file) if row.get("benchmark/test")]
    assert logged == pytest.approx([line["benchmark/test"] for line in history], rel=1e-5)


def test_missing_table_is_logged_once(tmp_path: Path) -> None:
    done = run("search", *TWO, f"paths.data={tmp_path / 'data'}", f"hydra.run.dir={tmp_path / 'run'}")
    done.succeeded()
    place = tmp_path / "data"
    assert done.said.count("benchmark  ") == 1 and "set paths.benchmark" in done.said
    assert f"benchmark      NAS-Bench-201 table not found in {place} or {place / 'nas_bench_201'}; " in done.said
    assert not [key for line in lines(tmp_path / "run" / "history.jsonl") for key in line if "benchmark" in key]
    assert "benchmark_of" not in json.loads((tmp_path / "run" / "summary.json").read_text())


def test_damaged_table_is_logged(tmp_path: Path) -> None:
    (tmp_path / "nas_bench_201.parquet").write_bytes(b"PAR1")
    done = run("search", *SEARCH, f"paths.data={tmp_path}", f"hydra.run.dir={tmp_path / 'run'}")
    done.succeeded()
    assert (
        f"benchmark      not available: benchmark: {tmp_path / 'nas_bench_201.parquet'} cannot be read as Parquet"
        in done.said
    )


@needs_means
@pytest.mark.data
def test_resumed_search_logs_the_same_accuracies(tmp_path: Path) -> None:
    table = benchmarks.find_benchmark(shared_data(), "nas_bench_201")
    assert table is not None
    run("search", *SEARCH, f"paths.data={shared_data()}", f"hydra.run.dir={tmp_path / 'first'}").succeeded()
    broken = unfinished(tmp_path / "first", tmp_path / "broken")
    run("search", f"ckpt_path={broken}").succeeded()
    found = lines(broken / "history.jsonl")
    assert [line["epoch"] for line in found] == [0, 1]
    for line in found:
        expected = table.accuracy(parse(line["genotype"]), "cifar10", "test", 200, "mean")
        assert line["benchmark/test"] == pytest.approx(expected, rel=1e-6)


class Steps(Search):
    """Search with a given genotype in each epoch."""

    def __init__(self, genotypes: list[Genotype]) -> None:
        super().__init__(NasBench201((3, 8, 8), 10), "steps")
        self.genotypes = genotypes

    def genotype(self) -> Genotype:
        return self.genotypes[self.current_epoch]

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Train nothing."""

    def configure_optimizers(self) -> None:
        """Create no optimizer."""

    def train_dataloader(self) -> list[Tensor]:
        return [torch.zeros(1)]


def history(search: Steps, callback: BenchmarkAccuracy, where: Path) -> list[dict[str, Any]]:
    """Run the search and return its history."""
    trainer = pl.Trainer(
        max_epochs=len(search.genotypes),
        callbacks=[callback, History(where)],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(search)
    return lines(where / "history.jsonl")


@needs_means
@pytest.mark.data
def test_unknown_accuracies_are_left_out(tmp_path: Path) -> None:
    table = benchmarks.find_benchmark(shared_data(), "nas_bench_201")
    assert table is not None
    valid = table.accuracies("cifar100", "valid", 200, "mean")
    order = [int(np.flatnonzero(~np.isnan(valid))[0]), int(np.flatnonzero(np.isnan(valid))[0])]
    genotypes = [from_index(index) for index in order]
    first, second = history(Steps(genotypes), BenchmarkAccuracy(str(shared_data()), "cifar100"), tmp_path)
    assert first["benchmark/valid"] == pytest.approx(valid[order[0]], rel=1e-6)
    assert "benchmark/valid" not in second
    for line, g in ((first, genotypes[0]), (second, genotypes[1])):
        assert line["benchmark/test"] == pytest.approx(table.accuracy(g, "cifar100", "test", 200, "mean"), rel=1e-6)


def test_partial_table_logs_known_genotypes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(read_release, "BENCHMARK_SPACES", SMALL)
    convert.convert(write_directory("nas_bench_201", tmp_path), tmp_path / "table.parquet")
    table = open_table(tmp_path / "table.parquet")
    there, missing = parse(table.architecture(5)), from_ops(["avg_pool_3x3"] * 6)
    first, second = history(Steps([there, missing]), BenchmarkAccuracy(str(tmp_path), "cifar100"), tmp_path)
    assert first["benchmark/valid"] == pytest.approx(table.accuracy(there, "cifar100", "valid", 200, "mean"), rel=1e-6)
    assert not [key for key in second if "benchmark" in key]
    assert "benchmark      NAS-Bench-201: accuracies on cifar100, 200 epochs, mean over seeds" in caplog.messages


def test_space_without_benchmark_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    search = Steps([])
    search.space = Recurrent((), 10)
    search.genotypes = [search.space.sample(random.Random(0))]
    (line,) = history(search, BenchmarkAccuracy(str(tmp_path), "cifar10"), tmp_path)
    assert not [text for text in [*caplog.messages, *line] if "benchmark" in text]
