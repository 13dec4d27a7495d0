"""Checksum stored within a Parquet file, verified at opening.

Parquet decoders do not notice most flipped bits: a damaged accuracy is a valid number. The checksum covers the whole
file, including the names of columns. It is stored in the metadata of the file. Its own digits count
as zeros.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from nas.utils.errors import NasError

KEY = "nas-blake2b"
"""Key of the checksum in the metadata of the file."""
_BYTES = 16
_ZEROS = b"0" * (2 * _BYTES)


def encode_table(table: pa.Table) -> bytes:
    """Return a Parquet file with the table and its checksum."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, compression="zstd", use_dictionary=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({KEY: _ZEROS.decode()})
    content = buffer.getvalue()
    place = _place(content, _ZEROS)
    assert place is not None, "the writer stores metadata as plain text"
    return content[:place] + _digest(content, place) + content[place + len(_ZEROS) :]


def stored_checksum(file: pq.ParquetFile) -> bytes | None:
    """Return the checksum stored in an open file, None if it has none."""
    checksum: bytes | None = (file.metadata.metadata or {}).get(KEY.encode())
    return checksum


def verify(path: Path, stored: bytes | None) -> None:
    """Raise NasError unless a converted benchmark matches its stored checksum."""
    if not fits(path, stored):
        raise NasError(
            f"benchmark: {path} is damaged (its checksum does not match). Convert or copy the benchmark again."
        )


def fits(path: Path, stored: bytes | None) -> bool:
    """Return whether the content of a file matches its stored checksum."""
    content = path.read_bytes()
    place = None if stored is None or len(stored) != len(_ZEROS) else _place(content, stored)
    return place is not None and _digest(content, place) == stored


def _place(content: bytes, value: bytes) -> int | None:
    """Return the position of the value of KEY, which follows its name in the footer."""
    place = content.find(value, max(content.rfind(KEY.encode()), 0))
    return None if place < 0 else place


def _digest(content: bytes, place: int) -> bytes:
    """Return the checksum of a file, with zeros in place of its stored value."""
    view = memoryview(content)
    digest = hashlib.blake2b(view[:place], digest_size=_BYTES)
    digest.update(_ZEROS)
    digest.update(view[place + len(_ZEROS) :])
    return digest.hexdigest().encode()
