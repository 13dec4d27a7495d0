"""Command that resumes a run, as the messages about its end print it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from nas.cli.run_dir.command import flags_of_run
from nas.cli.run_dir.launch import is_torchrun, launched_sizes
from nas.utils.program import program


def resume_command(output: Path, *more: str) -> str:
    """Return the shell command that resumes the run whose results are in ``output``.

    Args:
        output: directory of the results. The record of the run may be in another directory.
        more: further overrides.
    """
    run = str(output)
    if HydraConfig.initialized() and not OmegaConf.is_missing(HydraConfig.get().runtime, "output_dir"):
        run = HydraConfig.get().runtime.output_dir  # missing while Hydra prepares the job
    if (output / ".hydra").is_dir() or not Path(run, ".hydra").is_dir():
        return command_of(f"ckpt_path={output}", *more)
    return command_of(f"ckpt_path={run}", f"paths.output={output}", *more)


def command_of(*overrides: str, job: str = "search") -> str:
    """Return the command of the job of this process with other overrides, those of custom parts included.

    Args:
        overrides: Overrides.
        job: "search" or "train", for a process that Hydra has not configured.
    """
    name = HydraConfig.get().job.config_name if HydraConfig.initialized() else job
    command = _launcher(program(name if name in ("search", "train") else job))
    return " ".join([command, *flags_of_run(resumed=True), shlex.join(overrides)])


def sweep_command(arguments: Sequence[str], job: str) -> str:
    """Return the command of a sweep.

    Args:
        arguments: its command line.
        job: "search" or "train".
    """
    return f"{_launcher(program(job))} {shlex.join(arguments)}"


def _launcher(command: str) -> str:
    """Return a command with the launcher that has started several processes for it."""
    sizes = launched_sizes()
    if sizes is None or sizes.launcher == "submitit" or (sizes.processes == 1 and not is_torchrun()):
        return command
    if sizes.launcher == "srun":
        return f"srun {command}"
    machines = "" if sizes.machines == 1 else f"--nnodes={sizes.machines} RENDEZVOUS "
    return f"torchrun {machines}--nproc-per-node={sizes.per_machine} {Path(sys.argv[0]).name}"
