"""Tables of a sweep at its end, and the commands that resume it or compare its runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nas.cli.checks.reserve import Plan
from nas.cli.run_dir.job_record import JobRecord, read_records, remove_records


@contextmanager
def reported_sweep(plan: Plan, resume: str | None) -> Iterator[None]:
    """Write the table of a sweep at its end, also after an error. A failed job leads to exit code 1.

    Args:
        plan: directories of the command line.
        resume: command that resumes the sweep.
    """
    if plan.sweep is None or plan.is_further_rank:
        yield
        return
    # imported here, because rich is not needed for a mistake in the command line
    from nas.cli.run_dir.sweep_print import print_next, print_resume
    from nas.cli.run_dir.sweep_table import report_sweep
    from nas.cli.study.print_results import print_results

    sweep, mode = plan.sweep.absolute(), plan.cfg.mode
    finished = plan.resumed().finished
    planned = [JobRecord(job.number, str(job.output), job.overrides, ended=job.number in finished) for job in plan.jobs]
    remove_records(sweep)  # of a sweep that was killed before its first job had a result
    try:
        yield
    except BaseException:
        if read_records(sweep):  # otherwise no job has started
            report_sweep(sweep, mode, planned)
            if resume is not None and plan.is_resumable:
                print_resume(resume)
        print_results(sweep)
        print_next(sweep)
        raise
    succeeded = not plan.jobs and not read_records(sweep) or report_sweep(sweep, mode, planned)
    print_results(sweep)
    if not succeeded and resume is not None and plan.is_resumable:
        print_resume(resume)
    print_next(sweep)
    if not succeeded:
        raise SystemExit(1)
