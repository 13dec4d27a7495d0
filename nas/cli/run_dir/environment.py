"""Environment of a run: hardware, memory, versions and command, for summary.json."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from nas.cli.run_dir.ranks import ADDED_OVERRIDES
from nas.utils.memory import peak_memory

PACKAGES = ("nas-compose", "torch", "pytorch-lightning", "hydra-core", "omegaconf", "torchmetrics", "numpy")


def environment(device: torch.device, precision: str) -> dict[str, Any]:
    """Describe hardware, memory, versions and command of the run."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine(),
        "accelerator": device.type,
        "precision": precision,
        "peak_memory_bytes": peak_memory(device),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "commit": commit(),
        "command": shlex.join([*_program(), *(part for part in sys.argv[1:] if part not in ADDED_OVERRIDES)]),
    }


def commit() -> str | None:
    """Return the git commit of the code, with "+" if files differ from it; None outside a checkout."""
    root = Path(__file__).parents[3]
    try:
        outputs = [
            subprocess.run(
                ["git", "-C", str(root), *args], capture_output=True, text=True, timeout=10, check=True
            ).stdout
            for args in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return outputs[0].strip() + ("+" if outputs[1].strip() else "")


def _program() -> list[str]:
    """Return the words that start this program: a module, a script, or an installed command."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name.startswith("nas."):
        return ["python", "-m", *spec.name.replace("nas.cli.", "nas ").split()]
    return ["python", sys.argv[0]] if sys.argv[0].endswith(".py") else [Path(sys.argv[0]).name]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
