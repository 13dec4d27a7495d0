"""Command ``report`` on several runs: groups, tests, ranks, sweeps, seeds and repetitions."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from nas.cli.commands.leaderboard.finished_runs import RunRecord, find_finished_runs
from nas.cli.commands.report import command
from nas.cli.commands.report.find_runs import find_runs
from nas.utils.errors import NasError
from tests.support.report_tools import Page, deny_access, extended_run, write_lines


@pytest.fixture(scope="module")
def sweep(short_search: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sweep of two methods over six seeds, with an empty job, and a job that failed."""
    target = tmp_path_factory.mktemp("sweep")
    for number in range(12):
        method, seed = ("gdas", "setn")[number // 6], number % 6
        accuracy = 90 + seed / 10 + (2 + seed if method == "setn" else 0)
        extended_run(
            short_search,
            target / str(number),
            2,
            seed,
            method=method,
            val_accuracy=accuracy,
            **{"benchmark/test": None},
        )
    (target / "12").mkdir()
    (target / "13").mkdir()
    (target / "13" / "failure.txt").write_text("method=x: unknown.\n")
    (target / "multirun.yaml").write_text("hydra: {}\n")
    return target


@pytest.fixture(scope="module")
def page(sweep: Path) -> Page:
    """Return the page that compares the jobs of the sweep."""
    assert command.main([str(sweep), "--output", str(sweep / "page.html")]) == 0
    return Page(sweep / "page.html")


def test_table_has_mean_and_deviation_over_seeds(page: Page) -> None:
    values = [90 + seed / 10 for seed in range(6)]
    assert f"gdas 6 {statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}" in page.text.replace("", "")
    assert "Comparison of 14 runs" in page.text


def test_pairs_are_tested_and_ranked(page: Page) -> None:
    # all six differences have the same sign: the exact p-value is 2 / 2^6
    assert "gdas setn 6 -4.5 0.0312 0.0312" in page.text
    assert "By validation accuracy (%) over 6 common seeds" in page.text
    ranks = next(label for label in page.attributes("aria-label") if label.startswith("Mean ranks"))
    assert "setn 1.00, gdas 2.00" in ranks


def test_jobs_without_results_are_named(page: Page) -> None:
    assert "The directory is empty" in page.text and "The run failed: method=x: unknown." in page.text


def test_curves_have_bands(page: Page) -> None:
    assert "Training accuracy (%)" in page.text and "band: minimum to maximum" in page.text
    assert page.open == [] and len(page.attributes("id")) == len(set(page.attributes("id")))


def test_few_pairs_are_not_tested(sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main([str(sweep / str(number)) for number in (0, 1, 1, 6, 7)]) == 0
    page = Page(tmp_path / "report.html")
    assert "Comparison of 4 runs" in page.text
    assert "gdas setn 2 -2.5 no test with fewer than 5 pairs" in page.text


def test_unreadable_job_is_named(sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    deny_access(monkeypatch, sweep / "12")
    assert find_runs([str(sweep)])[12:] == [sweep / "12", sweep / "13"]
    runs = [str(sweep / number) for number in ("0", "12")]
    assert command.main(runs) == 0
    text = Page(tmp_path / "report.html").text
    assert "The directory cannot be read: " in text and "Permission denied" in text
    assert [path.name for path in find_finished_runs(runs)] == ["0", "12"]
    with pytest.raises(NasError, match="12 cannot be read: .*Permission denied"):
        RunRecord.read(sweep / "12")


def test_only_path_that_is_unreadable_is_refused(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deny_access(monkeypatch, sweep / "12")
    assert command.main([str(sweep / "12")]) == 1
    assert capsys.readouterr().err.startswith(f"error: report {sweep / '12'}: cannot be read (")
    assert command.main([str(sweep / "0"), "--output", str(sweep / "12" / "page.html")]) == 1
    assert "page.html: cannot be written (" in capsys.readouterr().err


def test_searches_of_a_run_with_seeds_are_its_runs(short_search: Path, tmp_path: Path) -> None:
    source = tmp_path / "run"
    (source / ".hydra").mkdir(parents=True)
    for seed in (1, 2):
        extended_run(short_search, source / f"seed_{seed}", 2, seed)
    assert command.main([str(source), "--output", str(tmp_path / "page.html")]) == 0
    assert "Comparison of 2 runs" in Page(tmp_path / "page.html").text


def test_options_that_differ_make_groups(short_search: Path, tmp_path: Path) -> None:
    for channels in (4, 8):
        source = extended_run(short_search, tmp_path / str(channels), 2, channels)
        overrides = source / ".hydra" / "overrides.yaml"
        overrides.write_text(overrides.read_text().replace("space.channels=4", f"space.channels={channels}"))
    assert command.main([*map(str, (tmp_path / "4", tmp_path / "8")), "--output", str(tmp_path / "page.html")]) == 0
    page = Page(tmp_path / "page.html")
    assert "gdas, space.channels=4 1" in page.text and "gdas, space.channels=8 1" in page.text


def test_repetitions_of_black_box_searches_count_as_seeds(tmp_path: Path) -> None:
    for name, gain in (("random_search", 0.0), ("local_search", 1.0)):
        (tmp_path / name).mkdir()
        rows = [
            {"repetition": seed, "seed": seed, "genotype": "", "value": 90.0 + seed + gain, "cifar10/test": 91.0 + gain}
            for seed in range(5)
        ]
        write_lines(tmp_path / name / "repetitions.jsonl", rows)
        values = {"mode": "search", "method": name, "space": "nas_bench_201", "value_of": "accuracy", "repetitions": 5}
        (tmp_path / name / "summary.json").write_text(json.dumps(values))
        points = "".join(f"value,{n},{90 + n},0,{89 + n},{91 + n}\n" for n in (1, 2, 3))
        (tmp_path / name / "anytime.csv").write_text("name,queries,mean,std,low,high\n" + points)
    runs = [str(tmp_path / name) for name in ("random_search", "local_search")]
    assert command.main([*runs, "--output", str(tmp_path / "page.html")]) == 0
    page = Page(tmp_path / "page.html")
    assert "random_search 5 91.00 ± 0.00 92.00 ± 1.58" in page.text
    assert "random_search local_search 5 -1 0.0625 0.0625" in page.text
    assert command.main(runs[:1]) == 0
    assert "Mean over 5 repetitions" in Page(tmp_path / "random_search" / "report.html").text
