"""The leaderboard of finished runs: grouping, differences in protocol, filters, formats, mistakes."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nas.cli.leaderboard_command.find_runs import find_runs
from tests.support.error_tools import run

HOSTILE = '<script>alert(1)</script>|"`*'


def copy(source: Path, target: Path, **values: Any) -> Path:
    """Copy the record and the summary of a run, with other values in the summary and the seed of its record."""
    shutil.copytree(source / ".hydra", target / ".hydra")
    summary = json.loads((source / "summary.json").read_text()) | values
    (target / "summary.json").write_text(json.dumps(summary))
    config = target / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("\nseed: 0\n", f"\nseed: {summary['seed']}\n", 1))
    return target


@pytest.fixture(scope="module")
def runs(short_search: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with two seeds of one search, a search of another size, and one that has not finished."""
    root = tmp_path_factory.mktemp("leaderboard") / "sweep"
    for seed, accuracy in ((0, 93.0), (1, 94.0)):
        copy(short_search, root / str(seed), seed=seed, **{"cifar10/test": accuracy, "dataset": "cifar10"})
    other = copy(short_search, root / "2", seed=0, **{"cifar10/test": 12.5, "dataset": HOSTILE})
    config = other / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("channels: 4", "channels: 5", 1))
    copy(short_search, root / "3")
    (root / "3" / "summary.json").unlink()
    return root


def board(runs: Path, target: Path, *options: str) -> str:
    """Return the text of the leaderboard of all finished runs in the format of a file."""
    done = run("search", "leaderboard", runs, *options, "--output", target)
    assert done.code == 0 and done.erred == f"left out: {runs / '3'}: no summary.json, so the run has not finished\n"
    return target.read_text()


def test_runs_are_grouped_over_seeds_among_published_rows(runs: Path, tmp_path: Path) -> None:
    found = json.loads(board(runs, tmp_path / "board.json"))
    entries = [entry for entry in found["entries"] if entry["metric"] == "test_accuracy"]
    assert {(entry["space"], entry["dataset"]) for entry in entries} == {("nas_bench_201", "cifar10")}
    mean, single = (entry for entry in entries if entry["origin"] == "run")
    assert (mean["value"], mean["runs"], mean["model"]) == (93.5, 2, "gdas")
    assert mean["spread"] == pytest.approx(0.5**0.5) and mean["genotype"] is None
    assert (single["value"], single["runs"], single["spread"]) == (12.5, 1, None)
    optimum = next(entry for entry in entries if entry["model"] == "optimum")
    assert (optimum["rank"], optimum["value"]) == (1, 94.37) and "NAS-Bench-201 paper" in found["sources"]
    assert [e["rank"] for e in entries] == sorted(e["rank"] for e in entries)
    assert mean["rank"] == 1 + sum(entry["value"] > 93.5 for entry in entries)


def test_run_lists_its_differences_from_the_published_search(runs: Path, tmp_path: Path) -> None:
    found = list(csv.DictReader(board(runs, tmp_path / "board.csv").splitlines()))
    texts = [entry["protocol"] for entry in found if entry["origin"] == "run"]
    expected = "epochs 1 (250); channels {} (16); cells per stage 1 (5); batch size 16 (64)"
    assert [text for text in texts if expected.format(4) in text] == [texts[0]]
    assert [text for text in texts if expected.format(5) in text] == [texts[1]]
    assert "decay" not in texts[0] and texts[1].startswith("data set <script>")


def test_equal_settings_have_no_differences(short_search: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    done = run("search", "experiment=gdas/nas_bench_201", "--cfg", "job")
    summary = {"mode": "search", "method": "gdas", "space": "nas_bench_201", "dataset": "cifar10", "val_accuracy": 50.0}
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "run" / ".hydra").mkdir()
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text(done.said)
    found = run("search", "leaderboard", tmp_path / "run", "--metric", "supernet_accuracy")
    assert found.code == 0 and "as experiment=gdas/nas_bench_201" in found.said and "> 1" in found.said


def test_training_is_compared_with_its_protocol(small_training: Path, tmp_path: Path) -> None:
    lines = small_training / ".hydra" / "overrides.yaml"
    target = copy(small_training, tmp_path / "run")
    (target / ".hydra" / "overrides.yaml").write_text(lines.read_text() + "- protocol=gdas_cifar10\n")
    run("search", "leaderboard", target, "--output", tmp_path / "board.json").succeeded()
    found = json.loads((tmp_path / "board.json").read_text())
    (entry,) = (entry for entry in found["entries"] if entry["origin"] == "run")
    assert entry["kind"] == "training" and entry["metric"] == "test_accuracy" and entry["dataset"] == "synthetic"
    assert entry["protocol"].startswith("data set synthetic (CIFAR-10); epochs 1 (600); channels 4 (36); layers none")


def test_pages_escape_what_comes_from_runs(runs: Path, tmp_path: Path) -> None:
    page = board(runs, tmp_path / "board.html", "--metric", "*")
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert page.count("<script") == 1 and "http" not in page.partition("<tbody>")[0]
    text = board(runs, tmp_path / "board.md", "--metric", "*")
    assert "\\<script\\>alert(1)\\</script\\>\\|" in text and "<script" not in text.replace("\\<", "")
    assert "| **" in text and "## NAS-Bench-201, CIFAR-10: Test accuracy (%)" in text


def test_published_tables_are_filtered_and_sorted() -> None:
    done = run("search", "leaderboard", "--space", "nas_bench_201", "--dataset", "cifar*", "--method", "drnas", "re*")
    done.succeeded()
    assert "NAS-Bench-201, CIFAR-100" in done.said and "regularized_evolution" in done.said
    assert "gdas" not in done.said and "ImageNet" not in done.said and "Validation" not in done.said
    options = ("--dataset", "imagenet16_120", "--metric", "test_accuracy", "--sort", "model")
    lines = run("search", "leaderboard", *options).said.splitlines()
    models = [line.split("│")[2].strip() for line in lines if line.count("│") == 4]
    names = [model for model in models if model and not model.startswith(("(", "ResNet"))]
    first = [name.split(" ")[0] for name in names if name[0].islower() and "_" in name]
    assert first == sorted(first) and len(first) > 5


@pytest.mark.parametrize(
    ("options", "phrases"),
    [
        (["--space", "nas_bench_20"], ["unknown --space 'nas_bench_20'", "nas_bench_201"]),
        (["--metric", "acuracy"], ["unknown --metric 'acuracy'"]),
        (["--space", "darts", "--method", "bohb"], ["no entry matches all options"]),
        (["nowhere"], ["leaderboard nowhere: there is no such directory"]),
        (["--output", "board.txt"], ["--output=board.txt: unknown format", ".html"]),
        (["--output", "nowhere/board.md"], ["there is no directory nowhere"]),
    ],
)
def test_mistakes_are_one_line(options: list[str], phrases: list[str]) -> None:
    run("search", "leaderboard", *options).refused(*phrases)


def test_files_are_not_overwritten_without_the_option(tmp_path: Path) -> None:
    target = tmp_path / "board.md"
    target.write_text("mine")
    options = ("leaderboard", "--space", "darts", "--output", target)
    run("search", *options).refused("the file exists. Add --overwrite")
    assert target.read_text() == "mine"
    run("search", *options, "--overwrite").succeeded()
    assert "# Leaderboard" in target.read_text()


def test_damaged_and_empty_directories_are_reported(runs: Path, tmp_path: Path) -> None:
    run("search", "leaderboard", tmp_path).refused(f"leaderboard {tmp_path}: contains no run")
    (tmp_path / "summary.json").write_text("{")
    done = run("search", "leaderboard", tmp_path)
    assert done.code == 1 and "is damaged" in done.erred and "no run has results" in done.erred
    assert [path.name for path in find_runs([str(runs), str(runs / "0")])] == ["0", "1", "2", "3"]
