"""nas.utils.import_name: missing modules, missing names and failing modules are told apart."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nas.utils.errors import NasError
from nas.utils.import_name import import_name

MODULE = "import_name_models"
LAZY = """
class Model: ...


def __getattr__(name):
    if name == "Extra":
        raise ImportError("no_such_library is needed")
    raise AttributeError(name)


def __dir__():
    return ["Extra", "Model"]
"""
"""Package that imports a part of its names on demand, and fails for one of them."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on Python's path with a module and a package."""
    (tmp_path / f"{MODULE}.py").write_text("class ResNet:\n    class Block:\n        pass\n\n\ndef vgg(): ...\n")
    package = tmp_path / "import_name_package"
    package.mkdir()
    (package / "__init__.py").write_text("import json as js\n")
    lazy = tmp_path / "import_name_lazy"
    lazy.mkdir()
    (lazy / "__init__.py").write_text(LAZY)
    (package / "layers.py").write_text("class Layer: ...\n")
    (package / "broken.py").write_text("import json\n\nvalue = json.loads('{')\n")
    (package / "syntax.py").write_text("def f(:\n")
    (package / "incomplete.py").write_text("import no_such_library\n")
    (package / "leaves.py").write_text("raise SystemExit('a script')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("import_name_")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [f"{MODULE}.ResNet", f"{MODULE}:ResNet", f"{MODULE}.ResNet.Block", f"{MODULE}:ResNet.Block"],
)
def test_import_name_accepts_both_notations(name: str, folder: Path) -> None:
    assert import_name("key", name).__name__ == name.replace(":", ".").rpartition(".")[2]


def test_import_name_imports_the_modules_of_a_package(folder: Path) -> None:
    assert import_name("key", "import_name_package.layers.Layer").__name__ == "Layer"
    assert import_name("key", "import_name_package:layers").__name__ == "import_name_package.layers"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{MODULE}:ResNt", f"module '{MODULE}' has no 'ResNt'. Did you mean 'ResNet'?"),
        (f"{MODULE}.ResNt", f"module '{MODULE}' has no 'ResNt'. Did you mean 'ResNet'?"),
        (f"{MODULE}.other", f"module '{MODULE}' has no 'other'. It defines ResNet, vgg."),
        (f"{MODULE}.ResNet.Blok", f"'{MODULE}.ResNet' has no 'Blok'. Did you mean 'Block'?"),
        (
            "import_name_model.ResNet",
            f"there is no module 'import_name_model'. Did you mean '{MODULE}'? Otherwise install its package, or add "
            "its folder to PYTHONPATH.",
        ),
        ("import_name_package.js.Qqqq", "module 'import_name_package.js' has no 'Qqqq'. Correct the name."),
        ("import_name_lazy.Qqqq", "module 'import_name_lazy' has no 'Qqqq'. It defines Model."),
        ("qqqq_zz.X", "there is no module 'qqqq_zz'. Install its package, or add its folder to PYTHONPATH."),
        ("qqqq_zz.sub:X", "there is no module 'qqqq_zz'. Install its package"),
        ("import_name_package.layer.Layer", "module 'import_name_package' has no 'layer'. Did you mean 'layers'?"),
        ("import_name_package.layer:Layer", "'import_name_package' has no module 'layer'. Did you mean 'layers'?"),
        (f"{MODULE}.sub:Layer", f"'{MODULE}' has no module 'sub'. Correct the name."),
        ("import_name_package.broken.value", "module 'import_name_package.broken' exists, but its import fails (JSON"),
        ("import_name_package.broken:value", "broken.py, line 3). Correct it."),
        ("import_name_package.syntax.f", "import fails (SyntaxError: invalid syntax (syntax.py, line 1)). Correct it."),
        (
            "import_name_package.incomplete:f",
            "(ModuleNotFoundError: No module named 'no_such_library'; ",
        ),
        ("import_name_package.incomplete.f", "line 1). Install the package of 'no_such_library', or correct the impo"),
        ("import_name_package.leaves.f", "import fails (SystemExit: a script; "),
        ("ResNet", "'ResNet' is not a dotted name. Write PACKAGE.MODULE.NAME."),
        ("a..b", "'a..b' is not a dotted name"),
        ("os.path.join()", "'os.path.join()' is not a dotted name"),
    ],
)
def test_import_name_names_the_problem(name: str, message: str, folder: Path) -> None:
    with pytest.raises(NasError) as caught:
        import_name("key", name)
    assert str(caught.value).startswith("key: ") and message in str(caught.value) and "\n" not in str(caught.value)


def test_import_name_finds_a_module_beside_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".")])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qqqq_here.py").touch()
    with pytest.raises(NasError, match=f"It is in {tmp_path}, which Python does not search. Run export PYTHONPATH="):
        import_name("key", "qqqq_here.X")


def test_import_name_reports_an_attribute_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(SimpleNamespace):
        def __getattr__(self, name: str) -> object:
            raise ValueError("too lazy")

    monkeypatch.setitem(sys.modules, "import_name_lazy", Lazy())
    with pytest.raises(NasError, match="ValueError: too lazy"):
        import_name("key", "import_name_lazy.X")
