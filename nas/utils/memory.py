"""Memory of a device and of this process, in bytes."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Files with the limit and the usage of a container, of both versions of control groups."""
UNITS = ("B", "kB", "MB", "GB", "TB")


def used_memory(device: torch.device) -> int:
    """Return the memory in use: allocated on a CUDA device, else resident of this process."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return peak_memory(device)
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_memory(device: torch.device) -> int:
    """Return the peak memory: allocated on a CUDA device, else resident of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def available_memory(device: torch.device) -> int | None:
    """Return the memory that this process can still allocate on a device, None if it is unknown.

    On the CPU this is the available memory of the machine, or of the container if that is less.
    """
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type != "cpu":
        return None
    free = [value for value in (_machine(), *(_container(*files) for files in CGROUPS)) if value is not None]
    return min(free, default=None)


def format_bytes(count: float) -> str:
    """Return a number of bytes with three digits and a unit, such as "1.23 GB"."""
    unit = 0
    while abs(count) >= 999.5 and unit < len(UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.3g} {UNITS[unit]}"


def _machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _container(limit: str, usage: str) -> int | None:
    texts = [_read(file) for file in (limit, usage)]
    return None if not all(text.isdigit() for text in texts) else max(0, _difference(texts))


def _read(file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except OSError:
        return ""


def _difference(texts: Sequence[str]) -> int:
    return int(texts[0]) - int(texts[1])
