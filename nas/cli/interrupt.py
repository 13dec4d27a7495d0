"""Early ends of a run: signals, and limits of the trainer."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from nas.cli.entry import exit_at_once, is_main_thread, is_own_process
from nas.cli.errors import log_error
from nas.cli.run_dir.layout import (
    FAILURE_FILE,
    SUMMARY_FILE,
    holds_run,
    how_to_restart,
    kept_files,
    last_checkpoint,
    seed_directories,
)
from nas.cli.run_dir.ranks import ADDED_OVERRIDES
from nas.cli.run_dir.requeue import is_found_again, is_job_of_sweep, job_id, requeue_job
from nas.cli.run_dir.resume_command import command_of, resume_command
from nas.utils.errors import error_chain

if TYPE_CHECKING:
    import pytorch_lightning as pl

log = logging.getLogger(__name__)
INTERRUPTED = 130
"""Exit code of a process that Ctrl-C, SIGTERM or, outside of a fit, SIGUSR1 stopped."""
END_OF_JOB = "SIGUSR1"
"""Argument of the KeyboardInterrupt of this signal."""

NO_LIMIT = {"trainer.max_steps": "-1", "trainer.max_time": "null"}


def is_end_of_job(stop: BaseException) -> bool:
    """Return whether SIGUSR1 caused an exit."""
    return any(isinstance(one, KeyboardInterrupt) and one.args == (END_OF_JOB,) for one in error_chain(stop))


def interrupt_on_signals() -> None:
    """Handle SIGTERM and SIGUSR1 like Ctrl-C in the first process of a run, unless they have a handler already.

    While a trainer fits in the main thread, its own handlers stop the run after the current step.
    """
    resend_ignored_interrupts()
    first, main = os.environ.get("LOCAL_RANK", "0") == "0", threading.current_thread() is threading.main_thread()
    if not (first and main):
        return
    process, usr1 = os.getpid(), getattr(signal, "SIGUSR1", None)

    def handle(number: int, frame: Any) -> None:
        if os.getpid() != process:  # a worker that has inherited the handler
            if number == usr1:  # SLURM sends it to all processes, and the first one ends the workers
                return
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif signal.getsignal(number) is handle:  # otherwise the handler of the trainer has called this one
            raise KeyboardInterrupt(END_OF_JOB) if number == usr1 else KeyboardInterrupt

    for number in (signal.SIGTERM, usr1):
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, handle)


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """End this process at once and with one line on a signal within the context, in which no results are written.

    Hydra and OmegaConf lose a KeyboardInterrupt in their own error handling, and report a damaged configuration. A
    process of another program, such as a notebook, keeps its handlers.
    """
    names = ("SIGINT", "SIGTERM", "SIGUSR1") if is_main_thread() and is_own_process() else ()
    present = {
        number: signal.getsignal(number) for name in names if (number := getattr(signal, name, None)) is not None
    }
    replaced = {number: handler for number, handler in present.items() if callable(handler)}
    for number in replaced:
        signal.signal(number, exit_at_once)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


class _ResendInterrupt:
    """Replacement of sys.unraisablehook that sends an interrupt again which Python has ignored.

    Python ignores exceptions in finalizers and in hooks of fork. A Ctrl-C that arrives there would not stop the run.

    Attributes:
        previous: hook for all other exceptions.
    """

    def __init__(self, previous: Callable[[sys.UnraisableHookArgs], Any]) -> None:
        self.previous, self._process = previous, os.getpid()

    def __call__(self, ignored: sys.UnraisableHookArgs) -> None:
        stop = ignored.exc_value
        if not isinstance(stop, KeyboardInterrupt) or os.getpid() != self._process:
            self.previous(ignored)
            return
        number = signal.SIGUSR1 if stop.args == (END_OF_JOB,) else signal.SIGINT
        timer = threading.Timer(0.05, os.kill, (self._process, number))  # after the hook has returned
        timer.daemon = True
        timer.start()


def resend_ignored_interrupts() -> None:
    """Send an interrupt again that arrives where Python ignores exceptions."""
    if not isinstance(sys.unraisablehook, _ResendInterrupt):
        sys.unraisablehook = _ResendInterrupt(sys.unraisablehook)


def end_with_parent(seconds: float = 1.0) -> None:
    """End this process soon after its parent process, which may be killed while this process waits for it.

    Args:
        seconds: time between two checks.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        log_error("the first process of the run has ended")
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def how_to_resume(output: Path) -> str:
    """Return the line that names the resume command of the run in ``output``, or that the run has finished."""
    kept, seeds = kept_files(output), seed_directories(output)
    if all((path / SUMMARY_FILE).is_file() for path in seeds or [output]):
        return f"interrupted after the results were written: {output} holds a finished run."
    if any(last_checkpoint(path) is not None for path in seeds):
        return f"interrupted: the last complete epochs are kept. To resume, run {resume_command(output)}"
    if kept is None:
        restart = how_to_restart(output) if holds_run(output) else "Start from scratch."
        return f"interrupted: there is nothing to resume from in {output}. {restart}"
    return f"interrupted: {kept} kept. To resume, run {resume_command(output)}"


def how_to_resume_sweep(outputs: Sequence[Path], job: str) -> str:
    """Return the line about an interrupted sweep, with the command that resumes its unfinished jobs.

    Args:
        outputs: directories of the jobs.
        job: "search" or "train".
    """
    kept = [path for path in outputs if kept_files(path) is not None and not (path / SUMMARY_FILE).is_file()]
    commands = " && ".join(command_of(f"ckpt_path={path}", job=job) for path in kept)
    return "interrupted" if not kept else f"interrupted: the last complete epochs are kept. To resume, run {commands}"


def requeue(resume: str, output: Path) -> str | None:
    """Requeue the job of SLURM of this process, and return the sentence about it.

    Args:
        resume: command that resumes the run, for the message of an error.
        output: directory of the run.

    Returns:
        None without a job, if its command does not find the directory of the run again, or if the job runs a sweep.

    Raises:
        NasError: if it cannot be requeued.
    """
    job = requeue_job(resume) if is_found_again(ADDED_OVERRIDES) and not is_job_of_sweep() else None
    if job is None:
        return None
    kept = kept_files(output) is not None or any(kept_files(path) is not None for path in seed_directories(output))
    return f"SLURM starts job {job} again, {'which resumes it' if kept else 'from scratch'}."


def not_requeued() -> str:
    """Return the end of a line about a job of SLURM that is not requeued, empty outside of a job."""
    reason = "it runs a sweep: use hydra/launcher=submitit_slurm" if is_job_of_sweep() else None
    reason = reason or "its directory is named after the time: set hydra.run.dir"
    return "" if job_id() is None else f". Job {job_id()} is not requeued, because {reason}"


def explain_end(stop: BaseException, output: Path) -> str:
    """Return the line about a run that an interrupt has ended, and requeue its job of SLURM after SIGUSR1.

    Raises:
        NasError: if it cannot be requeued.
    """
    line = how_to_resume(output)
    finished = (output / SUMMARY_FILE).is_file()
    requeued = requeue(resume_command(output), output) if is_end_of_job(stop) and not finished else None
    return line if requeued is None else f"SIGUSR1 stopped the run. {requeued}"


def report_unfinished(trainer: pl.Trainer, module: pl.LightningModule, output: Path) -> bool:
    """Return whether a limit or SIGUSR1 has stopped the run before its end, and log the command that resumes it.

    A job of SLURM that SIGUSR1 has stopped is requeued if its command finds the directory of the run again.

    Raises:
        NasError: if it cannot be requeued.
    """
    # imported here, because it needs the searches, and an interrupt is reported without them
    from nas.callbacks.guards.stop_signal import shares_request, stopped_by_signal
    from nas.callbacks.recording.run_state import has_ended, unfinished

    complete = has_ended(module) or trainer.current_epoch >= (trainer.max_epochs or 0)
    signaled, shared = stopped_by_signal(trainer) and not complete, shares_request(trainer)
    limit = "SIGUSR1" if signaled else unfinished(trainer, module)
    if limit is None:
        return False
    if trainer.is_global_zero:
        line = f"{limit} stopped the run after {trainer.current_epoch} of {trainer.max_epochs} epochs"
        requeued = None if shared or not signaled else requeue(resume_command(output), output)
        if shared and signaled:
            line += "."
        elif requeued is not None:
            line += f". {requeued}"
        elif last_checkpoint(output) is None:
            line += f". There is no checkpoint: start from scratch{'' if signaled else ' with a larger limit'}."
        else:
            more = () if signaled else (f"{limit}={NO_LIMIT[limit]}",)
            line += f". To resume, run {resume_command(output, *more)}"
        if signaled and not shared and requeued is None:
            line += not_requeued()
        log.info("unfinished     %s", line)
        if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
            Path(output, FAILURE_FILE).write_text(f"unfinished: {line}\n")  # for the table of the sweep
    return True
