"""Cut entries of PyTorch's cache of compiled graphs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.nn.compile_cache import remove_cut_entries
from nas.nn.edges.compiler import find_compiler_error

ENTRY = pickle.dumps({"graph": list(range(100))})


def write_cache(cache: Path) -> set[Path]:
    """Write whole and cut entries, and return the files to keep."""
    entries = {
        "fxgraph/ab/key/whole": ENTRY,
        "fxgraph/ab/key/cut": ENTRY[:-1],
        "fxgraph/ab/key/empty": b"",
        "fxgraph/ab/key/.7.8.tmp": ENTRY[:5],
        "aotautograd/key/whole": ENTRY,
        "aotautograd/key/cut": ENTRY[:20],
        "ab/code.py": b"",
    }
    for name, content in entries.items():
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(content)
    return {cache / name for name in entries if Path(name).name not in ("cut", "empty")}


def files(cache: Path) -> set[Path]:
    return {path for path in cache.rglob("*") if path.is_file()}


def test_cut_entries_are_removed_and_other_files_kept(tmp_path: Path) -> None:
    kept = write_cache(tmp_path)
    remove_cut_entries(tmp_path)
    assert files(tmp_path) == kept
    remove_cut_entries(tmp_path / "none")


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize(
    "value", [list(range(50_000)), {"code": b"." * 200_000, "text": "." * 200_000, "rest": "."}, b"." * 70_000, "."]
)
def test_pickles_are_kept_and_their_starts_removed(value: Any, protocol: int, tmp_path: Path) -> None:
    """Also a start that happens to end like a pickle."""
    entry, whole = tmp_path / "fxgraph" / "key" / "entry", pickle.dumps(value, protocol)
    entry.parent.mkdir(parents=True)
    entry.write_bytes(whole)
    remove_cut_entries(tmp_path)
    assert entry.exists()
    stops = [place + 1 for place in range(len(whole) - 4) if whole[place] == ord(".")]
    for length in {0, 1, 2, 5, len(whole) // 2, *stops[:: max(len(stops) // 20, 1)]}:
        entry.write_bytes(whole[:length])
        remove_cut_entries(tmp_path)
        assert not entry.exists(), length


def test_cut_entries_are_removed_before_the_first_compilation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    kept = write_cache(tmp_path)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(torch, "compile", fail)
    assert find_compiler_error(torch.device("cpu")) == "RuntimeError: no C++ compiler"
    assert files(tmp_path) == kept
    write_cache(tmp_path)
    cut = files(tmp_path)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    remove_cut_entries()
    assert files(tmp_path) == cut, "without the variable nothing is removed"
