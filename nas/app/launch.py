"""What happens on the command line before Hydra reads it, and how mistakes are told."""

from __future__ import annotations

import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig

from nas.errors import NasError, unknown

log = logging.getLogger(__name__)
CONF = Path(__file__).parents[2] / "conf"
FAILURE_FILE = "failure.txt"


def prepare(argv: Sequence[str], *rewrites: Callable[[list[str]], list[str]]) -> None:
    """Checks and completes the command line in place; a mistake ends the process with one line and exit code 1."""
    try:
        arguments = list(argv[1:])
        check_choices(arguments)
        for rewrite in rewrites:
            arguments = rewrite(arguments)
        check_directory(arguments)
    except NasError as error:
        if full_errors():
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    sys.argv[1:] = arguments


def guarded(run: Callable[[DictConfig], float | None], cfg: DictConfig) -> float | None:
    """Runs a job; a mistake of the user becomes one line and exit code 1.

    In a sweep the line goes to the job's directory, the other jobs run, and the table at the end tells.
    """
    _quiet()
    try:
        return run(cfg)
    except Exception as error:
        message = explain(error)
        if message is None or full_errors():
            raise
        log.error("error: %s", message)
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            raise SystemExit(1) from None
        Path(cfg.paths.output, FAILURE_FILE).write_text(message + "\n")
        return float("nan")


def _quiet() -> None:
    """Leaves out what Lightning says of itself at every start."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")


def explain(error: BaseException) -> str | None:
    """The one line for an error that the user can mend, or None."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, NasError):
            return str(cause)
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            where = f" ({cause.filename})" if cause.filename else ""
            return f"no space left on the device{where}: the files of the last whole epoch are kept; free space and go on with ckpt_path"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, InstantiationException):
        return " ".join(str(error).split())
    if type(error).__name__ == "MisconfigurationException":
        return f"trainer: {' '.join(str(error).split())}"
    return None


def full_errors() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get("HYDRA_FULL_ERROR", "0") == "1"


def check_choices(arguments: Sequence[str]) -> None:
    """Raises NasError for a choice that no file under conf/ offers, naming the nearest one."""
    if any(a in ("-cd", "--config-dir") or a.startswith(("--config-dir=", "hydra.searchpath")) for a in arguments):
        return
    for argument in arguments:
        group, _, value = argument.lstrip("+~").partition("=")
        folder = CONF / group
        if not value or "/" in group or "." in group or not folder.is_dir():
            continue
        choices = [path.stem for path in folder.glob("*.yaml")]
        for name in value.split(","):
            if name.strip("'\" ") not in (*choices, "null"):
                raise unknown(group, name, choices)


def check_directory(arguments: Sequence[str]) -> None:
    """Raises NasError where a run would write over another one. Ranks of a running job pass."""
    directory = override(arguments, "hydra.run.dir")
    if directory is None or "LOCAL_RANK" in os.environ:
        return
    if Path(directory, "summary.json").exists():
        raise NasError(f"{directory} holds a finished run (summary.json): choose another hydra.run.dir")
    if Path(directory, "checkpoints").exists() and override(arguments, "ckpt_path") is None:
        raise NasError(f"{directory} holds an interrupted run: go on with ckpt_path={directory}, or choose another hydra.run.dir")


def override(arguments: Sequence[str], key: str) -> str | None:
    """The value that the command line gives ``key``."""
    found = [a.partition("=")[2].strip("'\"") for a in arguments if a.lstrip("+").partition("=")[0] == key]
    return found[-1] if found else None


def saved_overrides(directory: Path) -> list[str]:
    """The overrides a run was started with. Raises NasError where ``directory`` is no run directory."""
    path = directory / ".hydra" / "overrides.yaml"
    if not path.is_file():
        raise NasError(f"{directory} is not a run directory: there is no {path}")
    found: list[str] = yaml.safe_load(path.read_text()) or []
    return found


def merge_overrides(saved: Sequence[str], given: Sequence[str]) -> list[str]:
    """Saved overrides, except those that the command line gives anew, then the command line."""
    keys = {a.lstrip("+~").partition("=")[0] for a in given}
    return [a for a in saved if a.lstrip("+~").partition("=")[0] not in keys] + list(given)


def refuse_nested_ddp(cfg: Any) -> None:
    """Raises NasError where Lightning would start a second sweep inside each process of a sweep's job."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    several = cfg.trainer.devices not in (1, "1", "auto") and cfg.trainer.strategy not in ("auto", None)
    launched = any(name in os.environ for name in ("LOCAL_RANK", "SLURM_PROCID", "TORCHELASTIC_RUN_ID"))
    if sweeping and several and not launched:
        raise NasError(
            "-m with a trainer of several processes would start the sweep again in each of them: run the jobs one by one "
            "without -m (for s in 0 1 2; do python search.py seed=$s trainer=ddp; done), "
            "or let hydra/launcher=submitit_slurm start the processes"
        )
