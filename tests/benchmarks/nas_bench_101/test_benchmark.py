"""Conversion of NAS-Bench-101 and queries of its table."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from nas import benchmarks
from nas.architecture.cell import Genotype
from nas.benchmarks.convert import convert
from nas.benchmarks.nas_bench_101 import benchmark
from nas.benchmarks.nas_bench_101 import convert as nas_bench_101
from nas.benchmarks.nas_bench_101.benchmark import NasBench101
from nas.benchmarks.nas_bench_101.convert import decode_graph, encode_graph
from nas.benchmarks.nas_bench_101.records import decode, masked_checksum
from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.cli.commands.convert import main
from nas.spaces.nas_bench_101.graph import prune
from nas.spaces.nas_bench_101.notation import to_genotype, to_graph
from nas.spaces.nas_bench_101.space import NasBench101 as Space
from nas.utils.errors import NasError
from tests.support.compose_tools import lines
from tests.support.error_tools import run
from tests.support.nas_bench_101_tools import EPOCHS, images_of, record, seconds_of, write_file

SPACE = Space((3, 32, 32), 10)
SOURCE = "nasbench_full.tfrecord"


def samples(count: int) -> list[Genotype]:
    """Return the genotypes that random search with seed 0 queries first, without duplicates."""
    rng, found = random.Random(0), {}
    while len(found) < count:
        genotype = SPACE.sample(rng)
        pruned = prune(to_graph(genotype))
        assert pruned is not None
        found.setdefault(pruned, genotype)
    return list(found.values())


GENOTYPES = samples(12)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert a file of twelve cells."""
    directory = tmp_path_factory.mktemp("nb101")
    write_file(directory / SOURCE, map(to_graph, GENOTYPES))
    convert(directory / SOURCE, directory / "nas_bench_101.parquet", partial=True)
    return directory


@pytest.fixture
def table(root: Path) -> NasBench101:
    found = benchmarks.find_table(root, "nas_bench_101")
    assert isinstance(found, NasBench101) and len(found) == 12
    return found


def name_of(table: NasBench101, genotype: Genotype) -> str:
    return bytes(table._architectures[table.row(genotype)]).hex()


def test_table_equals_the_records(table: NasBench101) -> None:
    for genotype in GENOTYPES:
        name = name_of(table, genotype)
        for epochs in EPOCHS:
            for split in ("train", "valid", "test"):
                expected = [images_of(name, epochs, repeat, split) / 100 for repeat in range(3)]
                query = (genotype, "cifar10", split, epochs)
                assert table.accuracy(*query, "each") == pytest.approx(expected)
                assert table.accuracy(*query, "mean") == pytest.approx(sum(expected) / 3)
                assert table.accuracy(*query, 2) == pytest.approx(expected[2])
            seconds = sum(seconds_of(name, epochs, repeat) for repeat in range(3)) / 3
            assert table.simulated_seconds(genotype, "cifar10", epochs) == pytest.approx(seconds, rel=1e-6)
        assert table.stored_parameters(genotype) == 300


def test_isomorphic_cells_are_one_architecture(table: NasBench101) -> None:
    for row, genotype in ((table.row(genotype), genotype) for genotype in GENOTYPES):
        native = table.architecture(row)
        assert table.row(native) == table.row(row) == row == table.index(row)
        assert prune(to_graph(table.genotype(native))) is not None
        unused = to_graph(genotype)
        pruned = prune(unused)
        assert pruned is not None and table.row(to_genotype(pruned)) == row


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (("cifar100", "valid", 108, "mean"), "unknown dataset of the benchmark 'cifar100'"),
        (("cifar10", "vald", 108, "mean"), "unknown split of cifar10 'vald'"),
        (("cifar10", "valid", 12, "mean"), "epochs=12: .* has trainings of 4, 108 epochs"),
        (("cifar10", "valid", 108, 3), "seed=3: .* has the mean and each of seed 0, 1, 2"),
    ],
)
def test_table_refuses_what_it_does_not_store(query: Any, problem: str, table: NasBench101) -> None:
    with pytest.raises(NasError, match=problem):
        table.accuracy(GENOTYPES[0], *query)


def test_table_refuses_other_cells(table: NasBench101) -> None:
    with pytest.raises(NasError, match=r"ModelSpec\(.*is not in .* which has 12 of the 423,624"):
        table.row("ModelSpec(matrix=[[0, 1], [0, 0]], ops=['input', 'output'])")
    with pytest.raises(NasError, match="is not in NAS-Bench-101: its input and output are not connected"):
        table.row("ModelSpec(matrix=[[0, 0], [0, 0]], ops=['input', 'output'])")
    with pytest.raises(NasError, match="latency on cifar10"):
        table.latency(GENOTYPES[0], "cifar10")


def test_columns_hold_any_graph() -> None:
    rng = random.Random(5)
    for _ in range(200):
        pruned = prune(to_graph(SPACE.sample(rng)))
        assert pruned is not None and decode_graph(*encode_graph(pruned)) == pruned


def test_masked_checksum_equals_published_value() -> None:
    """CRC-32C of "123456789" is E3069283; a mask rotates it and adds a constant."""
    rotated = (0xE3069283 >> 15 | 0xE3069283 << 17) & 0xFFFFFFFF
    assert masked_checksum(b"123456789") == (rotated + 0xA282EAD8) & 0xFFFFFFFF


def damaged(content: bytes, kind: str) -> bytes:
    if kind == "cut":
        return content[:-5]
    if kind == "length":
        return b"\x01" + content[1:]
    if kind == "json":
        return content + record(b"[1, 2]")
    (length,) = struct.unpack_from("<Q", content)
    name, epochs, adjacency, ops, _ = json.loads(content[12 : 12 + length])
    return record(json.dumps([name, epochs, adjacency, ops, "////"]).encode())


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("cut", "is cut off after"),
        ("length", "is not a TFRecord file, or is damaged after 0 bytes"),
        ("json", "record 7 is damaged"),
        ("metrics", "record 1 is damaged"),
    ],
)
def test_convert_refuses_damaged_files(
    kind: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_file(tmp_path / SOURCE, [to_graph(GENOTYPES[0])])
    (tmp_path / SOURCE).write_bytes(damaged((tmp_path / SOURCE).read_bytes(), kind))
    assert main([str(tmp_path / SOURCE), str(tmp_path / "out.parquet"), "--partial"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and problem in line and not (tmp_path / "out.parquet").exists()


def test_convert_verifies_the_published_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / SOURCE, [to_graph(GENOTYPES[0])])
    with pytest.raises(NasError, match="is not the published file nasbench_full.tfrecord"):
        convert(tmp_path / SOURCE, tmp_path / "out.parquet")
    digest = hashlib.sha256((tmp_path / SOURCE).read_bytes()).hexdigest()
    monkeypatch.setattr(nas_bench_101, "RELEASES", {"nasbench_full": digest})
    assert "1 of 423,624 cells of NAS-Bench-101 (4, 108 epochs, 3 repeats)" in convert(
        tmp_path / SOURCE, tmp_path / "out.parquet"
    )


def test_decode_refuses_other_ops() -> None:
    with pytest.raises(ValueError, match="the ops input,conv9x9,output"):
        decode(json.dumps(["0" * 32, 4, "0" * 9, "input,conv9x9,output", ""]).encode())


def test_search_refuses_a_partial_table_before_it_starts(root: Path, tmp_path: Path) -> None:
    command = ["method=random_search", "evaluator=benchmark", "space=nas_bench_101", "dataset=cifar10"]
    problem = "has 12 of the 423,624 cells of space=nas_bench_101", "Convert the complete file, without --partial."
    run("search", *command, f"paths.benchmark={root}", f"hydra.run.dir={tmp_path}/r").refused(*problem)
    assert not (tmp_path / "r").exists()


def test_black_box_search_reads_the_table(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark._Cells, "size", 12)
    evaluator = BenchmarkQuery(SPACE, root=str(root))
    assert evaluator.label == "cifar10 valid accuracy after 108 epochs (%)"
    assert set(evaluator.best_accuracies()) == {"cifar10/valid", "cifar10/test"}
    command = ["method=random_search", "evaluator=benchmark", "space=nas_bench_101", "dataset=cifar10", "seed=0"]
    options = [f"paths.benchmark={root}", "method.budget.queries=5", "logger=none", "~callbacks.cell_plots"]
    run("search", *command, *options, f"hydra.run.dir={tmp_path / 'run'}").succeeded()
    queries = lines(tmp_path / "run" / "queries.jsonl")
    assert [line["value"] for line in queries] == [evaluator(line["genotype"]).value for line in queries]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["benchmark/valid"] == max(line["value"] for line in queries)
