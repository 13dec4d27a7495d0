"""nas.utils.created_directory: new directories without content are removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.utils.created_directory import created_directory


def test_created_directory_removes_new_empty_directories(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with created_directory(tmp_path / "old"), created_directory(tmp_path / "old" / "a" / "b"):
        assert (tmp_path / "old" / "a" / "b").is_dir()
    assert list(tmp_path.rglob("*")) == [tmp_path / "old"]


def test_created_directory_removes_them_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), created_directory(tmp_path / "a" / "b"):
        raise KeyboardInterrupt
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), created_directory(tmp_path / "file" / "a"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_created_directory_keeps_content(tmp_path: Path) -> None:
    with created_directory(tmp_path / "a" / "b" / "c"):
        (tmp_path / "a" / "file").touch()
    assert {path.name for path in tmp_path.rglob("*")} == {"a", "file"}
