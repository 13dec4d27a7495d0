"""Published files: their checksums, and requests for them."""

from __future__ import annotations

import hashlib
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.utils.errors import NasError, one_line

_LIMIT = 1 << 22  # bytes that a small file has at most


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Args:
        name: path of the file in the data directory.
        urls: addresses of the same content; the next one is tried if one fails.
        digest: checksum of the content, in hexadecimal digits.
        algorithm: ``md5`` or ``sha256``.
        size: bytes; 0 if unknown.
    """

    name: str
    urls: tuple[str, ...]
    digest: str
    algorithm: str = "md5"
    size: int = 0

    def fits(self, content: bytes) -> bool:
        """Return whether ``content`` has the published checksum."""
        return bool(_hash(self.algorithm, content).hexdigest() == self.digest)

    def file_digest(self, path: Path) -> str:
        """Return the checksum of a local file."""
        with path.open("rb") as stream:
            return str(hashlib.file_digest(stream, lambda: _hash(self.algorithm)).hexdigest())


def fetch(file: RemoteFile, seconds: float) -> bytes:
    """Return the content of a small file. Wait at most ``seconds``, even if the network hangs.

    Raises:
        NasError: with only the reason as message, if the content is unavailable or has another checksum.
    """
    results: list[bytes | Exception] = []

    def load() -> None:
        try:
            with urllib.request.urlopen(request_for(file.urls[0]), timeout=seconds) as response:
                results.append(response.read(_LIMIT))
        except Exception as error:
            results.append(error)

    # Looking up the name of a host has no time limit, so a thread that takes too long is abandoned.
    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(seconds)
    result = results[0] if results else TimeoutError(f"no answer within {seconds:g} s")
    if isinstance(result, Exception):
        raise NasError(reason_of(result)) from result
    if not file.fits(result):
        raise NasError(f"the answer does not have {file.algorithm} {file.digest}")
    return result


def request_for(url: str, offset: int = 0) -> urllib.request.Request:
    """Return the request for a file from byte ``offset`` on."""
    headers = {"User-Agent": "nas", **({"Range": f"bytes={offset}-"} if offset else {})}
    return urllib.request.Request(url, headers=headers)


def reason_of(error: Exception) -> str:
    """Return the cause of a failed request, without the wrapping text of Python's libraries."""
    reason: object = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(reason, TimeoutError) and not reason.args[1:]:
        return str(reason) if str(reason).startswith("no answer") else "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return one_line(reason.strerror)
    return one_line(reason) or type(reason).__name__


def _hash(algorithm: str, content: bytes = b"") -> Any:
    # usedforsecurity=False, since some systems disable md5 otherwise
    return hashlib.new(algorithm, content, usedforsecurity=False)
