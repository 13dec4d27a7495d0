"""One-line messages for errors that the user can fix."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator

from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import OmegaConfBaseException

from nas.utils.environment_errors import environment_error
from nas.utils.errors import NasError, one_line
from nas.utils.long_names import too_long
from nas.utils.printable import printable
from nas.utils.rank import rank_of

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNREADABLE = (errno.ELOOP, errno.EIO, errno.ESTALE)
"""Errors of a loop of links, a damaged disk and a network file system."""

MAX_MESSAGE = 4000  # characters
LOST_RANK = re.compile(r"gloo|NCCL|Timed out (waiting|after)|Connection (closed|reset) by peer")
"""Messages of torch.distributed about a process that does not answer."""

NO_MEMORY = re.compile(r"can't allocate memory|Storage size calculation overflowed")
"""Messages of PyTorch on a CPU without enough memory."""


def explain(
    error: BaseException, kept: str | None = None, resume: str = "", again: str = "run the command again"
) -> str | None:
    """Return the line for a mistake of the user or a known error, also as a cause; None for any other error.

    Args:
        error: the error.
        kept: results from which the run can be resumed, as the subject of a sentence; None if there are none.
        resume: command that resumes the run.
        again: how to start a run from scratch.
    """
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in DISK_FULL:
            return _disk_full(cause, kept, resume, again)
        if _is_lost_rank(cause):
            return _lost_rank(cause, kept, resume)
        line = _line(cause)
        if line is not None:
            return line
    if isinstance(error, InstantiationException):
        return _instantiation(error)
    if isinstance(error, HydraException):
        return _without_keys(error)
    if isinstance(error, OmegaConfBaseException):
        key = getattr(error, "full_key", None)
        if key and "is not in struct" in str(error):
            return f"{key}: the run needs this key, which the configuration lacks. Set {key}=VALUE or leave out ~{key}."
        return f"{key}: {_without_keys(error)}" if key else _without_keys(error)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _line(error: BaseException) -> str | None:
    kind = type(error).__name__
    if isinstance(error, NasError):
        return str(error)
    if isinstance(error, OSError):
        return environment_error(error) or _operating_system(error)
    if kind == "MisconfigurationException":
        return f"trainer: {one_line(error) or 'Lightning rejects its options. Check devices, num_nodes and strategy.'}"
    if kind == "OutOfMemoryError" or isinstance(error, MemoryError) or NO_MEMORY.search(str(error)):
        text = one_line(error).partition(". ")[0]
        return f"the device is out of memory ({text}). Use a smaller dataset.batch_size or a smaller space."
    if type(error).__module__.startswith("wandb."):
        return _wandb(error)
    if isinstance(error, ValueError | RuntimeError) and "SLURM" in str(error):
        return f"trainer: {one_line(error)}"
    if kind == "TerminatedWorkerError":
        return (
            "hydra/launcher=joblib: a worker process was killed, often for lack of memory. Use fewer processes "
            "(hydra.launcher.n_jobs=N)."
        )
    if type(error).__module__.startswith(("torch._inductor.", "torch._dynamo.")):
        return (
            f"compile: the compiler failed ({one_line(error)[:200]}). Use compile=false. If an interrupted compilation "
            "has damaged the cache, set TORCHINDUCTOR_CACHE_DIR to an empty directory."
        )
    if isinstance(error, RuntimeError) and "conditioned on metric" in str(error):
        return f"callbacks: {one_line(error)}"
    if "PytorchStreamReader" in str(error):
        return f"ckpt_path: the checkpoint is damaged ({one_line(error)}). Set ckpt_path to an older checkpoint."
    if isinstance(error, ValueError) and str(error).startswith("Expected more than 1 value per channel"):
        return (
            "dataset.batch_size: a batch norm on maps of 1x1 got a batch of a single image and cannot normalize it. "
            "Choose a size above 1 that leaves no single image for the last batch; for the auxiliary head, set "
            "network.auxiliary=false."
        )
    return environment_error(error) or _by_place(error)


def _wandb(error: BaseException) -> str:
    text = one_line(error).removesuffix(".")
    if type(error).__name__ == "UsageError" and "API key" not in text:  # such as a slash in the id of a run
        return f"logger.wandb: {text}. Change the option of logger.wandb, or its environment variable WANDB_*."
    return f"logger.wandb: {text}. Run wandb login, or set logger.wandb.offline=true."


def _by_place(error: BaseException) -> str | None:
    """Return the line for an error by the function of a library that raised it."""
    if isinstance(error, ValueError) and str(error).startswith(("Unable to configure", "Unable to add")):
        cause = "" if error.__cause__ is None else f" ({one_line(error.__cause__)[:200]})"
        return f"hydra.job_logging: {one_line(error)}{cause}. Leave out hydra.job_logging and hydra.job.name."
    interval = re.search(r"`val_check_interval` \((\d+)\).* batches \((\d+)\)", str(error))
    if isinstance(error, ValueError) and interval is not None:
        return (
            f"trainer.val_check_interval={interval[1]}: an epoch has {interval[2]} training batches. Set at most "
            f"{interval[2]}."
        )
    frames = traceback.extract_tb(error.__traceback__)
    if any(f.filename.endswith("checkpoint_connector.py") and f.name.startswith("re") for f in frames):
        # functions such as restore_optimizers and resume_start
        text = f"{type(error).__name__}: {one_line(error)[:200]}"
        return (
            f"ckpt_path: the checkpoint is damaged, or of another run ({text}). Set ckpt_path to an older checkpoint."
        )
    if isinstance(error, ValueError) and frames and re.search(r"torch.optim\W", frames[-1].filename):
        return f"an optimizer or its scheduler rejects its options: {one_line(error)}"
    return None


def _disk_full(error: OSError, kept: str | None, resume: str, again: str) -> str:
    file = f" ({error.filename})" if error.filename else ""
    reason = f"{os.strerror(error.errno or 0).lower()}{file}"
    if kept is None:
        return f"{reason}: there is nothing to resume from. Free space and {again}."
    return f"{reason}: {kept} kept. Free space. To resume, run {resume}"


def _is_lost_rank(error: BaseException) -> bool:
    """Return whether a collective operation has failed."""
    named = type(error).__name__ in ("DistBackendError", "DistNetworkError", "DistStoreError")
    return isinstance(error, RuntimeError) and (named or LOST_RANK.search(str(error)) is not None)


def _lost_rank(error: BaseException, kept: str | None, resume: str) -> str:
    text = re.sub(r"^\[[^]]*\]\s*", "", one_line(error)).partition(". ")[0][:150]
    line = f"another process of the run has ended or does not answer ({text}). See the error of that process."
    return line if kept is None else f"{line[:-1]}; {kept} kept. To resume, run {resume}"


def _operating_system(error: OSError) -> str | None:
    name = error.filename2 or error.filename  # of a rename, the file that was to be replaced
    if error.errno == errno.ENAMETOOLONG and name:
        return too_long(str(name), sys.argv[1:])
    file = f" ({name})" if name else ""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{os.strerror(error.errno).lower()}{file}: raise the limit of this shell, such as ulimit -n 4096."
    if error.errno in UNREADABLE and name:
        return f"{os.strerror(error.errno).lower()}{file}: choose another file or directory."
    if error.errno == errno.EROFS:
        return f"{os.strerror(error.errno).lower()}{file}: choose a writable directory."
    if isinstance(error, IsADirectoryError | NotADirectoryError | FileExistsError) and name:
        return f"{os.strerror(error.errno or 0).lower()}{file}: move it away, or choose another directory."
    if isinstance(error, PermissionError):
        reason = os.strerror(error.errno or errno.EACCES).lower()
        return f"{reason}{file}: change its permissions, or choose another file or directory."
    return None


def _instantiation(error: InstantiationException) -> str:
    """Return Hydra's text of several lines as one: the key, then the message of the cause."""
    key = re.search(r"full_key: (\S+)", str(error))
    target = re.search(r"Error (?:in call to|locating|getting \w+) (?:target )?'([^']+)'", str(error))
    text = _without_keys(error.__cause__ if error.__cause__ is not None else error)
    place = key or target
    return f"{place[1]}: {text}" if place is not None else text


def _without_keys(error: BaseException) -> str:
    """Return the text of an error of OmegaConf without its lines about keys and types."""
    return re.sub(r"\s*(full_key|object_type|reference_type)[:=].*", "", one_line(error))


def log_error(message: str) -> None:
    """Print one line on stderr, and append it to the log file of the run if there is one."""
    rank = rank_of()
    message = printable(message, MAX_MESSAGE)
    line = f"error: {message}" if rank == "0" else f"error on rank {rank}: {message}"
    print(line, file=sys.stderr, flush=True)
    record = logging.LogRecord(__name__, logging.ERROR, __file__, 0, line, None, None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def full_errors() -> bool:
    """Return whether tracebacks are enabled (HYDRA_FULL_ERROR=1)."""
    return os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
