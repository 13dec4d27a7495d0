"""Commands of README and documentation: options and choices exist, whole configurations compose, quick ones run."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli.checks.arguments import check_choices
from nas.cli.main import prepare
from nas.utils.errors import NasError
from tests.support.compose_tools import ROOT, script, succeeded
from tests.support.custom_packages import code_block
from tests.support.docs_tools import PAGES, commands, has_placeholder, needs_gpu_or_data
from tests.support.node_tools import node_environment

FIRST = [ROOT / "README.md", ROOT / "docs" / "getting_started.md"]
COMPOSED_ELSEWHERE = ROOT / "docs" / "results.md"  # tests/zoo/test_results.py
ALL = sorted({(job, tuple(arguments)) for page in PAGES for job, arguments in commands(page)})
COMPLETE = sorted(
    {
        (job, tuple(arguments))
        for page in PAGES
        if page != COMPOSED_ELSEWHERE
        for job, arguments in commands(page)
        if not any(map(has_placeholder, arguments))
    }
)
QUICK = sorted(
    {
        (job, tuple(arguments))
        for page in FIRST
        for job, arguments in commands(page)
        if (job, tuple(arguments)) in COMPLETE and job == "search" and not needs_gpu_or_data(arguments)
    }
)
MISSING = {"there is no table of space": "needs a benchmark table", "Ray is not installed": "needs Ray"}
"""Text of the error about what a command needs, and the reason to skip the command."""
SHORT = ["trainer=smoke", "space.cells_per_stage=1", "space.channels=4", "threads=1"]


def write_method(directory: Path) -> None:
    """Write the method of the page about extensions, which the first pages name."""
    (directory / "method").mkdir(parents=True)
    (directory / "method" / "my_method.yaml").write_text(code_block("extending.md", "yaml"))


def test_quoted_parentheses_belong_to_a_command(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```\npython search.py -m 'lr=interval(0.1,1)' seed=0 && echo (done)\npython train.py --list gdas\n```\n"
    )
    assert list(commands(page)) == [("search", ["-m", "lr=interval(0.1,1)", "seed=0"])]


def test_pages_have_commands() -> None:
    assert len(ALL) > 100 and len(COMPLETE) > 60 and len(QUICK) > 5


def test_choices_of_all_commands_exist() -> None:
    for _, arguments in ALL:
        if "-cd" not in arguments:
            given = [a for a in arguments if "=" in a and not a.startswith("-") and not has_placeholder(a)]
            check_choices(given)


@pytest.mark.slow
@pytest.mark.parametrize(("job", "arguments"), COMPLETE, ids=lambda value: " ".join(value)[:70])
def test_configuration_of_a_command_composes(
    job: str, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "trainer=ddp_multinode" in arguments:
        for name, value in {**node_environment("srun", 0), "MASTER_ADDR": "127.0.0.1"}.items():
            monkeypatch.setenv(name, value)
    if any(a.endswith((".pt", ".json", ".yaml")) for a in arguments):
        pytest.skip("reads a file of the reader")
    if "-cd" in arguments:
        pytest.skip("reads the configuration of the reader")
    directory = [] if "-m" in arguments or any(a.startswith("--") for a in arguments) else [f"hydra.run.dir={tmp_path}"]
    try:
        assert prepare(job, [*arguments, *directory]).arguments
    except NasError as error:
        reason = next((reason for text, reason in MISSING.items() if text in str(error)), None)
        if reason is None:
            raise
        pytest.skip(reason)


@pytest.mark.slow
@pytest.mark.parametrize(("job", "arguments"), QUICK, ids=lambda value: " ".join(value)[:70])
def test_commands_of_the_first_pages_run(job: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Three steps of a small supernet; flags that print something run as they are."""
    shown = any(argument.startswith(("--", "-sc")) for argument in arguments)
    given = [a for a in arguments if not a.startswith("trainer=")]
    gradient = not any(a.startswith(("mode=", "method=te_nas", "method=regularized")) for a in arguments)
    more = [] if shown else [*(SHORT if gradient else ["ranking.count=3"] if "mode" in " ".join(given) else [])]
    write_method(tmp_path / "my_conf")
    succeeded(script(job, *given, *more, cwd=tmp_path))
