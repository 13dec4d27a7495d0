"""Command ``report`` on one run: content of the page, escaping, damaged and unfinished runs, mistakes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from nas.cli.commands.report import command
from nas.cli.commands.report.read_lines import metric_curves
from nas.cli.commands.report.read_run import read_run
from nas.report import facts
from nas.report.architecture import timelines
from nas.report.curves import metric_charts
from nas.report.run import Run
from tests.support.error_tools import run
from tests.support.report_tools import BEST, Page, change_summary, extended_run, write_lines

HOSTILE = '</title><script>alert(1)</script><img src=x onerror="alert(2)">'


@pytest.fixture(scope="module")
def search(short_search: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a search of four epochs with benchmark accuracies and ranges of sampled architectures."""
    target = extended_run(short_search, tmp_path_factory.mktemp("report") / "run")
    rows = [f"{epoch},cifar100,{60 + epoch},70,72,73.5" for epoch in range(4)]
    lines = ["epoch,dataset,minimum,mode,maximum,optimum", *rows]
    (target / "accuracy_range.csv").write_text("\n".join(lines) + "\n")
    return target


@pytest.fixture(scope="module")
def page(search: Path) -> Page:
    """Return the page of this search, made by search.py."""
    run("search", "report", search).succeeded()
    return Page(search / "report.html")


def test_page_shows_what_was_run(page: Page, search: Path) -> None:
    summary = json.loads((search / "summary.json").read_text())
    for text in (summary["command"], summary["genotype"], summary["versions"]["torch"], summary["device"], "finished"):
        assert " ".join(text.split()) in page.text
    assert "space.channels 4 16" in page.text  # option, value, default
    assert f"{summary['parameters'] / 1e6:.3f} M" in page.text
    assert f"python train.py genotype={search} hydra.run.dir={search}-train" in page.text
    assert f"python train.py mode=export weights={search}-train" in page.text


def test_page_shows_all_charts(page: Page) -> None:
    titles = ("Loss", "Benchmark accuracy, test (%)", "Sampled architectures, cifar100 (%)", "Ops of the genotype (%)")
    for title in (*titles, "Op scores (%)", "Timeline of the genotype: cell", "Entropy of the edges (nats)"):
        assert title in page.text
    assert f"best of the benchmark {BEST} (dashed)" in page.text and "best of the benchmark 73.50" in page.text
    assert page.count("svg", "cell") == 4 and page.count("div", "picture") == 4
    assert page.attributes("data-label") == [f"epoch {epoch}" for epoch in (1, 2, 3, 4)]
    assert "skip_​connect" in page.text.replace(" ", "")  # the head of the table of scores


def test_page_is_self_contained_and_valid(page: Page) -> None:
    assert page.open == [], "elements that are not closed"
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    links = [*page.attributes("src"), *page.attributes("href"), *page.attributes("xlink:href")]
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert page.source.count("url(") == page.source.count("url(#")
    assert page.count("script") == 1 and page.count("link") == page.count("img") == 0
    pictures = [found for tag, found in page.elements if tag == "svg"]
    assert pictures and all(found["role"] == "img" and found["aria-label"] for found in pictures)


def test_page_is_not_overwritten_by_default(page: Page, search: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(search)]) == 1
    assert capsys.readouterr().err == (
        f"error: --output={search / 'report.html'}: exists already. Add --overwrite, or give another file.\n"
    )


def test_link_is_not_replaced(search: Path, tmp_path: Path) -> None:
    for name, target in {"dangling": tmp_path / "absent", "loop": tmp_path / "loop"}.items():
        link = tmp_path / name
        link.symlink_to(target)
        run("search", "report", search, "--output", link).refused(f"--output={link}: exists already. Add --overwrite")
        assert link.is_symlink() and not (tmp_path / "absent").exists()


def test_text_of_a_run_is_escaped(search: Path, tmp_path: Path) -> None:
    source = shutil.copytree(search, tmp_path / "a<script>b")
    (source / "report.html").unlink(missing_ok=True)
    change_summary(source, **dict.fromkeys(("command", "method", "commit", "benchmark_of", "network_size"), HOSTILE))
    change_summary(source, versions={HOSTILE: HOSTILE}, table={HOSTILE: {"mean": 1.0, "n": HOSTILE}})
    lines = [json.loads(line) for line in (source / "history.jsonl").read_text().splitlines()]
    odd = {HOSTILE: 1.0, "genotype": HOSTILE, "$x^{$": 2.0, "ops": {HOSTILE: 3}}
    write_lines(source / "history.jsonl", [*lines, {**lines[0], **odd, "epoch": 4}])
    write_lines(source / "alphas.jsonl", [{"epoch": 0, "scores": {HOSTILE: [[0.5, 0.5]]}}])
    (source / "accuracy_range.csv").write_text(f'epoch,dataset,minimum,mode,maximum\n0,"{HOSTILE}",1,2,3\n')
    (source / "failure.txt").write_text(f"{HOSTILE}\n")
    (source / ".hydra" / "overrides.yaml").write_text(f"- '+x={HOSTILE}'\n- '{HOSTILE}'\n")
    assert command.main([str(source)]) == 0
    page = Page(source / "report.html")
    assert page.open == [] and page.count("script") == 1 and page.count("img") == 0
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") > 8


def test_damaged_run_shows_the_rest(search: Path, tmp_path: Path) -> None:
    source = shutil.copytree(search, tmp_path / "run", ignore=shutil.ignore_patterns("report.html", "summary.json"))
    history = (source / "history.jsonl").read_text().splitlines(keepends=True)
    (source / "history.jsonl").write_text("".join([history[0], "no JSON\n", history[1], '{"epoch": "x"}\n', '{"epo']))
    (source / "genotype.json").write_text("{")
    (source / "alphas.jsonl").write_text('{"epoch": 0, "scores": {"cell": [[0.1], [0.1, 0.2]]}}\n')
    (source / "accuracy_range.csv").write_text("epoch,dataset,minimum,mode,maximum\n0,cifar10,1,2,nan\n0,cifar10,1")
    (source / ".hydra" / "config.yaml").write_text("x: [\n")
    (source / ".hydra" / "hydra.yaml").unlink()
    assert command.main([str(source)]) == 0
    page = Page(source / "report.html")
    for text in (
        "unfinished",
        "summary.json is missing",
        "history.jsonl: damaged lines are left out: 2.",
        "history.jsonl: the last line is cut off",
        f"python search.py ckpt_path={source}",
        "genotype.json: the file",
        "accuracy_range.csv: the last row is cut off",
        ".hydra/hydra.yaml is missing",
        "Timeline of the genotype: cell",
    ):
        assert text in page.text
    assert page.count("div", "picture") == 2 and "Sampled architectures" not in page.text


def test_failed_run_without_results_and_empty_directory_have_pages(tmp_path: Path) -> None:
    failed, empty = tmp_path / "failed", tmp_path / "empty"
    failed.mkdir()
    empty.mkdir()
    (failed / "failure.txt").write_text("seed=x: not a number.\n\nTraceback\n")
    assert command.main([str(failed)]) == 0 and command.main([str(empty)]) == 0
    text = Page(failed / "report.html").text
    assert "The run failed: seed=x: not a number." in text and "Traceback" not in text
    assert command.main([str(empty), "--output", str(failed / "report.html"), "--overwrite"]) == 0
    assert "The directory is empty" in Page(failed / "report.html").text
    assert "The directory is empty" in Page(empty / "report.html").text


def test_user_error_at_the_end_of_the_log_is_shown(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- seed=x\n")
    (tmp_path / "search.log").write_text("run            a\nerror: seed=x: not a number. Fix.\n")
    assert command.main([str(tmp_path)]) == 0
    page = Page(tmp_path / "report.html")
    assert "The run failed: seed=x: not a number. Fix." in page.text and "Commands" not in page.text
    (tmp_path / "search.log").write_text("error: seed=x: not a number.\nrun            a\n")
    assert read_run(tmp_path, "run", detailed=False).status == "unfinished"
    (tmp_path / "search.log").write_text("error: interrupted: the last epoch is kept. To resume, run nas-search\n")
    assert read_run(tmp_path, "run", detailed=False).status == "unfinished"


def test_failure_before_the_results_is_ignored(search: Path, tmp_path: Path) -> None:
    source = shutil.copytree(search, tmp_path / "run")
    (source / "failure.txt").write_text("an error of an earlier attempt")
    assert read_run(source, "run", detailed=False).status == "failed"
    os.utime(source / "failure.txt", (0, 0))
    found = read_run(source, "run", detailed=False)
    assert (found.status, found.failure) == ("finished", "")


def test_time_beyond_any_date_is_left_out(search: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory file systems store any time that a wrong clock or another program has set."""
    shutil.copytree(search, tmp_path / "run")
    status = os.stat_result((0o100644, 1, 1, 1, 0, 0, 10, 10**12, 10**12, 10**12))
    stat = Path.stat
    monkeypatch.setattr(
        Path, "stat", lambda path, **options: status if path.name == "history.jsonl" else stat(path, **options)
    )
    found = read_run(tmp_path / "run", "run")
    assert found.started is not None and found.ended is None and found.status == "finished"


def test_lone_surrogates_are_replaced(tmp_path: Path) -> None:
    source = tmp_path / "a\udcff"
    source.mkdir()
    values = {"mode": "search", "method": "\ud800", "seed": 1, "val_accuracy": 50}
    (source / "summary.json").write_text(json.dumps(values))
    shutil.copytree(source, tmp_path / "b")
    assert command.main([str(source)]) == 0
    assert "Search: \N{REPLACEMENT CHARACTER}, seed 1" in Page(source / "report.html").text
    assert command.main([str(source), str(tmp_path / "b"), "--output", str(tmp_path / "page.html")]) == 0


def test_ops_of_a_genotype_without_counts_have_colors(search: Path, tmp_path: Path) -> None:
    source = shutil.copytree(search, tmp_path / "run", ignore=shutil.ignore_patterns(".hydra"))
    history = [json.loads(line) for line in (source / "history.jsonl").read_text().splitlines()]
    write_lines(source / "history.jsonl", [{key: line[key] for key in ("epoch", "genotype")} for line in history])
    assert timelines(read_run(source, "run"))
    write_lines(source / "history.jsonl", [{**history[0], "ops": {50 * "x": 6}}])  # a name that is cut
    assert timelines(read_run(source, "run"))


def test_training_has_a_page(small_training: Path, tmp_path: Path) -> None:
    assert command.main([str(small_training), "--output", str(tmp_path / "page.html")]) == 0
    page = Page(tmp_path / "page.html")
    summary = json.loads((small_training / "summary.json").read_text())
    assert f"test accuracy {summary['test_accuracy']:.2f} %" in page.text and "Accuracy (%)" in page.text
    assert f"python train.py mode=eval weights={small_training}" in page.text
    assert page.count("svg", "cell") == 1


def test_text_run_is_read_by_its_perplexity() -> None:
    rows = [
        {"epoch": str(epoch), "step": "9", "train/perplexity": train, "val/perplexity": train, "test/perplexity": test}
        for epoch, train, test in ((0, "60", ""), (1, "40", ""), (2, "", "30"))
    ]
    epochs, _ = metric_curves(rows)
    assert epochs["test/perplexity"] == ([2.0], [30.0]), "the test is shown at the last epoch"
    run = Run("run", "train", "finished", {"mode": "train", "test_perplexity": 30.0}, epochs=epochs)
    assert [text for name, text in facts.results(run)] == ["30.00"]
    assert [found.purpose for found in facts.commands(run)] == ["Evaluate the trained network"]
    assert [chart.title for chart in metric_charts(run)] == ["Perplexity"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["missing"], "report missing: does not exist."),
        (["file.txt"], "report file.txt: is a file."),
        (["docs"], "report docs: is not a run directory and contains none."),
        (["empty", "--output", "no/page.html"], "--output=no/page.html: there is no directory no."),
        (["empty", "--output", "docs"], "--output=docs: exists already."),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("file.txt", "docs/page.md"):
        (tmp_path / name).write_text("text")
    assert command.main(arguments) == 1
    output = capsys.readouterr()
    assert output.err.startswith(f"error: {problem}") and output.err.count("\n") == 1 and not output.out
