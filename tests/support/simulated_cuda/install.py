"""Compile the simulated device, and make PyTorch use it in this process."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from tests.support.simulated_cuda.graphs import graph_functions

SOURCES = [Path(__file__).with_name(name) for name in ("device.cpp", "memory.h", "recording.h")]
MODES = {"default": 0, "warn": 1, "error": 2}
_kept: list[Any] = []
"""Objects that the library refers to."""


def missing() -> str | None:
    """Return the reason why there can be no simulated device, None if there can."""
    if torch.cuda.is_available() or torch.version.cuda is not None:
        return "this PyTorch has CUDA"
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if not (2, 11) <= version <= (2, 13):  # the library replaces an interface of these versions
        return "the simulated device needs PyTorch 2.11 to 2.13"
    return None if shutil.which("g++") else "there is no g++"


def library() -> Path:
    """Return the compiled library, which is compiled once per version of PyTorch and of the source."""
    key = hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES) + torch.__version__.encode()).hexdigest()[
        :16
    ]
    file = Path(tempfile.gettempdir(), f"simulated_cuda_{os.getuid()}", f"{key}.so")
    if not file.exists():
        file.parent.mkdir(mode=0o700, exist_ok=True)
        if file.parent.stat().st_uid != os.getuid():
            raise OSError(f"{file.parent} belongs to another user")
        root, part = Path(torch.__file__).parent, file.with_suffix(f".{os.getpid()}")
        include = [f"-I{root}/include", f"-I{root}/include/torch/csrc/api/include"]
        link = [f"-L{root}/lib", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{root}/lib"]
        command = ["g++", "-std=c++20", "-O0", "-w", "-fPIC", "-shared", str(SOURCES[0]), "-o", str(part)]
        subprocess.run([*command, *include, *link], check=True, capture_output=True, text=True)
        part.replace(file)
    return file


def install(synchronized: Callable[[str], None] | None = None) -> None:
    """Make the simulated device available. ``synchronized`` receives the names of operations if they are watched."""
    device = ctypes.CDLL(str(library()))
    device.sim_allocated.restype = device.sim_peak.restype = ctypes.c_int64
    device.sim_set_limit.argtypes = [ctypes.c_int64]
    device.sim_start()
    function = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lambda name: synchronized and synchronized(name.decode()))
    _kept.extend([device, function])
    device.sim_set_callback(function)
    for name, value in {**_devices(), **_streams(), **_memory(device), **graph_functions(device)}.items():
        setattr(torch.cuda, name, value)
    torch.cuda.set_sync_debug_mode = lambda mode: device.sim_set_mode(MODES.get(str(mode), mode))
    torch.cuda.get_sync_debug_mode = lambda: int(device.sim_mode())
    device.sim_give_default_generator(True)
    torch.cuda.default_generators = (torch.Generator(device="cuda"),)
    device.sim_give_default_generator(False)
    bindings: Any = torch._C
    bindings._cuda_getDeviceCount = lambda: 1
    bindings._cuda_getDevice = lambda: 0
    bindings._cuda_getCurrentRawStream = lambda index: 0
    bindings._cuda_clearCublasWorkspaces = lambda: None
    torch.backends.cuda.is_built = lambda: True
    storage: Any = torch.UntypedStorage
    clone, cpu = storage.clone, storage.cpu
    storage.clone = lambda self: _bytes(self).clone().untyped_storage() if self.device.type == "cuda" else clone(self)
    storage.cpu = lambda self: _bytes(self).cpu().untyped_storage() if self.device.type == "cuda" else cpu(self)


def _bytes(storage: Any) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)


def _devices() -> dict[str, Any]:
    properties = {"name": "simulated", "major": 9, "minor": 0, "total_memory": 2**34, "multi_processor_count": 1}
    return {
        "_initialized": True,
        "_lazy_init": lambda: None,
        "is_initialized": lambda: True,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "_exchange_device": lambda device: 0,
        "_maybe_exchange_device": lambda device: 0,
        "get_device_name": lambda device=None: "simulated",
        "get_device_capability": lambda device=None: (9, 0),
        "get_device_properties": lambda device=None: SimpleNamespace(**properties),
        "is_bf16_supported": lambda including_emulation=True: True,
    }


def _streams() -> dict[str, Any]:
    return {
        "synchronize": lambda device=None: None,
        "Event": _Event,
    }


class _Event:
    def __init__(self, enable_timing: bool = False, **options: Any) -> None:
        self.enable_timing = enable_timing

    def record(self, stream: Any = None) -> None:
        self.time = time.perf_counter()

    def elapsed_time(self, end: _Event) -> float:
        assert self.enable_timing and end.enable_timing
        return 1000 * (end.time - self.time)


def _memory(device: Any) -> dict[str, Any]:
    total = 2**34
    return {
        "empty_cache": lambda: None,
        "memory_allocated": lambda device_=None: device.sim_allocated(),
        "memory_reserved": lambda device_=None: device.sim_allocated(),
        "max_memory_allocated": lambda device_=None: device.sim_peak(),
        "reset_peak_memory_stats": lambda device_=None: device.sim_reset_peak(),
        "mem_get_info": lambda device_=None: (total - device.sim_allocated(), total),
        "set_per_process_memory_fraction": lambda share, device_=None: device.sim_set_limit(int(share * total)),
    }
