"""Benchmark accuracies of NAS-Bench-1Shot1 in a table with the cells of subspace 1 alone."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from statistics import fmean

import pytest

from nas import benchmarks
from nas.benchmarks.convert import convert
from nas.benchmarks.nas_bench_101.benchmark import NasBench101
from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.spaces.nas_bench_1shot1.notation import to_graph
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_1shot1.subspaces import build_graph, parent_choices
from nas.spaces.nas_bench_101.graph import OPS, Graph, graph_hash, prune
from nas.spaces.nas_bench_101.notation import format_graph
from nas.utils.errors import NasError
from tests.support.compose_tools import lines
from tests.support.error_tools import TINY, run
from tests.support.nas_bench_101_tools import images_of, write_file

NOTATION = "nas_bench_1shot1"
SPACE = NasBench1Shot1((3, 32, 32), 10)
SMALL = ("space.channels=4", "space.cells_per_stage=1")


def all_cells() -> dict[str, Graph]:
    """Return a cell of each hash of subspace 1, from all choices of parents and ops."""
    found: dict[Graph, None] = {}
    for parents in parent_choices(1):
        for ops in itertools.product(OPS, repeat=4):
            pruned = prune(build_graph(parents, ops))
            assert pruned is not None
            found[pruned] = None
    return {graph_hash(graph): graph for graph in found}


CELLS = all_cells()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("one_shot") / "nas_bench_101"
    directory.mkdir()
    write_file(directory / "nasbench_only108.tfrecord", CELLS.values(), [108])
    convert(directory / "nasbench_only108.tfrecord", directory / "nas_bench_101.parquet", partial=True)
    return directory.parent


def accuracy(name: str, split: str) -> float:
    return fmean(images_of(name, 108, repeat, split) for repeat in range(3)) / 100


def best(split: str) -> float:
    return max(accuracy(name, split) for name in CELLS)


def test_genotypes_have_the_accuracies_of_their_cells(root: Path) -> None:
    table = benchmarks.find_table(root, NOTATION)
    assert isinstance(table, NasBench101)
    rng = random.Random(0)
    for genotype in [SPACE.sample(rng) for _ in range(50)]:
        pruned = prune(to_graph(genotype))
        assert pruned is not None
        expected = pytest.approx(accuracy(graph_hash(pruned), "valid"))
        assert table.accuracy(genotype, "cifar10", "valid", 108, "mean") == expected
        assert table.accuracy(SPACE.native(genotype), "cifar10", "valid", 108, "mean") == expected
        assert table.accuracy(format_graph(to_graph(genotype)), "cifar10", "valid", 108, "mean") == expected
    assert table.params_and_macs(genotype, "cifar10") == SPACE.count(genotype)
    assert len(table.rows(SPACE)) == len(set(table.rows(SPACE).tolist())) == len(table) == len(CELLS)


def test_optimum_is_that_of_the_subspace(root: Path) -> None:
    table = benchmarks.find_benchmark(root, NOTATION)
    assert table is not None
    for split in ("valid", "test"):
        assert table.best_accuracy("cifar10", split, 108, SPACE) == pytest.approx(best(split))
    assert BenchmarkQuery(SPACE, root=str(root)).best_accuracies() == {
        f"cifar10/{split}": pytest.approx(best(split)) for split in ("valid", "test")
    }


def test_other_subspaces_are_refused_before_the_search(root: Path, tmp_path: Path) -> None:
    other = NasBench1Shot1((3, 32, 32), 10, 2, name="nas_bench_1shot1_2")
    with pytest.raises(NasError, match="has 0 of the 7,773 cells of space=nas_bench_1shot1_2"):
        BenchmarkQuery(other, root=str(root))
    table = benchmarks.find_benchmark(root, NOTATION)
    assert table is not None and table.best_accuracy("cifar10", "valid", 108, other) is None
    command = ["method=random_search", "evaluator=benchmark", "space=nas_bench_1shot1_2", "dataset=cifar10"]
    run("search", *command, f"paths.benchmark={root}", f"hydra.run.dir={tmp_path}/r").refused(
        "of the 7,773 cells of space=nas_bench_1shot1_2", "without --partial"
    )
    assert not (tmp_path / "r").exists()


def test_gradient_search_logs_benchmark_and_optimum(root: Path, tmp_path: Path) -> None:
    options = [*TINY, *SMALL, "space=nas_bench_1shot1_1", f"paths.benchmark={root}", "epochs=2"]
    run("search", *options, "method=darts", f"hydra.run.dir={tmp_path}/r").succeeded()
    epochs = lines(tmp_path / "r" / "history.jsonl")
    assert len(epochs) == 2
    for epoch in epochs:
        pruned = prune(to_graph(SPACE.parse(epoch["genotype"])))
        assert pruned is not None
        for split in ("valid", "test"):
            assert epoch[f"benchmark/{split}"] == pytest.approx(accuracy(graph_hash(pruned), split))
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["benchmark_best"] == {
        f"benchmark/{split}": pytest.approx(best(split)) for split in ("valid", "test")
    }
    assert summary["benchmark/test"] == pytest.approx(epochs[-1]["benchmark/test"])


def test_black_box_search_finds_stored_cells(root: Path, tmp_path: Path) -> None:
    command = ["method=regularized_evolution", "evaluator=benchmark", "space=nas_bench_1shot1_1", "dataset=cifar10"]
    options = ["method.budget.queries=150", "logger=none", "~callbacks.cell_plots", f"paths.benchmark={root}"]
    run("search", *command, *options, "seed=0", f"hydra.run.dir={tmp_path}/r").succeeded()
    queries = lines(tmp_path / "r" / "queries.jsonl")
    for query in queries:
        pruned = prune(to_graph(SPACE.parse(query["genotype"])))
        assert pruned is not None
        assert query["value"] == pytest.approx(accuracy(graph_hash(pruned), "valid"))
    assert len(queries) == 150
