"""Safe extraction of tar and zip archives: regular files only, within the destination, of bounded size."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import shutil
import stat
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from nas.utils.errors import NasError, one_line
from nas.utils.user_path import real_path

MAX_BYTES = 1 << 38
"""Default limit of the unpacked size: more than the largest published data set or benchmark."""
MAX_MEMBERS = 2_000_000
_MAX_READ = 1 << 26  # bytes of a single read: tarfile reads headers, which declare their own size, at once
_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
_UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, tarfile.TarError, zlib.error)
_DAMAGED = (*_UNREADABLE, lzma.LZMAError, zipfile.BadZipFile)


class _Member(NamedTuple):
    """Entry of an archive: its name, declared size, and kind ("file", "folder" or the name of another kind)."""

    name: str
    size: int
    kind: str
    entry: tarfile.TarInfo | zipfile.ZipInfo


def extract(
    archive: Path, destination: Path, members: Collection[str] | None = None, max_bytes: int = MAX_BYTES
) -> list[Path]:
    """Extract the files of a tar archive (also compressed by gzip, bzip2 or xz) or of a zip archive.

    All entries are checked before the first file is written. Permissions and owners in the archive are ignored. A file
    appears under its name only when it is complete.

    Args:
        archive: a tar or zip file.
        destination: directory of the files; it is created if it is missing.
        members: names of the files to extract; None: all files.
        max_bytes: limit of the size of all files together.

    Returns:
        The paths of the extracted files, in the order of the archive.

    Raises:
        NasError: if the archive is too large, lacks one of ``members``, or holds an entry outside of ``destination``,
            a link, a device or any other special file; nothing is written then. Also if the content is damaged; the
            files before the damage are written then.
    """
    if not archive.is_file():
        raise NasError(f"{archive}: not a regular file. Set the path of a tar or zip archive.")
    try:
        with _Reader(archive) as reader:
            checked_members = _checked(archive, reader.members(), max_bytes)
            wanted = [m for m in checked_members if m.kind == "file" and (members is None or m.name in members)]
            absent = sorted(set(members or ()) - {member.name for member in wanted})
            if absent:
                raise NasError(f"{archive}: does not contain {', '.join(absent[:10])}. Delete it to download it again.")
            return [_write(reader, member, destination) for member in wanted]
    except _DAMAGED as error:
        raise NasError(f"{archive}: cannot be unpacked ({one_line(repr(error))[:300]}).") from error


class _Reader:
    """Entries and contents of a tar or zip archive."""

    def __init__(self, archive: Path) -> None:
        with archive.open("rb") as file:
            begin = file.read(2)
        self._zip = zipfile.ZipFile(archive) if begin == b"PK" else None
        self._file: Any = None if self._zip is not None else _BoundedReads(_OPENERS.get(begin, open)(archive, "rb"))
        self._tar = None if self._file is None else tarfile.open(fileobj=self._file, mode="r:")  # noqa: SIM115

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *error: object) -> None:
        for archive in (self._zip, self._tar, self._file):
            if archive is not None:
                archive.close()

    def members(self) -> Iterator[_Member]:
        for info in self._zip.infolist() if self._zip is not None else ():
            mode = stat.S_IFMT(info.external_attr >> 16)
            kind = "folder" if info.is_dir() else "file" if mode in (0, stat.S_IFREG) else "link or special file"
            yield _Member(_normalized(info.filename), info.file_size, kind, info)
        for entry in self._tar or ():
            kind = "folder" if entry.isdir() else "file" if entry.isreg() else "link or special file"
            yield _Member(_normalized(entry.name), entry.size, kind, entry)

    def open(self, member: _Member) -> IO[bytes]:
        if self._zip is not None:
            assert isinstance(member.entry, zipfile.ZipInfo)
            return self._zip.open(member.entry)
        assert self._tar is not None and isinstance(member.entry, tarfile.TarInfo)
        stream = self._tar.extractfile(member.entry)
        assert stream is not None
        return stream


class _BoundedReads(io.BufferedIOBase):
    """Uncompressed content of a tar archive; a read of more than ``_MAX_READ`` bytes is refused."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_READ:
            raise ValueError(f"a header of {size} bytes")
        content: bytes = self._file.read(size)
        return content

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()


def _normalized(name: str) -> str:
    """Return a name without ``./`` and doubled or trailing slashes."""
    return str(PurePosixPath(name))


def _checked(archive: Path, members: Iterator[_Member], max_bytes: int) -> list[_Member]:
    """Return the entries. Raise NasError for the first one that must not be extracted."""
    accepted: list[_Member] = []
    total, names = 0, set()
    for member in members:
        total += member.size
        problem = _problem(member.name, member.kind)
        if member.kind == "file" and member.name in names:
            problem = "occurs twice"
        if problem is None and (total > max_bytes or member.size < 0):
            problem = f"exceeds the limit of {max_bytes:,} unpacked bytes"
        if problem is None and len(accepted) >= MAX_MEMBERS:
            problem = f"exceeds the limit of {MAX_MEMBERS:,} entries"
        if problem is not None:
            raise NasError(f"{archive}: entry {ascii(member.name)[:200]} {problem}. Nothing was unpacked.")
        names.add(member.name)
        accepted.append(member)
    return accepted


def _problem(name: str, kind: str) -> str | None:
    """Return why an entry must not be extracted, None if it may be."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name) or "\\" in name:
        return "leads out of the destination"
    if not name.isprintable():
        return "has control characters in its name"
    if not path.parts and kind == "file":
        return "has no name"
    return None if kind in ("file", "folder") else f"is a {kind}"


def _write(reader: _Reader, member: _Member, destination: Path) -> Path:
    """Write one file atomically. Raise NasError if a link in the destination leads out of it."""
    path = destination.joinpath(*PurePosixPath(member.name).parts)
    if not real_path(path.parent).is_relative_to(real_path(destination)):
        raise NasError(f"{path.parent}: a link leads out of {destination}. Remove it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex}.part")
    try:
        with reader.open(member) as source, temporary.open("xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            if target.tell() != member.size:
                raise ValueError(f"{member.name} has {target.tell()} bytes instead of {member.size}")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
