"""The command ``predictors`` on a small table."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import benchmarks
from nas.cli.predictors_command.command import main
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
