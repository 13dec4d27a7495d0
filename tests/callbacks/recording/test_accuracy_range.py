"""Accuracy range of a search: equal searches with and without it, resume, recomputation, methods without it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from nas.benchmarks.accuracy_range import read_ranges
from nas.benchmarks.find import open_table
from nas.callbacks.recording.accuracy_range import AccuracyRangeRecorder, check_search, open_query, sampled_ranges
from nas.callbacks.recording.alphas import recorded_distribution
from nas.relaxations.distribution import Distribution
from nas.relaxations.softmax import Softmax
from nas.relaxations.uniform import Uniform
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.support.compose_tools import lines, script, succeeded
from tests.support.error_tools import SEARCH, run, unfinished
from tests.support.means_table import write_means_table
from tests.support.resume_tools import assert_equal, checkpoint
from tests.support.search_tools import weight_step

FILES = ("accuracy_range.csv", "accuracy_range.png")
QUIET = ("~callbacks.cell_plots", "~callbacks.compile", "trainer.limit_val_batches=0")
DRNAS = (*SEARCH, *QUIET, "method=drnas", "+method.relaxation.init_std=1.0", "seed=3")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a table of random accuracies."""
    return write_means_table(tmp_path_factory.mktemp("table") / "means.parquet").parent


@pytest.fixture(scope="module")
def searched(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Return equal searches of one epoch, with and without the callback."""
    folder = tmp_path_factory.mktemp("searched")
    options = (*DRNAS, f"paths.benchmark={table}")
    run("search", *options, "callbacks=accuracy_range", f"hydra.run.dir={folder / 'with'}").succeeded()
    run("search", *options, f"hydra.run.dir={folder / 'without'}").succeeded()
    yield folder / "with", folder / "without"


def test_search_is_not_influenced(searched: tuple[Path, Path]) -> None:
    recorded, plain = searched
    for name in ("alphas.jsonl", "genotype.json"):
        assert (recorded / name).read_bytes() == (plain / name).read_bytes()
    one, other = checkpoint(recorded), checkpoint(plain)
    for key in ("state_dict", "optimizer_states", "search"):
        assert_equal(one[key], other[key], key)
    assert not (plain / FILES[0]).exists()


def test_files_and_metrics(searched: tuple[Path, Path], table: Path) -> None:
    found, benchmark = read_ranges(searched[0] / FILES[0]), open_table(table / "means.parquet")
    assert [(line.epoch, line.dataset) for line in found] == [(0, d) for d in ("cifar10", "cifar100", "imagenet16_120")]
    (epoch,) = lines(searched[0] / "history.jsonl")
    with (searched[0] / "metrics.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if row.get("accuracy_range/cifar10_mode")]
    for line in found:
        assert line.mode == pytest.approx(
            benchmark.accuracy(epoch["genotype"], line.dataset, "test", 200, "mean"), abs=1e-4
        )
        assert line.minimum < line.mean < line.maximum <= line.optimum and line.samples == 100
        for name in ("minimum", "mean", "maximum", "mode"):
            assert float(row[f"accuracy_range/{line.dataset}_{name}"]) == pytest.approx(getattr(line, name), rel=1e-5)
    assert (searched[0] / FILES[1]).read_bytes().startswith(b"\x89PNG")


def test_resumed_search_repeats_no_epoch(searched: tuple[Path, Path], tmp_path: Path) -> None:
    broken = unfinished(searched[0], tmp_path / "broken")
    before = (broken / FILES[0]).read_text()
    (broken / FILES[0]).write_text(before + before.splitlines()[1].replace("0,", "1,", 1) + "\n1,cifar")
    run("search", f"ckpt_path={broken}").succeeded()
    found = (broken / FILES[0]).read_text()
    assert found.startswith(before) and [line.epoch for line in read_ranges(broken / FILES[0])] == [0, 0, 0, 1, 1, 1]
    run("search", "accuracy-range", broken, "--overwrite").succeeded()
    assert (broken / FILES[0]).read_text() == found


def test_command_writes_the_files_again(searched: tuple[Path, Path], tmp_path: Path) -> None:
    recorded = searched[0]
    copy = shutil.copytree(searched[1], tmp_path / "run")
    done = run("search", "accuracy-range", copy)
    done.succeeded()
    for name in FILES:
        assert (copy / name).read_bytes() == (recorded / name).read_bytes(), name
        assert str(copy / name) in done.said
    run("search", "accuracy-range", copy).refused("accuracy_range.csv exists", "--overwrite")
    run("search", "accuracy-range", copy, "--overwrite", "--samples", "7", "--seed", "1").succeeded()
    assert {line.samples for line in read_ranges(copy / FILES[0])} == {7}
    run("search", "accuracy-range", tmp_path).refused("has no alphas.jsonl")
    broken: dict[str, Any] = {**json.loads((copy / "alphas.jsonl").read_text()), "concentration": {}}
    (copy / "alphas.jsonl").write_text(json.dumps(broken) + "\n")
    run("search", "accuracy-range", copy, "--overwrite").refused("epoch 0 has no distribution over 6 edges and 5 ops")
    for tables in ({"cell": [[-1.0]]}, {"a": [[0.5]], "b": [[0.5]]}):
        with pytest.raises(NasError, match="epoch 0 has no distribution over 1 edges and 1 ops"):
            recorded_distribution({**broken, "concentration": tables}, (1, 1))


@pytest.mark.slow
def test_two_ranks_record_the_ranges_of_one(table: Path, tmp_path: Path) -> None:
    options = (*DRNAS, "epochs=2", "callbacks=accuracy_range", f"paths.benchmark={table}")
    fixed = "method.arch_step.optimizer.lr=1e-30"  # equal alphas, whatever the batches
    one, two, trained = (tmp_path / name for name in ("one", "two", "trained"))
    run("search", *options, fixed, f"hydra.run.dir={one}").succeeded()
    for directory, option in ((two, fixed), (trained, "method.arch_step.optimizer.lr=0.1")):
        succeeded(script("search", *options, option, "trainer=ddp_cpu", f"hydra.run.dir={directory}", cwd=tmp_path))
    assert (two / FILES[0]).read_bytes() == (one / FILES[0]).read_bytes()
    assert (two / FILES[1]).is_file()
    assert _logged(two) == _logged(one) and len(_logged(one)) == 2

    copy = shutil.copytree(trained, tmp_path / "copy", ignore=shutil.ignore_patterns(*FILES))
    run("search", "accuracy-range", copy).succeeded()
    assert (copy / FILES[0]).read_bytes() == (trained / FILES[0]).read_bytes() != (one / FILES[0]).read_bytes()


def _logged(directory: Path) -> list[dict[str, str]]:
    """Return the accuracy ranges of each epoch in metrics.csv."""
    with (directory / "metrics.csv").open() as file:
        rows = [{k: v for k, v in row.items() if k.startswith("accuracy_range/")} for row in csv.DictReader(file)]
    return [row for row in rows if any(row.values())]


@pytest.mark.parametrize(
    ("option", "phrase"),
    [
        ("method=fair_darts", "method=fair_darts learns no distribution of ops (relaxation Sigmoid). Use another"),
        ("callbacks.accuracy_range.root=none", "no table of NAS-Bench-201 found. Set paths.benchmark=DIR"),
    ],
    ids=["gates", "table"],
)
def test_search_is_refused(option: str, phrase: str, tmp_path: Path) -> None:
    run("search", *SEARCH, *QUIET, "callbacks=accuracy_range", option, f"hydra.run.dir={tmp_path / 'run'}").refused(
        phrase
    )


def test_check_search_refuses_other_searches() -> None:
    bench, shape = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1), (3, 8, 8)
    check_search(GradientSearch(bench, Softmax, weight_step()))
    check_search(GradientSearch(NatsSize(shape, 10), Softmax, weight_step()))
    for module, phrase in (
        (GradientSearch(bench, Uniform, weight_step()), r"\(relaxation Uniform\)"),
        (GradientSearch(Darts(shape, 10, channels=2, layers=3), Softmax, weight_step()), "no tabular benchmark"),
        (GradientSearch(NatsSize(shape, 10, widths=[2, 4]), Softmax, weight_step()), "other ops than the size space"),
        (pl.LightningModule(), "method=LightningModule learns no distribution of ops"),
    ):
        with pytest.raises(NasError, match=phrase):
            check_search(module)
    with pytest.raises(NasError, match="samples=0"):
        AccuracyRangeRecorder("", "", samples=0)


def test_epochs_and_seeds_have_their_own_samples(table: Path) -> None:
    query = open_query(table, "nas_bench_201")
    distribution = Distribution("categorical", {"cell": torch.ones(6, 5, dtype=torch.float64)})
    found = [sampled_ranges(query, distribution, *pair) for pair in ((0, 50, 0), (0, 50, 0), (1, 50, 0), (0, 50, 1))]
    means = [lines[0].mean for lines in found]
    assert found[0] == found[1] and len(set(means)) == 3
