"""Hooks of pytest that fail a session whose tests have left files in the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

MADE_BY_TOOLS = ("__pycache__", "build", "dist", "htmlcov")
"""Entries that tools create, besides hidden ones such as .pytest_cache."""

_BEFORE = pytest.StashKey[frozenset[str]]()
_LEFT = pytest.StashKey[list[str]]()


def entries(root: Path) -> frozenset[str]:
    """Return the entries of a checkout, without those of tools, and the run directories in its outputs/."""
    names = {path.name for path in root.iterdir()} - set(MADE_BY_TOOLS)
    own = [name for name in names if not name.startswith(".") and not name.endswith(".egg-info")]
    return frozenset([*own, *(str(path.relative_to(root)) for path in root.glob("outputs/*/*/*"))])


def pytest_sessionstart(session: pytest.Session) -> None:
    """Record the entries before the first test."""
    if not hasattr(session.config, "workerinput"):  # the controller checks for all workers of pytest-xdist
        session.config.stash[_BEFORE] = entries(session.config.rootpath)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session if there are new entries."""
    before = session.config.stash.get(_BEFORE, None)
    if before is None:
        return
    left = session.config.stash[_LEFT] = sorted(entries(session.config.rootpath) - before)
    if left and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the new entries."""
    left = config.stash.get(_LEFT, [])
    if left:
        terminalreporter.section("files left in the checkout")
        terminalreporter.line("Tests write to tmp_path only. New entries, of a test or of another program:")
        for name in left:
            terminalreporter.line(f"  {name}")
