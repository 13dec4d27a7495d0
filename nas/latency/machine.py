"""Description of the processor and the device of a measurement."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def describe_machine(device: str) -> dict[str, str]:
    """Return the names of processor, device and system, and the number of cores.

    Args:
        device: A device of PyTorch.
    """
    cuda = torch.device(device).type == "cuda"
    processor = processor_name()
    return {
        "device": torch.cuda.get_device_name(device) if cuda else processor,
        "processor": processor,
        "cores": str(os.cpu_count() or 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def processor_name() -> str:
    """Return the model name of the CPU, or its architecture if it is unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
