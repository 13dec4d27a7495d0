"""Published archives of pickled arrays: download, unpacking and reading, verified by md5 sums."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.data.pipeline.extract import extract
from nas.data.pipeline.unpickle import unpickle_arrays
from nas.utils.download import download as download_file
from nas.utils.errors import NasError
from nas.utils.read_file import read_bytes
from nas.utils.remote_file import RemoteFile

log = logging.getLogger(__name__)

_MAX_BYTES = 1 << 30  # unpacked; CIFAR has 186 MB


@dataclass(frozen=True)
class Archive:
    """A published ``.tar.gz`` with the md5 sums of itself and of its files.

    Args:
        url: address of the archive.
        md5: md5 sum of the archive.
        folder: folder within the archive.
        files: names of the files in the folder, with their md5 sums.
        size: bytes of the archive; 0 if unknown.
    """

    url: str
    md5: str
    folder: str
    files: Mapping[str, str]
    size: int = 0

    @property
    def file(self) -> str:
        """File name of the archive."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def remote(self) -> RemoteFile:
        """The archive as a file to download."""
        return RemoteFile(self.file, (self.url,), self.md5, size=self.size)

    def missing(self, root: Path) -> list[str]:
        """Return the names of the files that are missing from the folder in ``root``."""
        return [name for name in self.files if not (root / self.folder / name).is_file()]

    def unavailable(self, root: Path, reason: str) -> NasError:
        """Return the error for missing files in ``root`` that are unavailable for ``reason``."""
        missing = self.missing(root)
        files = f"{missing[0]} and {len(missing) - 1} other files" if len(missing) > 1 else "".join(missing)
        return NasError(
            f"{(root / self.folder).absolute()}: missing {files}, and {reason}. "
            f"Put {self.file} (md5 {self.md5}) from {self.url} into {root.absolute()}, or set paths.data to the "
            f"directory of {self.folder}."
        )

    def prepare(self, root: Path, download: bool) -> None:
        """Unpack missing files from the archive in ``root``, after downloading it if necessary.

        Raises:
            NasError: if the archive is damaged, or is missing and cannot be downloaded.
        """
        if not self.missing(root):
            return
        packed = root / self.file
        if not packed.is_file():
            if not download:
                raise self.unavailable(root, f"{self.file} is missing too and download is off")
            self._download(root)
        else:
            _check_md5(packed, _file_md5(packed), self.md5)
        self._unpack(packed, root)

    def read(self, root: Path, name: str) -> Any:
        """Unpickle the file ``name`` after verifying its md5 sum.

        Raises:
            NasError: if the file is missing, damaged, or holds more than arrays and plain values.
        """
        path = root / self.folder / name
        try:
            content = read_bytes(path, _MAX_BYTES)
        except (OSError, ValueError) as error:
            raise self.unavailable(root, f"{name} cannot be read ({error})") from error
        _check_md5(path, _md5(content).hexdigest(), self.files[name])
        return unpickle_arrays(content, path, "bytes")

    def _download(self, root: Path) -> None:
        """Download the archive, which has its name only when it is complete and verified."""
        log.info("downloading %s to %s", self.url, root)
        try:
            download_file(self.remote, root)
        except NasError as error:
            raise self.unavailable(root, str(error).rstrip(".")) from error

    def _unpack(self, packed: Path, root: Path) -> None:
        """Write the missing files of ``files``, and no other entry of the archive."""
        extract(packed, root, [f"{self.folder}/{name}" for name in self.missing(root)], _MAX_BYTES)


def _md5(content: bytes = b"") -> Any:
    # usedforsecurity=False, since some systems disable md5 otherwise.
    return hashlib.md5(content, usedforsecurity=False)


def _file_md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, _md5).hexdigest()


def _check_md5(path: Path, md5: str, expected: str) -> None:
    if md5 != expected:
        raise NasError(f"{path}: damaged (md5 {md5}, expected {expected}). Delete it to download it again.")
