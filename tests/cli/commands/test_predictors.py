"""The command ``predictors`` on a small table."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import benchmarks
from nas.architecture.cell import Genotype
from nas.cli.commands.predictor_curves import SPACES
from nas.cli.commands.predictors import main
from nas.spaces.base import Space
from nas.spaces.nas_bench_1shot1.notation import to_graph
from nas.spaces.nas_bench_101.graph import graph_hash, prune
from nas.spaces.nas_bench_201.notation import from_index, native


class SmallTable:
    """80 architectures, whose accuracy is their number of convolutions; 10 of them have none."""

    names = [native(from_index(index)) for index in random.Random(0).sample(range(15_625), 80)]

    def accuracies(self, dataset: str, split: str, epochs: int, seed: Any) -> Any:
        assert (dataset, split, epochs, seed) == ("cifar100", "valid", 12, "mean")
        values = np.array([float(name.count("nor_conv")) for name in self.names])
        values[:10] = np.nan
        return values

    def architecture(self, row: int) -> str:
        return self.names[row]


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks, "find_table", lambda root, notation: SmallTable() if root == "here" else None)


ARGUMENTS = ["--data", "here", "--dataset", "cifar100", "--held-out", "20", "--repetitions", "2"]


def test_command_writes_table_and_picture(table: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [*ARGUMENTS, "--predictors", "gaussian_process", "--sizes", "5", "50", "--output", str(tmp_path / "out")]
    assert main(given) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "predictors.csv").open()))
    assert [(row["encoding"], row["size"]) for row in rows] == [
        ("paths", "5"), ("paths", "50"), ("one_hot", "5"), ("one_hot", "50")
    ]  # fmt: skip
    tau = {(row["encoding"], row["size"]): float(row["kendall"]) for row in rows}
    assert tau["one_hot", "50"] > 0.8 > tau["one_hot", "5"], "a linear function of the one-hot features"
    assert (tmp_path / "out" / "predictors.png").read_bytes().startswith(b"\x89PNG")
    assert f"{tau['one_hot', '50']:.3f}" in capsys.readouterr().out
    assert main(given) == 1 and "exists. Use --overwrite" in capsys.readouterr().err
    assert main([*given, "--overwrite", "--seed", "1"]) == 0
    assert list(csv.DictReader((tmp_path / "out" / "predictors.csv").open())) != rows


def test_command_refuses_what_the_table_lacks(table: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", "elsewhere"]) == 1
    assert "error: --data elsewhere: there is no table of space 'nas_bench_201'" in capsys.readouterr().err
    assert main([*ARGUMENTS, "--sizes", "60"]) == 1
    assert "error: --sizes 60 --held-out 20: the table has 70 accuracies" in capsys.readouterr().err
    assert main([*ARGUMENTS, "--held-out", "1"]) == 1
    assert "Use at least 2 of each" in capsys.readouterr().err
    assert main([*ARGUMENTS, "--predictors", "oracle"]) == 1
    assert "error: predictors: --predictors: invalid choice: 'oracle'" in capsys.readouterr().err


class FormulaTable:
    """Table of sampled architectures, whose accuracy is the number of a word in their strings."""

    def __init__(self, space: Space, word: str, dataset: str, epochs: int) -> None:
        rng = random.Random(0)
        self.names = list(dict.fromkeys(space.native(space.sample(rng)) for _ in range(150)))
        self.word, self.dataset, self.epochs = word, dataset, epochs

    def accuracies(self, dataset: str, split: str, epochs: int, seed: Any) -> Any:
        assert (dataset, split, epochs, seed) == (self.dataset, "valid", self.epochs, "mean")
        return np.array([float(name.count(self.word)) for name in self.names])

    def architecture(self, row: int) -> str:
        return self.names[row]

    def report_epochs(self, dataset: str) -> int:
        assert dataset == self.dataset
        return self.epochs


CURVES = ["--data", "here", "--held-out", "30", "--repetitions", "2", "--sizes", "60"]
CURVES += ["--predictors", "gaussian_process"]


@pytest.mark.parametrize(
    ("name", "word", "dataset", "epochs", "encodings"),
    [
        ("nas_bench_101", "conv3x3", "cifar10", 108, ["paths", "one_hot"]),
        ("trans_nas_bench_101_micro", "3", "class_scene", 25, ["paths", "one_hot"]),
        ("trans_nas_bench_101_macro", "4", "class_scene", 25, ["one_hot"]),
    ],
)
def test_command_predicts_on_other_spaces(
    name: str,
    word: str,
    dataset: str,
    epochs: int,
    encodings: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    table = FormulaTable(SPACES[name]((3, 32, 32), 10), word, dataset, epochs)
    monkeypatch.setattr(benchmarks, "find_table", lambda root, notation: table)
    assert main([*CURVES, "--space", name, "--output", str(tmp_path)]) == 0
    rows = list(csv.DictReader((tmp_path / "predictors.csv").open()))
    assert [row["encoding"] for row in rows] == encodings
    assert float(rows[-1]["kendall"]) > 0.7, "the number of an op is a linear function of the one-hot features"


class GraphTable:
    """Rows of graphs, in the order of the queries; the accuracy is a function of the row."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def accuracies(self, dataset: str, split: str, epochs: int, seed: Any) -> Any:
        assert (dataset, epochs) == ("cifar10", 108)
        return np.where(np.arange(40_000) % 2, np.sin(np.arange(40_000.0)), np.nan)

    def row(self, genotype: Genotype) -> int:
        pruned = prune(to_graph(genotype))
        assert pruned is not None
        return self.rows.setdefault(graph_hash(pruned), len(self.rows))


@pytest.mark.parametrize("name", ["nas_bench_1shot1_1", "nas_bench_1shot1_3"])
def test_cells_of_a_subspace_occur_once(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = GraphTable()
    monkeypatch.setattr(benchmarks, "find_table", lambda root, notation: table)
    monkeypatch.setattr("nas.cli.commands.predictor_curves.MAX_ARCHITECTURES", 600)
    assert main([*CURVES, "--space", name, "--output", str(tmp_path)]) == 0
    assert 180 < len(table.rows) <= 600
    assert len(list(csv.DictReader((tmp_path / "predictors.csv").open()))) == 2
    assert main([*CURVES, "--space", name, "--held-out", "500"]) == 1
    assert f"the table has {len(table.rows) // 2} accuracies" in capsys.readouterr().err


def test_dataset_of_another_benchmark_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmarks, "find_table", lambda root, notation: GraphTable())
    assert main([*CURVES, "--space", "nas_bench_101", "--dataset", "jigsaw"]) == 1
    assert capsys.readouterr().err == "error: --dataset jigsaw: NAS-Bench-101 has cifar10. Set one of them.\n"


def test_a_large_table_is_sampled(
    table: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nas.cli.commands.predictor_curves.MAX_ARCHITECTURES", 12)
    assert main([*ARGUMENTS, "--sizes", "5"]) == 1
    assert "the table has 12 accuracies" in capsys.readouterr().err
