"""Job of a sweep: any failure is recorded, and the remaining jobs run."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig

from nas.cli.checks.reserve import reserved_by_job
from nas.cli.checks.restart import resume_job
from nas.cli.errors import log_error
from nas.cli.interrupt import INTERRUPTED, how_to_resume
from nas.cli.jobs.dispatch import run_job
from nas.cli.jobs.resumed_job import prepare_resumed_job
from nas.cli.run_dir.failure import report_failure
from nas.cli.run_dir.job_record import JobRecord
from nas.cli.run_dir.ranks import is_further_rank
from nas.utils.errors import NasError, TrialPruned, is_interrupt

log = logging.getLogger(__name__)


def run_sweep_job(cfg: DictConfig) -> float | None:
    """Run a job of a sweep, and return its value for a sweeper that optimizes it; NaN if it failed or was pruned."""
    output = Path(cfg.paths.output)
    resume_job(cfg, output)
    record = None if is_further_rank(cfg) else JobRecord.start(output)
    failure: str | None = "interrupted"
    value: float | None = None
    pruned: str | None = None
    try:
        with reserved_by_job(cfg):
            if prepare_resumed_job(cfg, output):
                print(f"finished       {output} holds the results of an earlier attempt", flush=True)
                failure = None
                return None
            try:
                value = run_job(cfg)
                failure = None
                return value
            except TrialPruned as end:
                failure, pruned = None, str(end)
                log.info("pruned         %s", pruned)
            except (Exception, SystemExit) as error:
                if is_interrupt(error):
                    raise KeyboardInterrupt from error
                failure = report_failure(error, output, keep_line=True)
    except NasError as error:  # the directory belongs to another run: nothing is written there
        failure = str(error)
        log_error(failure)
    except (KeyboardInterrupt, SystemExit):
        log_error(how_to_resume(output))
        raise SystemExit(INTERRUPTED) from None
    finally:
        if record is not None:
            with suppress(OSError):
                record.end(failure, pruned, None if value is None else float(value))
    return float("nan")
