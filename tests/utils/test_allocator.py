"""Freed memory stays with the process unless the environment sets its own policy."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import torch
from nas.utils.allocator import keep_freed_memory
from nas.utils.memory import used_memory
kept = keep_freed_memory()
tensors = [torch.ones(4 << 20, dtype=torch.uint8) for _ in range(100)]
full = used_memory(torch.device("cpu"))
tensors.clear()
print(kept, (full - used_memory(torch.device("cpu"))) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
@pytest.mark.parametrize("environment", [{}, {"MALLOC_ARENA_MAX": "2"}], ids=["default", "own"])
def test_freed_memory_is_kept(environment: dict[str, str]) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**inherited, **environment},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    kept, returned = done.stdout.split()
    assert kept == str(not environment)
    assert int(returned) < 40 if not environment else int(returned) > 300
