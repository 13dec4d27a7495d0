"""The data file of published and measured results, its loader, and the page generated from it."""

from __future__ import annotations

import re
import shlex
from decimal import Decimal
from pathlib import Path

import pytest

from nas.utils.errors import NasError
from nas.zoo.architectures import find_architecture, published_architectures
from nas.zoo.results import load_results, load_sources
from tests.support.compose_tools import CONF, ROOT, composed
from tools.results import PAGE, main, render

RESULTS = load_results()
COMMANDS = sorted({result.command for result in RESULTS if (result.command or "").startswith("nas-")})
GROUPS = {"method", "space", "dataset", "experiment", "protocol", "proxy", "evaluator", "trainer"}
NATIVE = ("|", "Genotype(", "shufflenet:", "mobile:")
ROW = """\
metrics:
  test_accuracy: {title: Test accuracy, unit: '%', direction: higher}
sources:
  a paper: 'Authors, Title, Venue'
results:
- kind: search
  method: gdas
  space: nas_bench_201
  dataset: cifar10
  metric: test_accuracy
  published: {value: 93.60, spread: 0.10, runs: 3, source: a paper}
  ours: {value: 93, interval: [92.5, 94], date: 2026-11-21}
"""


def names(group: str) -> set[str]:
    """Return the choices of a configuration group, those of its folders as folder/name; without shared fragments."""
    files = [path for path in (CONF / group).rglob("*.yaml") if not path.name.startswith("_")]
    return {path.relative_to(CONF / group).with_suffix("").as_posix() for path in files}


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "results.yaml"
    file.write_text(text)
    return file


def overrides(command: str) -> list[str]:
    """Return the overrides of a command; for a sweep those of its first job."""
    words = [word for word in shlex.split(command)[1:] if word != "-m"]
    return [word if "[" in word else word.split(",")[0] for word in words]


def test_load_results_keeps_digits_and_types(tmp_path: Path) -> None:
    (result,) = load_results(written(tmp_path, ROW))
    assert result.published is not None and result.ours is not None
    assert str(result.published.value) == "93.60" and result.published.runs == 3
    assert result.ours.value == Decimal(93) and result.ours.interval == (Decimal("92.5"), Decimal(94))
    assert result.metric.direction == "higher" and result.name == "gdas" and result.command is None
    assert load_sources(tmp_path / "results.yaml") == {"a paper": "Authors, Title, Venue"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  method: gdas", "  methode: gdas", r"results\[0\]: unknown field 'methode'"),
        ("spread: 0.10", "sprad: 0.10", r"results\[0\]\.published: unknown field 'sprad'"),
        ("value: 93.60", "value: high", r"results\[0\]\.published\.value: 'high' is not of type decimal"),
        ("runs: 3", "runs: 3.5", r"published\.runs: Decimal\('3.5'\) is not of type int"),
        ("space: nas_bench_201", "space: 201", r"space: 201 is not of type str"),
        ("  dataset: cifar10\n", "", r"results\[0\]: dataset missing"),
        ("value: 93, ", "", r"results\[0\]\.ours: value missing"),
        ("date: 2026-11-21", "date: yesterday", r"ours\.date: 'yesterday' is not of type date"),
        ("kind: search", "kind: guess", r"kind: unknown name 'guess'. Use search, training, proxy"),
        ("metric: test_accuracy", "metric: accuracy", r"metric: unknown name 'accuracy'"),
        ("source: a paper", "source: another", r"published\.source: unknown name 'another'"),
        ("direction: higher", "direction: up", r"metrics\.test_accuracy\.direction: unknown name 'up'"),
        ("  method: gdas\n", "", "no name. Add method"),
        (
            "  published: {value: 93.60, spread: 0.10, runs: 3, source: a paper}\n",
            "  published: [93.60]\n",
            "not a mapping",
        ),
        ("metrics:", "metric:", "metrics is missing"),
        ("results:\n", "results: [\n", "not valid YAML"),
    ],
)
def test_load_results_refuses_malformed_row(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in ROW
    with pytest.raises(NasError, match=message) as raised:
        load_results(written(tmp_path, ROW.replace(old, new)))
    assert "\n" not in str(raised.value)


def test_load_results_refuses_row_without_figure_and_repeated_row(tmp_path: Path) -> None:
    head, row = ROW.split("results:\n")
    bare = "".join(line for line in row.splitlines(keepends=True) if "value" not in line)
    with pytest.raises(NasError, match="no figure"):
        load_results(written(tmp_path, f"{head}results:\n{bare}"))
    with pytest.raises(NasError, match=r"results\[1\]: repeats results\[0\]"):
        load_results(written(tmp_path, f"{head}results:\n{row}{row}"))


@pytest.mark.parametrize("group", ["method", "proxy", "space", "dataset", "experiment", "protocol"])
def test_results_name_existing_configurations(group: str) -> None:
    found = {getattr(result, group) for result in RESULTS} - {None}
    if group == "dataset":
        found |= {result.search_dataset for result in RESULTS} - {None}
    known = names(group) | ({entry.space for entry in published_architectures()} if group == "space" else set())
    assert found and found <= known, f"{group}: {', '.join(sorted(found - known))}"


def test_results_name_existing_genotypes() -> None:
    given = {result.genotype for result in RESULTS if result.genotype} - {"8:12:16:16:16"}
    assert [name for name in given if not name.startswith(NATIVE) and find_architecture(name) is None] == []


def test_sources_are_all_cited() -> None:
    assert {result.published.source for result in RESULTS if result.published} == set(load_sources())


def test_commands_name_existing_configurations() -> None:
    known = {group: names(group) for group in GROUPS}
    pairs = [word.partition("=") for command in COMMANDS for word in overrides(command)]
    assert [f"{key}={value}" for key, _, value in pairs if key in GROUPS and value not in known[key]] == []


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_compose(command: str, tmp_path: Path) -> None:
    given = [word.replace("=DIR", f"={tmp_path}") for word in overrides(command)]
    quoted = [word if "|" not in word and "(" not in word else word.replace("=", "='", 1) + "'" for word in given]
    with composed(command.split()[0].removeprefix("nas-"), *quoted):
        pass


def test_page_equals_data_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert PAGE == ROOT / "docs" / "results.md"
    assert main(["--check"]) == 0, "run python tools/results.py"
    page = tmp_path / "results.md"
    assert main(["--check"], page) == 1 and "out of date" in capsys.readouterr().err
    assert main([], page) == 0 and main(["--check"], page) == 0
    assert page.read_text() == PAGE.read_text() == render(RESULTS, load_sources())


def test_contents_of_the_page_link_existing_headings() -> None:
    contents, _, page = render(RESULTS, load_sources()).partition("\n## ")
    links = re.findall(r"\[([^]]+)\]\(#([^)]+)\)", contents)
    headings = re.findall(r"^#+ (.+)$", f"## {page}", re.MULTILINE)
    assert len(links) > 20 and {name for name, _ in links} <= set(headings)
    assert ("NAS-Bench-201, CIFAR-10", "nas-bench-201-cifar-10") in links
    assert ("`darts_cifar10`", "darts_cifar10") in links


def test_page_shows_published_beside_ours(tmp_path: Path) -> None:
    file = written(tmp_path, ROW)
    text = render(load_results(file), load_sources(file))
    assert "| `gdas` | 93.60 ± 0.10 (3) | 93 [92.5, 94] | a paper |" in text
    assert "Ours: 2026-11-21." in text and "- **a paper**: Authors, Title, Venue" in text
