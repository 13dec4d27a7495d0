"""nas.cli.startup: deferred modules behave as imported modules, and imports pause garbage collection."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nas.cli.startup import DEFERRED, defer_import, fast_imports

PACKAGE = """
import sys
sys.runs = getattr(sys, "runs", 0) + 1
from . import windows
from .windows import hann
answer = 42
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Create a package ``deferred_pkg.signal`` with a submodule, and return its name."""
    folder = tmp_path / "deferred_pkg" / "signal"
    folder.mkdir(parents=True)
    (tmp_path / "deferred_pkg" / "__init__.py").write_text("")
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "windows.py").write_text("def hann(n): return ['hann', n]\ndef hamming(n): return ['hamming', n]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "runs", 0, raising=False)
    for name in ("deferred_pkg", "deferred_pkg.signal", "deferred_pkg.signal.windows"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    defer_import("deferred_pkg.signal", {"hamming": "windows.hamming"})
    return "deferred_pkg.signal"


def test_a_deferred_module_runs_at_first_use_and_once(package: str) -> None:
    module = importlib.import_module(package)
    assert hasattr(module, "hamming") and module.__name__ == package and module.__file__
    assert sys.runs == 0  # type: ignore[attr-defined]
    assert module.answer == 42 and module.hann(3) == ["hann", 3]
    assert sys.runs == 1  # type: ignore[attr-defined]
    assert type(module) is type(sys) and module.hamming is module.windows.hamming
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = module.missing


def test_names_of_a_deferred_module_can_be_imported_from_it(package: str) -> None:
    namespace: dict[str, object] = {}
    exec(f"from {package} import answer, windows\nfrom {package} import *", namespace)
    assert namespace["answer"] == 42 and namespace["windows"] is sys.modules[f"{package}.windows"]


def test_a_submodule_is_importable_before_the_deferred_module_has_run(package: str) -> None:
    windows = importlib.import_module(f"{package}.windows")
    assert windows.hann(1) == ["hann", 1] and sys.modules[package].windows is windows
    assert "answer" in dir(sys.modules[package]) and sys.runs == 1  # type: ignore[attr-defined]


def test_an_alias_can_be_called_before_the_deferred_module_has_run(package: str) -> None:
    early = sys.modules[package].hamming
    assert early(5) == ["hamming", 5] and sys.runs == 1  # type: ignore[attr-defined]


def test_threads_wait_for_a_deferred_module(package: str) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(sys.modules[package].answer)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [42] * 8 and sys.runs == 1  # type: ignore[attr-defined]


def test_an_imported_or_missing_module_remains_as_it_is() -> None:
    before = sys.modules["importlib.util"]
    defer_import("importlib.util", {})
    defer_import("importlib.no_such_module", {})
    defer_import("no_such_package.module", {})
    assert sys.modules["importlib.util"] is before
    assert "importlib.no_such_module" not in sys.modules and "no_such_package.module" not in sys.modules


def test_metrics_import_without_the_deferred_modules_which_work_afterwards() -> None:
    script = """
import sys
from nas.cli.startup import defer_imports, fast_imports
with fast_imports():
    defer_imports()
    import torchmetrics
assert "scipy.signal._signaltools" not in sys.modules and "scipy.stats" not in sys.modules
import scipy.signal
assert scipy.signal.hamming(3).tolist() == scipy.signal.windows.hamming(3).tolist()
assert scipy.signal.hamming is scipy.signal.windows.hamming
from scipy.signal import convolve
assert convolve([1, 2], [1, 1]).tolist() == [1, 3, 2]
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert set(DEFERRED) == {"scipy.signal"}


def test_imports_pause_garbage_collection_where_pytorch_is_not_imported_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    with fast_imports():
        assert gc.isenabled(), "PyTorch is imported"
    monkeypatch.delitem(sys.modules, "torch")
    with pytest.raises(ValueError), fast_imports():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled()
