"""Memory of the machine, and numbers of bytes as text."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest
import torch

import nas.utils.memory
from nas.utils.memory import available_memory, format_bytes, peak_memory, used_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1 kB"), (1234, "1.23 kB"), (7.7e6, "7.7 MB"), (21e9, "21 GB")],
)
def test_format_bytes(count: float, text: str) -> None:
    assert format_bytes(count) == text


def test_used_memory_is_at_most_the_peak() -> None:
    # A mapping of its own: malloc may reuse resident pages that an earlier test has freed.
    with mmap.mmap(-1, 2**26) as block:
        used = used_memory(CPU)
        for start in range(0, 2**26, mmap.PAGESIZE):
            block[start] = 1
        assert used + 2**25 < used_memory(CPU) <= 1.1 * peak_memory(CPU)  # the kernel counts pages late


def test_available_memory_is_limited_by_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, usage = tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(nas.utils.memory, "CGROUPS", ((str(limit), str(usage)),))
    machine = available_memory(CPU)
    assert machine is not None and machine > 2**26
    limit.write_text("5000000\n")
    usage.write_text("2000000\n")
    assert available_memory(CPU) == 3_000_000
    limit.write_text("max\n")
    assert available_memory(CPU) == pytest.approx(machine, rel=0.5)
