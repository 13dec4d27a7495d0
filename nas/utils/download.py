"""Download of published files: verified by checksum, resumed after an interruption, never over an existing file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import http.client
import logging
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from io import RawIOBase
from pathlib import Path
from typing import Any

from nas.utils.atomic_write import publish
from nas.utils.created_directory import created_directory
from nas.utils.errors import NasError
from nas.utils.remote_file import RemoteFile, reason_of, request_for

log = logging.getLogger(__name__)

Report = Callable[[int, int], None]
"""Callback with the number of downloaded bytes and the total, which is 0 if unknown."""
TIMEOUT = 30.0  # seconds without a response
ATTEMPTS = 4  # per address, after a broken connection
PAUSE = 2.0  # seconds before another attempt
_CHUNK = 1 << 20
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def download(file: RemoteFile, root: Path, report: Report = lambda done, total: None) -> bool:
    """Download a file into ``root`` and verify it.

    A partial download stays in ``NAME.part``, and the next call resumes it. If nothing was downloaded, nothing stays,
    not even a new directory. Of several processes one downloads and the others wait for it.

    Returns:
        False if the file existed already.

    Raises:
        NasError: if a file of this name has another content, no address provides the file, or the disk is full.
    """
    destination = root / file.name
    part = destination.with_name(f"{destination.name}.part")
    try:
        if destination.exists():
            return _check_existing(file, destination)
        with _locked(part) as stream:
            if destination.exists():  # another process was faster
                return _check_existing(file, destination)
            _Download(file, part, stream, report).run()
            if not publish(part, destination):
                raise NasError(f"{destination}: appeared during the download and was left as it is.")
    except OSError as error:
        raise NasError(f"{destination}: cannot be written ({reason_of(error)}).") from error
    return True


class _Download:
    """One download into an open and locked ``.part`` file."""

    def __init__(self, file: RemoteFile, part: Path, stream: RawIOBase, report: Report) -> None:
        self.file, self.part, self.stream, self.report = file, part, stream, report
        self.total = file.size

    def run(self) -> None:
        resumed = self._there() > 0
        self._fetch_any()
        digest = self.file.file_digest(self.part)
        if digest != self.file.digest and resumed:
            log.info("%s does not fit the published file; downloading it from the start", self.part.name)
            self._restart()
            self._fetch_any()
            digest = self.file.file_digest(self.part)
        if digest != self.file.digest:
            self.part.unlink()
            raise NasError(
                f"{self.file.name}: the download has {self.file.algorithm} {digest}, but the published file has "
                f"{self.file.digest}. It was deleted. Try again later."
            )

    def _fetch_any(self) -> None:
        """Fetch all remaining bytes from the first address that provides them."""
        problems = []
        for url in self.file.urls:
            problem = self._fetch(url)
            if problem is None:
                return
            problems.append(f"{url}: {problem}")
        kept = self._there()
        if kept:
            resume = f" {_megabytes(kept)} are kept in {self.part.name}. Run the same command again to resume."
        else:
            resume = ""
        raise NasError(f"{self.file.name}: the download failed ({'; '.join(problems)}).{resume}")

    def _fetch(self, url: str) -> str | None:
        """Fetch from one address, and return the problem if it does not provide the file."""
        problem = ""
        for attempt in range(ATTEMPTS):
            before = self._there()
            try:
                self._receive(url)
                return None
            except urllib.error.HTTPError as error:
                if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                    if self._is_complete():
                        return None
                    self._restart()
                    continue
                problem = f"HTTP {error.code} {error.reason}"
                if error.code < 500 and error.code != http.client.TOO_MANY_REQUESTS:
                    return problem
            except (OSError, ValueError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise NasError(self._no_space()) from error
                problem = reason_of(error)
                if isinstance(error, ValueError | urllib.error.URLError) and self._there() == before:
                    return problem
            if attempt + 1 < ATTEMPTS:
                time.sleep(PAUSE)
        return problem

    def _receive(self, url: str) -> None:
        offset = self._there()
        with urllib.request.urlopen(request_for(url, offset), timeout=TIMEOUT) as response:
            length = int(response.headers.get("Content-Length") or 0)
            if offset and not _continues(response, offset):
                self._restart()  # the server sends the whole file
                offset = 0
            self.total = offset + length if length else self.file.size
            if shutil.disk_usage(self.part.parent).free < self.total - offset:
                raise NasError(self._no_space())
            while chunk := response.read(_CHUNK):
                self._write(chunk)
                self.report(self._there(), self.total)
                if self.file.size and self._there() > self.file.size:
                    self._restart()
                    raise ValueError(f"the file is larger than the published one ({self.file.size} bytes)")
        if self._there() < self.total:
            raise ConnectionError(f"the connection broke after {self._there()} of {self.total} bytes")
        os.fsync(self.stream.fileno())

    def _write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:  # an unbuffered file may take a part only
            rest = rest[self.stream.write(rest) or 0 :]

    def _there(self) -> int:
        return self.stream.tell()

    def _restart(self) -> None:
        self.stream.truncate(0)
        self.stream.seek(0)

    def _is_complete(self) -> bool:
        return self.file.file_digest(self.part) == self.file.digest

    def _no_space(self) -> str:
        kept, folder = self._there(), self.part.parent.absolute()
        return (
            f"{self.file.name}: the disk of {folder} is full; {_megabytes(self.total - kept)} more are needed. "
            f"{_megabytes(kept)} are kept in {self.part.name}."
        )


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[RawIOBase]:
    """Open the ``.part`` file at its end, in a directory that may be new; wait until no other process has the file."""
    while True:
        with created_directory(part.parent), contextlib.ExitStack() as stack:
            try:
                stream = stack.enter_context(part.open("ab", buffering=0))
            except FileNotFoundError:
                if part.parent.is_dir():
                    raise
                continue  # another process, whose download failed, has removed its new directory
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("waiting for another process that downloads %s", part.name.removesuffix(".part"))
                fcntl.flock(stream, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            destination = part.with_name(part.name.removesuffix(".part"))
            if not _is_open_file(part, stream) and not destination.exists():
                continue  # the other process has deleted the file that this one opened
            try:
                yield stream
            finally:
                _discard_empty(part)
            return


def _is_open_file(path: Path, stream: RawIOBase) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _check_existing(file: RemoteFile, destination: Path) -> bool:
    """Return False. Raise NasError if the existing file is another one."""
    if not destination.is_file() or file.file_digest(destination) != file.digest:
        raise NasError(
            f"{destination}: exists, but is not the published file ({file.algorithm} {file.digest}). "
            "Move it away to download it."
        )
    return False


def _discard_empty(part: Path) -> None:
    if part.exists() and part.stat().st_size == 0:
        part.unlink()


def _continues(response: Any, offset: int) -> bool:
    """Return whether a response begins at the requested byte."""
    begin = (response.headers.get("Content-Range") or "").replace("=", " ").split("-")[0].split()
    return response.status == http.client.PARTIAL_CONTENT and begin[-1:] == [str(offset)]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
