"""Names of genotypes in the names of runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.cli.run_dir.genotype_name import genotype_name, source_run
from nas.spaces.genotype_file import find_published, load_genotype, save_genotype
from tests.support.error_tools import NB201


def name_of(source: str | Path) -> str:
    return genotype_name(str(source), load_genotype(source), find_published(source))


def test_published_name_names_a_genotype() -> None:
    assert name_of("noisy_darts_a") == "noisy_darts_a"


def test_search_names_its_genotype(tmp_path: Path) -> None:
    run = tmp_path / "12-30-00"
    (run / ".hydra").mkdir(parents=True)
    save_genotype(load_genotype(NB201), run / "genotype.json")
    assert name_of(run) == "12-30-00", "an unfinished search has no summary yet"
    for damaged in ("{", "[]", '{"method": "x"}'):
        (run / "summary.json").write_text(damaged)
        assert name_of(run) == "12-30-00"
    (run / "summary.json").write_text(json.dumps({"method": "a b/c", "space": "s", "dataset": "d", "seed": 3}))
    assert name_of(run) == name_of(run / "genotype.json") == "a_b_c-s-d-s3"
    assert source_run(str(run)) == source_run(str(run / "genotype.json")) == run
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").touch()
    assert source_run(str(run / "checkpoints" / "last.ckpt")) == run


def test_hash_distinguishes_genotypes_without_a_name(tmp_path: Path) -> None:
    other = (
        NB201.replace("skip_connect", "none", 1) if "skip_connect" in NB201 else NB201.replace("none", "skip_connect")
    )
    first, second = name_of(NB201), name_of(other)
    assert first != second and first == name_of(f" {NB201}") and first.startswith("nas_bench_201-")
    file = tmp_path / "my best cell.json"
    save_genotype(load_genotype(NB201), file)
    assert name_of(file) == "my_best_cell-" + first.rpartition("-")[2]
    save_genotype(load_genotype(NB201), tmp_path / "genotype.json")
    assert name_of(tmp_path / "genotype.json") == first and source_run(str(file)) is None


@pytest.mark.parametrize("source", [NB201, "x" * 5000, "absent/genotype.json", ""])
def test_source_without_a_run(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_run(source) is None
