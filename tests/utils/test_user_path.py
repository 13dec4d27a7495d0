from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas.utils.user_path import real_path, user_path

NOBODY = "~no-such-user/data"


def test_home_directory_replaces_the_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert user_path("~") == Path("/home/someone")
    assert user_path("~/data") == user_path(Path("~/data")) == Path("/home/someone/data")
    assert user_path("a/~/b") == Path("a/~/b")


def test_unknown_user_stays() -> None:
    assert user_path(NOBODY) == Path(NOBODY)
    with pytest.raises(RuntimeError):
        Path(NOBODY).expanduser()


def test_links_are_followed_except_a_link_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = Path(os.path.realpath(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "ring").symlink_to("ring")
    assert real_path("link/x") == real_path(Path("run/x")) == home / "run" / "x"
    assert real_path("ring") == home / "ring"
