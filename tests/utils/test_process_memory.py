"""Memory of a process that evaluates many networks in turn."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nas.utils import process_memory
from nas.utils.process_memory import keep_freed_memory

PROGRAM = """
import gc, json, resource, sys
from nas.utils.process_memory import exempt_present_objects, keep_freed_memory

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        blocks = [bytearray(1 << 20) for _ in range(100)]  # zeros are written, so each page is used
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(2)
found = {"before": faults(3), "supported": keep_freed_memory()}
faults(2)
found["after"] = faults(3)
frozen = gc.get_freeze_count()
exempt_present_objects()
found["frozen"] = gc.get_freeze_count() - frozen
print(json.dumps(found))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator of glibc")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    if not found["supported"]:
        pytest.skip("the allocator has no mallopt")
    assert found["after"] * 10 < found["before"], found
    assert found["frozen"] > 1000


def test_other_systems_keep_their_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_memory.sys, "platform", "darwin")
    assert keep_freed_memory() is False
