"""Failure of a run: one line for its user, and the traceback of an error that has no explanation."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from pathlib import Path

from nas.cli.errors import explain, full_errors, log_error
from nas.cli.run_dir.layout import FAILURE_FILE, another_directory, kept_files
from nas.cli.run_dir.resume_command import resume_command
from nas.utils.errors import one_line, unexplained


def report_failure(error: BaseException, output: Path, keep_line: bool = False) -> str:
    """Log one line for an error and return it; the traceback of an unexplained one is written to ``output``.

    Args:
        error: the error that ended a run.
        output: directory of the run.
        keep_line: whether the file is also written for an explained error, as for a job of a sweep.
    """
    kept, resume = kept_files(output), resume_command(output)
    text = explain(error, kept, resume, f"run the command again{another_directory(output)}")
    trace = None if text is not None else "".join(traceback.format_exception(error))
    line = text if text is not None else one_line("".join(traceback.format_exception_only(error)))
    if keep_line or trace is not None:
        with suppress(OSError):  # such as a full disk, which then is the failure
            output.mkdir(parents=True, exist_ok=True)
            (output / FAILURE_FILE).write_text(f"{line}\n" if trace is None else f"{line}\n\n{trace}")
    end = "" if kept is None else f". {kept[:1].upper()}{kept[1:]} kept. To resume, run {resume}"
    log_error(line if trace is None else f"{unexplained(error)} (traceback: {output / FAILURE_FILE}){end}")
    if trace is not None and full_errors():
        print(trace, file=sys.stderr, flush=True)
    return line
