"""Published archives of pickled arrays: fetched, unpacked and read only where their md5 sums fit."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import logging
import os
import pickle
import shutil
import tarfile
import urllib.request
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas.utils.errors import NasError, one_line

log = logging.getLogger(__name__)

_TIMEOUT = 60  # seconds without an answer


@dataclass(frozen=True)
class Archive:
    """A published ``.tar.gz``: where it is to be had, its md5 sum, its folder, and the files there by md5 sum."""

    url: str
    md5: str
    folder: str
    files: Mapping[str, str]

    @property
    def file(self) -> str:
        """Name of the archive."""
        return self.url.rsplit("/", 1)[-1]

    def missing(self, root: Path) -> list[str]:
        """The files that are not in their folder in ``root``."""
        return [name for name in self.files if not (root / self.folder / name).is_file()]

    def unavailable(self, root: Path, why: str) -> NasError:
        """The error for files that are missing in ``root`` and cannot be had because of ``why``."""
        lacking = self.missing(root)
        count = f"{lacking[0]} and {len(lacking) - 1} other files" if len(lacking) > 1 else "".join(lacking)
        return NasError(
            f"{(root / self.folder).absolute()} lacks {count}, and {why}: "
            f"put {self.file} (md5 {self.md5}) from {self.url} into {root.absolute()}"
        )

    def prepare(self, root: Path, download: bool) -> None:
        """Make sure that all files are there: unpack the archive from ``root``, or else download it first.

        Raises:
            NasError: if the archive is damaged, or is not there and may not or cannot be downloaded.
        """
        if not self.missing(root):
            return
        packed = root / self.file
        if not packed.is_file():
            if not download:
                raise self.unavailable(root, f"{self.file} is not there either and download is off")
            self._download(root)
        else:
            _check(packed, _file_md5(packed), self.md5)
        self._unpack(packed, root)

    def read(self, root: Path, name: str) -> Any:
        """What is pickled in the file ``name``, opened only if its md5 sum fits, and then by ``_ArrayUnpickler``.

        Raises:
            NasError: if the file is missing, damaged, or holds more than arrays and plain values.
        """
        path = root / self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise self.unavailable(root, f"{name} cannot be read ({error})") from error
        _check(path, _md5(content).hexdigest(), self.files[name])
        return unpickle_arrays(content, path, "bytes")

    def _download(self, root: Path) -> None:
        """Download to a name of its own, and rename once whole: another process never sees half an archive."""
        part = root / f".{self.file}.{uuid.uuid4().hex}.part"
        log.info("downloading %s to %s", self.url, root)
        try:
            root.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as stream, urllib.request.urlopen(self.url, timeout=_TIMEOUT) as reply:
                shutil.copyfileobj(reply, stream)
            if (found := _file_md5(part)) != self.md5:
                raise self.unavailable(root, f"the download has md5 {found}")
            part.replace(root / self.file)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self.unavailable(root, f"the download failed ({error!r})") from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink()

    def _unpack(self, packed: Path, root: Path) -> None:
        """Write those expected files that are missing, and nothing else that the archive may hold."""
        wanted = {f"{self.folder}/{name}": root / self.folder / name for name in self.missing(root)}
        try:
            (root / self.folder).mkdir(parents=True, exist_ok=True)
            with tarfile.open(packed, "r:gz") as tar:
                for member in tar:
                    stream = tar.extractfile(member) if member.name in wanted and member.isreg() else None
                    if stream is not None:
                        write_whole(wanted.pop(member.name), stream.read())
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise NasError(f"cannot unpack {packed}: {error!r}; delete it to download again") from error
        if wanted:
            raise NasError(f"{packed} does not hold {', '.join(wanted)}: delete it to download again")


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numpy arrays, strings, numbers and containers of them; no other class or function is ever looked up."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            # Asked of an array, as numpy 2 has moved this function and warns where it is called by its old name.
            ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("_codecs", "encode"): _latin1_bytes,  # how Python 3 writes bytes for readers of Python 2
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, where only arrays and plain values belong")
        return allowed[module, name]


def unpickle_arrays(content: bytes, path: Path, encoding: str) -> Any:
    """What is pickled in the ``content`` of ``path``; ``encoding`` is that of strings written by Python 2.

    Raises:
        NasError: if it asks for more than arrays and plain values, or is no pickle.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(content), encoding=encoding).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise NasError(f"refused to open {path}: {one_line(error) or type(error).__name__}") from error


def _latin1_bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}, where bytes are written as latin1")
    return text.encode("latin1")


def _md5(content: bytes = b"") -> Any:
    # Not for security; says so, as some systems refuse md5 otherwise.
    return hashlib.md5(content, usedforsecurity=False)


def _file_md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, _md5).hexdigest()


def _check(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise NasError(f"{path} is damaged (md5 {found}, expected {expected}): delete it to download again")


def write_whole(path: Path, content: bytes) -> None:
    """Write under a name of its own, and rename once whole."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
