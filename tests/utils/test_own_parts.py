"""Tests of parts in use, entry points and their messages."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from nas.utils.errors import NasError
from nas.utils.own_parts import Origin, OwnPart, OwnParts, missing_part, target_of
from tests.support.custom_packages import install, write_package

CODE = "class Part:\n    pass\n\n\nnumber = 3\n"
POINTS = {"nas.test/part": "installed_part:Part", "nas.test/number": "installed_part:number"}
POINTS["nas.test/broken"] = "installed_broken:Part"


def test_parts_are_used_within_the_context() -> None:
    parts = OwnParts("nas.test")
    one, two = OwnPart("a", int, "m.A"), OwnPart("a", float, "m.B")
    with parts.use([one]):
        with parts.use([two]):
            assert parts.find("a") is two
        assert parts.find("a") is one and parts.has("a") and parts.names() == ["a"]
    assert parts.find("a") is None and not parts.has("a") and parts.names() == []


def test_entry_points_are_imported_when_they_are_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path, "installed_part", CODE, POINTS)
    install(monkeypatch, tmp_path, "installed_part")
    parts = OwnParts("nas.test")
    assert parts.names() == ["broken", "number", "part"] and parts.has("part")
    assert "installed_part" not in sys.modules
    found = parts.find("part")
    assert found is not None and found.origin == Origin("installed_part.Part", "installed_part 0.1")
    with pytest.raises(NasError, match="'number' of installed_part 0.1 is not a class or function"):
        parts.find("number")
    with pytest.raises(NasError, match="'broken' of installed_part 0.1 cannot be imported .*No module named"):
        parts.find("broken")
    part = OwnPart("part", found.build, "installed_part.Part")
    assert part.origin.package == "installed_part 0.1", "the package of a dotted name"
    assert OwnPart("x", int, "no_such_package.X").origin.package == "the module no_such_package"


def test_target_is_the_name_of_the_class() -> None:
    assert target_of(partial(partial(Origin, "a"), "b")) == "nas.utils.own_parts.Origin"
    assert target_of(Origin("a", "b")) == "nas.utils.own_parts.Origin"


def test_message_depends_on_the_installation_and_imports_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(tmp_path, "recorded_part", "raise SystemExit('imported')\n")
    install(monkeypatch, tmp_path, "recorded_part")
    installed = missing_part("genotype", "op", "a", Origin("recorded_part.sub.Part", "mine 1.0"))
    assert "own_parts=[recorded_part.sub.Part]" in str(installed) and "not installed" not in str(installed)
    absent = missing_part("genotype", "op", "a", Origin("absent_part.Part", "mine 1.0"))
    assert "its op 'a' is absent_part.Part of mine 1.0, which is not installed" in str(absent)
    assert "recorded_part" not in sys.modules
