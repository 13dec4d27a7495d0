"""The leaderboard of finished runs: grouping, differences in protocol, filters, formats, mistakes."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from nas.cli.commands.leaderboard.finished_runs import find_finished_runs
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


def board_of(runs: list[Path], target: Path, *options: str) -> tuple[list[dict[str, Any]], str]:
    """Return the entries of runs, and what the command prints on stderr."""
    done = run("search", "leaderboard", *runs, *options, "--output", target / "board.json", "--overwrite")
    assert done.code == 0, done.erred
    entries = json.loads((target / "board.json").read_text())["entries"]
    return [entry for entry in entries if entry["origin"] == "run"], done.erred


def test_long_genotypes_are_compared_completely(small_training: Path, tmp_path: Path) -> None:
    genotypes = [f"Genotype({250 * 'x'}{number})" for number in range(2)]
    given = [
        copy(small_training, tmp_path / str(seed), seed=seed, genotype=genotype, published=None)
        for seed, genotype in enumerate(genotypes)
    ]
    found, _ = board_of(given, tmp_path)
    assert sorted(entry["genotype"] for entry in found) == genotypes and all(e["runs"] == 1 for e in found)
    assert all(len(entry["model"]) == 200 for entry in found)


EFFECTS = {
    "callbacks.skip_collapse": (
        {"_target_": "nas.callbacks.guards.collapse.SkipCollapse", "limit": 2, "stop": True},
        "callbacks.skip_collapse.limit 2 (none); callbacks.skip_collapse.stop true (none)",
    ),
    "callbacks.curvature": (
        {"_target_": "nas.callbacks.selection.early_stopping.HessianEigenvalue", "action": "stop"},
        "callbacks.curvature.action stop (none)",
    ),
    "space.conv_bias": (False, "space.conv_bias false (null)"),
    "trainer.devices": (2, "devices 2 (1)"),
    "trainer.num_nodes": (2, "machines 2 (1)"),
    "callbacks.cpu_budget.minutes": (3, "CPU minutes 3 (none)"),
    "init_weights": ("model.pt", "initial weights model.pt (none)"),
    "budget.macs": (60e6, "limit of multiply-adds 6e+07 (none)"),
}


def test_options_that_change_the_result_are_differences(short_search: Path, tmp_path: Path) -> None:
    given = [copy(short_search, tmp_path / "plain", dataset="cifar10", **{"cifar10/test": 90.0})]
    for number, (key, (value, _)) in enumerate(EFFECTS.items()):
        given.append(copy(given[0], tmp_path / str(number), seed=number))
        file = given[-1] / ".hydra" / "config.yaml"
        config = OmegaConf.load(file)
        OmegaConf.update(config, key, value)
        OmegaConf.save(config, file)
    only_records = OmegaConf.load(given[0] / ".hydra" / "config.yaml")
    part = {**EFFECTS["callbacks.curvature"][0], "action": "watch"}
    OmegaConf.update(only_records, "callbacks.curvature", part)
    given.append(copy(given[0], tmp_path / "watch", seed=9))
    OmegaConf.save(OmegaConf.merge(only_records, {"seed": 9}), given[-1] / ".hydra" / "config.yaml")
    found, _ = board_of(given, tmp_path, "--metric", "test_accuracy")
    assert sorted(entry["runs"] for entry in found) == [*len(EFFECTS) * [1], 2]
    for _, text in EFFECTS.values():
        assert len([entry for entry in found if text in entry["protocol"]]) == 1, text
    assert not any("multiplier" in entry["protocol"] for entry in found)


def test_repeated_seeds_count_once(short_search: Path, tmp_path: Path) -> None:
    older, newer = (
        copy(short_search, tmp_path / name, dataset="cifar10", **{"cifar10/test": value})
        for name, value in (("b", 90.0), ("a", 91.0))
    )
    os.utime(older / "summary.json", (1e9, 1e9))
    (entry,), erred = board_of([newer, older], tmp_path, "--metric", "test_accuracy")
    assert (entry["value"], entry["runs"], entry["spread"]) == (91.0, 1, None)
    assert erred == f"left out: {older}: {newer} is newer, with the same settings and seed\n"


FOREIGN = [
    {"mode": "search", "table": {"cifar10/test": {"mean": 90, "n": "x"}}},
    {"mode": "search", "table": {"cifar10/test": {"mean": 91, "std": 10**400, "n": 10**400}}},
    {"mode": "search", "method": "gdas", "space": "nas_bench_201", "dataset": [], "cifar10/test": 92.0},
    {"mode": "search", "method": [], "space": {}, "dataset": {}, "epochs": True, "cifar10/test": 93.0},
    {"mode": "train", "dataset": "cifar10", "genotype": 5, "published": {"name": []}, "test_accuracy": 10**399},
    {"mode": "train", "dataset": "cifar10", "genotype": [], "published": [], "test_accuracy": 94.0},
]


def test_foreign_summaries_are_read_by_type(short_search: Path, tmp_path: Path) -> None:
    given = []
    for number, summary in enumerate(FOREIGN):
        given.append(copy(short_search, tmp_path / str(number)))
        (given[-1] / "summary.json").write_text(json.dumps({**summary, "seed": number}))
    found, erred = board_of(given, tmp_path, "--metric", "*")
    assert sorted(e["value"] for e in found) == [90.0, 91.0, 92.0, 93.0, 94.0] and not erred
    assert all(entry["runs"] == 1 and entry["spread"] is None for entry in found)


def test_text_searches_without_a_benchmark_are_ranked_by_perplexity(short_search: Path, tmp_path: Path) -> None:
    given = []
    for name, values in (("darts", (48.0, 50.0)), ("gdas", (49.5, 49.7)), ("drnas", (2.0,))):
        for seed, perplexity in enumerate(values):
            given.append(copy(short_search, tmp_path / f"{name}{seed}"))
            summary = {"mode": "search", "space": "recurrent", "dataset": "text_synthetic", "method": name}
            (given[-1] / "summary.json").write_text(json.dumps({**summary, "seed": seed, "val_perplexity": perplexity}))
    found, _ = board_of(given, tmp_path)
    assert [(entry["model"], entry["value"], entry["runs"]) for entry in found if entry["origin"] == "run"] == [
        ("drnas", 2.0, 1),
        ("darts", 49.0, 2),
        ("gdas", pytest.approx(49.6), 2),
    ]
    assert {(entry["metric"], entry["unit"]) for entry in found} == {("supernet_perplexity", "")}


def test_pages_escape_what_comes_from_runs(runs: Path, tmp_path: Path) -> None:
    page = board(runs, tmp_path / "board.html", "--metric", "*")
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert page.count("<script") == 1 and "http" not in page.partition("<tbody>")[0]
    assert "experiment=<wbr>drnas/<wbr>nas_<wbr>bench_<wbr>201" in page
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
        ([__file__], ["test_leaderboard.py: is a file"]),
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
    assert [path.name for path in find_finished_runs([str(runs), str(runs / "0")])] == ["0", "1", "2", "3"]
