"""Ranks of a distributed run: whether this process is the first one, and the directory that all of them share.

Lightning gives the processes that it starts the directory of the first one. The processes of torchrun, srun and mpirun
start independently. If their launch has a name (``launch_name``), they all compute the directory from it, and the
others wait until the first one has locked it. Otherwise the first one writes its directory to a file, whose name they
can all compute, and the others wait for this file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from nas.cli.run_dir.launch import is_torchrun
from nas.utils.atomic_write import write_atomically
from nas.utils.directory_lock import is_locked, read_holder
from nas.utils.errors import NasError

RANKS = ("LOCAL_RANK", "RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
"""Environment variables with the position of a process or of its node; all are 0 on the first rank."""
SIZES = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
IDENTITIES = (
    ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT"),
    ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"),
    ("OMPI_MCA_ess_base_jobid", "PMIX_NAMESPACE"),
    ("MASTER_ADDR", "MASTER_PORT"),
)
"""Environment variables that are equal on all ranks of a launch, by launcher; the first set of which one is set counts.

A restarted launch has another count of restarts, and does not find the directory of its predecessor.
"""
DIRECTORY = "NAS_RUN_DIRECTORY"
"""Environment variable with the directory of a running process, which the processes that it starts inherit."""
ADDED_OVERRIDES: list[str] = []
"""Overrides with which this program has completed its command line, and which are not recorded as the user's."""
PATIENCE = 180.0  # seconds that a rank waits for the directory of the first one
QUIET = 20.0  # seconds after which it prints that it waits


def is_first_rank(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process is the first rank, or no rank of a distributed run at all."""
    return all(environment.get(name, "0") == "0" for name in RANKS)


def is_distributed(cfg: DictConfig, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a launcher has started this process as one of several ranks of the same run.

    Processes of srun with one device each, and jobs without a trainer, are separate runs. All processes of torchrun
    are ranks, also a single one, which torchrun may restart.
    """
    repetitions = cfg.method.get("repetitions") if "method" in cfg else None
    if cfg.mode not in ("search", "train") or (repetitions or 1) > 1:
        return False
    if is_torchrun(environment):
        return True
    devices, nodes = cfg.trainer.devices, cfg.trainer.get("num_nodes") or 1
    single = devices in (1, "1") or (not isinstance(devices, int | str) and devices is not None and len(devices) == 1)
    if single and nodes == 1:
        return False
    several = any(environment.get(name, "1") not in ("", "1") for name in SIZES)
    return several or not is_first_rank(environment) or (nodes > 1 and "MASTER_ADDR" in environment)


def is_further_rank(cfg: DictConfig) -> bool:
    """Return whether this process is a rank of a distributed run and not the first one."""
    return is_distributed(cfg) and not is_first_rank()


def rendezvous_file(folder: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the file by which the ranks of a launch share their directory; equal on all ranks of the launch."""
    identity = next((names for names in IDENTITIES if any(name in environment for name in names)), ())
    values = [environment.get(name, "") for name in identity]
    values = [socket.gethostname() if value in ("localhost", "127.0.0.1", "::1") else value for value in values]
    digest = hashlib.sha256(json.dumps([identity, values]).encode()).hexdigest()[:16]
    return folder / f".ranks-{digest}.json"


def rendezvous_folder(text: str) -> Path:
    """Return the part of a directory before its first interpolation, which does not depend on the time."""
    return Path(text if "${" not in text else re.sub(r"[^/]*$", "", text.partition("${")[0]) or ".")


@contextmanager
def publish(file: Path, directories: Mapping[str, str]) -> Iterator[None]:
    """Write the directories of the first rank, whose locks it holds, for the others; remove the file at the end."""
    existed = [path for path in file.parents if path.exists()]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(dict(directories)))
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)
            for path in (path for path in file.parents if path not in existed):
                path.rmdir()


def wait_for_lock(directory: Path, token: str, patience: float = PATIENCE) -> None:
    """Wait until the first rank of the launch ``token`` has locked the directory of the run.

    Raises:
        NasError: if it has not in ``patience`` seconds.
    """
    start, announced = time.monotonic(), False
    while read_holder(directory).get("launch") != token or not is_locked(directory):
        if time.monotonic() - start > patience:
            raise NasError(
                f"hydra.run.dir: the first rank has not locked {directory.absolute()} within {patience:.0f} s. See its "
                "error, and start all ranks on a file system that they share."
            )
        announced = announced or _announce(start, patience)
        time.sleep(0.1)


def _announce(start: float, patience: float) -> bool:
    """Return whether enough time has passed to print that this rank waits, and print it then."""
    late = time.monotonic() - start > QUIET
    if late:
        print(f"waiting up to {patience:.0f} s for the first rank to start its run", file=sys.stderr, flush=True)
    return late


def wait_for_first_rank(file: Path, locked: bool = True, patience: float = PATIENCE) -> dict[str, str]:
    """Return the directories of the first rank.

    A file whose directories are not locked is of a launch that was killed, and is ignored if ``locked`` is true.

    Raises:
        NasError: if the first rank has not written them in ``patience`` seconds.
    """
    start, announced = time.monotonic(), False
    while time.monotonic() - start < patience:
        directories = _read(file)
        if directories and (not locked or all(is_locked(Path(directory)) for directory in directories.values())):
            return directories
        announced = announced or _announce(start, patience)
        time.sleep(0.1)
    raise NasError(
        f"hydra.run.dir: the first rank has not started a run within {patience:.0f} s ({file.absolute()} is missing). "
        "See its error, and start all ranks in the same directory of a file system that they share."
    )


def _read(file: Path) -> dict[str, str]:
    try:
        content: Any = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
