"""Tests of the table of ``make bench``: ratios of paired runs, failures, and its place in BENCHMARKS.md."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tools import authors_step, bench


def row() -> bench.Row:
    found = bench.Row("darts", "nas_bench_201", 64)
    for authors, plain, fast in ((4.0, 2.0, 1.0), (9.0, 3.0, 2.0), (2.0, 1.0, 1.0)):
        found.add("authors", {"step_seconds": authors, "peak_memory_bytes": 2**30})
        found.add("plain", {"step_seconds": plain, "peak_memory_bytes": 2**30, "search_seconds": 14.0, "steps": 6})
        found.add("fast", {"step_seconds": fast, "peak_memory_bytes": 2**29, "search_seconds": 14.0, "steps": 6})
    return found


def test_ratios_are_medians_of_pairs_and_not_ratios_of_medians() -> None:
    header, _, line = (text.strip("| ").split(" | ") for text in bench.table([row()], ["authors", "plain", "fast"]))
    cells = dict(zip(header, line, strict=True))
    assert cells["authors, s"] == "4.00" and cells["fast, s"] == "1.00"
    assert cells["authors / plain"] == "2.00" and cells["plain / fast"] == "1.50"
    assert cells["authors / fast"] == "4.00", "of 4, 4.5 and 2"
    assert cells["images a second, fast"] == "128" and cells["MiB, fast"] == "512"


def test_compilation_is_the_time_beyond_the_steps_of_both_variants() -> None:
    found = row()
    found.add("compiled", {"step_seconds": 0.5, "peak_memory_bytes": 2**29, "search_seconds": 63.0, "steps": 6})
    assert found.compile_seconds() == 60.0 - 8.0
    assert bench.table([found], ["fast", "compiled"])[2].endswith("| 52 |")


def test_failed_run_is_a_dash_and_a_reason() -> None:
    found = bench.Row("darts", "darts", 16)
    found.add("authors", {"failed": ["no program"]})
    assert found.failed == {"authors": "['no program']"}
    assert " - " in bench.table([found], ["authors", "fast"])[2]


def test_numbers_of_a_column_have_the_same_decimals() -> None:
    short = bench.Row("gdas", "darts", 64)
    short.add("plain", {"step_seconds": 0.0512, "peak_memory_bytes": 2**30})
    short.add("fast", {"step_seconds": 0.2, "peak_memory_bytes": 2**30})
    lines = bench.table([row(), short], ["plain", "fast"])[2:]
    assert [line.split(" | ")[3:5] for line in lines] == [["2.0000", "1.00"], ["0.0512", "0.20"]]


def test_authors_step_has_a_time_limit(tmp_path: Path) -> None:
    found = bench.measure_authors(tmp_path, bench.Row("darts", "darts", 16), 1, None, seconds=0.01)
    assert found == {"failed": ["stopped after 0 s"]}


def test_table_replaces_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "BENCHMARKS.md"
    page.write_text(f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n")
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    for number in ("1", "2"):
        bench.write([f"| {number} |"], "make bench", 3, None)
    text = page.read_text()
    assert text.startswith(f"before\n{bench.BEGIN}\n") and text.endswith(f"\n| 2 |\n{bench.END}\nafter\n")
    assert "old" not in text and "| 1 |" not in text and "3 rounds: `make bench`" in text


def test_default_methods_are_those_that_train_a_supernet() -> None:
    methods = bench.DEFAULTS["method"].split(",")
    assert {"darts", "darts_2nd", "gaea_pc_darts", "rsps", "tangle_nas"} <= set(methods)
    assert not {"bananas", "nsga2", "te_nas", "random_search", "tas"} & set(methods)


def test_interrupted_measurement_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "BENCHMARKS.md"
    page.write_text(f"{bench.BEGIN}\n{bench.END}\n")
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    measured: list[str] = []

    def measure(overrides: dict[str, str], steps: int, seconds: float | None) -> dict[str, float]:
        measured.append(f"{overrides['method']} {overrides['compile']}")
        if overrides["method"] == "snas":
            raise KeyboardInterrupt
        return {"step_seconds": 0.5, "peak_memory_bytes": 2**30}

    monkeypatch.setattr(bench, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        bench.main(["--write", "--compiled", "gdas", "method=gdas,darts,snas", "space=darts"])
    assert measured == ["gdas false", "gdas false", "gdas true", "darts false", "darts false", "snas false"]
    lines = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    assert [line.split("|")[1].strip() for line in lines] == ["`gdas`", "`darts`", "`snas`"]
    assert lines[0].count("0.50") == 3 and lines[1].count("0.50") == 2 and "0.50" not in lines[2]


def test_page_has_a_place_for_the_table() -> None:
    text = (Path(__file__).parents[2] / "BENCHMARKS.md").read_text()
    assert text.count(bench.BEGIN) == text.count(bench.END) == 1


@pytest.mark.parametrize("wrong", ["darts", "--variants=quick"])
def test_wrong_arguments(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.parse_arguments([wrong])
    assert ended.value.code == 2 and "neither an option" in capsys.readouterr().err


def test_authors_modules_get_their_replacements(tmp_path: Path) -> None:
    text = "raise SystemExit\ndef train(x):\n    return args.name, dict(async=True), x.data[0]\n"
    (tmp_path / "script.py").write_text(text)
    train = authors_step.function_of(tmp_path / "script.py", "train", args=authors_step.options(name="n"))
    x = torch.ones(2, requires_grad=True)
    name, options, data = train(x)
    assert (name, options) == ("n", {"non_blocking": True}) and torch.equal(data, x) and not data.requires_grad


def test_batches_measure_the_time_between_them() -> None:
    batches = authors_step.Batches(3, 4, pairs=True)
    shapes = [[tuple(t.shape) for t in batch] for batch in batches]
    assert shapes == [[(4, 3, 32, 32), (4,), (4, 3, 32, 32), (4,)]] * 3
    assert len(batches.seconds) == 3 and all(0 <= value < 10 for value in batches.seconds)
