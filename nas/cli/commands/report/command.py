"""Command ``nas-search report``: one self-contained HTML page about one or several runs."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from nas.cli.commands.data.status import readable
from nas.cli.commands.report.find_runs import find_runs
from nas.cli.run_dir.layout import REPORT_FILE
from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError, one_line
from nas.utils.one_line_errors import one_line_errors
from nas.utils.printable import printable
from nas.utils.program import program
from nas.utils.quiet_logger import quiet_logger
from nas.utils.tool_parser import ToolParser
from nas.utils.user_path import user_path

DESCRIPTION = """Write an HTML report of one run, or a comparison of several runs. The page needs no network and no
server. The directory of a sweep selects all its jobs. The page lists missing and damaged files."""


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    _run(_parser().parse(arguments))
    return 0


def _run(options: argparse.Namespace) -> None:
    path = _write(options.runs, options.output, options.overwrite)
    print(f"report         {printable(readable(path))} ({path.stat().st_size / 1e6:.2f} MB)")
    if options.open:
        webbrowser.open(path.absolute().as_uri())


def _parser() -> ToolParser:
    parser = ToolParser(f"{program('search')} report", description=DESCRIPTION)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory, or directory of a sweep")
    place = f"{REPORT_FILE} in the run directory; of several runs, in the working directory"
    parser.add_argument("--output", metavar="FILE", help=f"file of the page (default: {place})")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    return parser


def _write(paths: Sequence[str], output: str | None, overwrite: bool) -> Path:
    """Write the page and return its path."""
    # imported here, because torch and matplotlib are not needed for the help or a mistake in the command line
    from nas.cli.commands.report.read_run import read_run
    from nas.report.page import comparison_page, run_page

    directories = find_runs(paths)
    default = directories[0] / REPORT_FILE if len(directories) == 1 else Path(REPORT_FILE)
    path = default if output is None else user_path(output)
    _check_output(path, overwrite)
    with quiet_logger("nas"):  # the page itself names the problems of a run
        runs = [read_run(directory, readable(directory), detailed=len(directories) == 1) for directory in directories]
        page = run_page(runs[0]) if len(runs) == 1 else comparison_page(runs)
    try:
        write_atomically(path, page)
    except OSError as error:
        raise _unwritable(path, error) from None
    return path


def _check_output(path: Path, overwrite: bool) -> None:
    """Raise NasError if a file cannot be written, or exists and must not be replaced."""
    try:
        if path.is_dir() or (os.path.lexists(path) and not overwrite):
            fix = "Give a file." if path.is_dir() else "Add --overwrite, or give another file."
            raise NasError(f"--output={path}: exists already. {fix}")
        if not path.parent.is_dir():
            raise NasError(f"--output={path}: there is no directory {path.parent}. Create it first.")
    except OSError as error:  # such as a directory of another user
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> NasError:
    return NasError(f"--output={path}: cannot be written ({one_line(error.strerror or error)}). Give another file.")


if __name__ == "__main__":
    sys.exit(main())
