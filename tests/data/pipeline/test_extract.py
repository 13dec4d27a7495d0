"""nas.data.pipeline.extract: contents, and archives that must not be unpacked."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from nas.data.pipeline import extract as module
from nas.data.pipeline.extract import extract
from nas.utils.errors import NasError

Maker = Callable[[Path], object]


def tar(mode: Literal["w", "w:gz", "w:bz2", "w:xz"], *entries: tuple[str, bytes, str]) -> Maker:
    """Return the maker of a tar archive with (name, content or target of a link, type) entries."""

    def make(path: Path) -> None:
        with tarfile.open(path, mode) as archive:
            for name, content, kind in entries:
                entry = tarfile.TarInfo(name)
                entry.type = kind.encode()
                entry.mode = 0o4777
                if entry.isreg():
                    entry.size = len(content)
                else:
                    entry.linkname = content.decode()
                archive.addfile(entry, io.BytesIO(content))

    return make


def zipped(*entries: tuple[str, bytes, int]) -> Maker:
    """Return the maker of a zip archive with (name, content, file type) entries."""

    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content, kind in entries:
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (kind | 0o777) << 16
                archive.writestr(entry, content, zipfile.ZIP_DEFLATED)

    return make


FILE, LINK = stat.S_IFREG, stat.S_IFLNK
GOOD = [("a/", b"", "5"), ("a/b.txt", b"content", "0"), ("./c", b"", "0")]
HOSTILE: dict[str, tuple[Maker, str]] = {
    "parent": (tar("w:gz", ("x", b"1", "0"), ("../escaped", b"1", "0")), "leads out"),
    "hidden parent": (tar("w", ("x/../../escaped", b"1", "0")), "leads out"),
    "absolute": (tar("w:bz2", ("/tmp/escaped", b"1", "0")), "leads out"),
    "drive": (tar("w", ("C:escaped", b"1", "0")), "leads out"),
    "backslash": (zipped(("..\\escaped", b"1", FILE)), "leads out"),
    "zip parent": (zipped(("x", b"1", FILE), ("../escaped", b"1", FILE)), "leads out"),
    "zip link": (zipped(("link", b"/etc", LINK)), "is a link or special file"),
    "symbolic link": (tar("w:xz", ("link", b"/etc", "2"), ("link/escaped", b"1", "0")), "is a link or special file"),
    "hard link": (tar("w", ("link", b"/etc/passwd", "1")), "is a link or special file"),
    "device": (tar("w", ("zero", b"", "3")), "is a link or special file"),
    "named pipe": (tar("w", ("pipe", b"", "6")), "is a link or special file"),
    "twice": (tar("w", ("x", b"1", "0"), ("./x", b"2", "0")), "occurs twice"),
    "control characters": (tar("w", ("a\x1b[31mb", b"1", "0")), "control characters"),
    "bomb": (zipped(("zeros", bytes(1 << 22), FILE)), "exceeds the limit"),
    "tar bomb": (tar("w:gz", ("zeros", bytes(1 << 22), "0")), "exceeds the limit"),
    "text": (lambda path: path.write_text("hello"), "cannot be unpacked"),
    "empty": (lambda path: path.touch(), "cannot be unpacked"),
}


@pytest.mark.parametrize(
    "make",
    [
        *(tar("w", *GOOD), tar("w:gz", *GOOD), tar("w:bz2", *GOOD), tar("w:xz", *GOOD)),
        zipped(*((name, content, FILE) for name, content, _ in GOOD)),
    ],
)
def test_extract_writes_the_files(make: Maker, tmp_path: Path) -> None:
    make(tmp_path / "archive")
    found = extract(tmp_path / "archive", tmp_path / "out")
    assert found == [tmp_path / "out" / "a" / "b.txt", tmp_path / "out" / "c"]
    assert [path.read_bytes() for path in found] == [b"content", b""]
    assert found[0].stat().st_mode & 0o7111 == 0, "permissions of the archive are ignored"
    assert extract(tmp_path / "archive", tmp_path / "one", ["c"]) == [tmp_path / "one" / "c"]
    with pytest.raises(NasError, match=r"does not contain a, d\."):
        extract(tmp_path / "archive", tmp_path / "two", ["a", "c", "d"])
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_extract_refuses_hostile_archives(name: str, tmp_path: Path) -> None:
    make, phrase = HOSTILE[name]
    make(tmp_path / "archive")
    with pytest.raises(NasError, match=phrase) as caught:
        extract(tmp_path / "archive", tmp_path / "deep" / "out", max_bytes=1 << 20)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive"], "nothing was written"


def test_extract_refuses_links_in_the_destination_and_damage(tmp_path: Path) -> None:
    tar("w:gz", ("a/b.txt", b"content", "0"))(tmp_path / "archive")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NasError, match="a link leads out of"):
        extract(tmp_path / "archive", tmp_path / "out")
    assert not list((tmp_path / "elsewhere").iterdir())
    content = (tmp_path / "archive").read_bytes()
    (tmp_path / "archive").write_bytes(content[: len(content) // 2])
    with pytest.raises(NasError, match="cannot be unpacked"):
        extract(tmp_path / "archive", tmp_path / "other")


def test_extract_refuses_large_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pax header declares its own size and is read at once."""
    monkeypatch.setattr(module, "_MAX_READ", 1 << 16)
    with tarfile.open(tmp_path / "archive", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("x")
        entry.pax_headers = {"comment": "x" * (1 << 17)}
        archive.addfile(entry)
    with pytest.raises(NasError, match="a header of"):
        extract(tmp_path / "archive", tmp_path / "out")
