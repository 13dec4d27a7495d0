"""Reader of the published TFRecord files without TensorFlow.

A record is its length (uint64), a checksum of the length, the content and a checksum of the content. The content is a
JSON list: hash, epochs, adjacency, ops, and in base64 a protocol buffer with the evaluations of one training.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from nas.spaces.nas_bench_101.graph import INPUT, MAX_VERTICES, OPS, OUTPUT, Graph
from nas.utils.errors import NasError, one_line

_LENGTH, _CHECKSUM, _DOUBLE = struct.Struct("<Q"), struct.Struct("<I"), struct.Struct("<d")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""
EVALUATIONS, PARAMETERS = 1, 2
"""Fields of a training: evaluations at the start, the middle and the end, and the number of parameters."""
SECONDS, TRAIN, VALID, TEST = 2, 3, 4, 5
"""Fields of an evaluation."""
MAX_BYTES = 1 << 20
MAX_SECONDS = 1e9
LENGTHS = (4, 12, 36, 108)
"""Epochs of the trainings."""
_VARINT_BITS = 64
_DAMAGED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
    struct.error,
    binascii.Error,
)
"""Errors from reading contents of another layout."""
_FIX = "Download it again."
_MASK = 0xA282EAD8
_PROGRESS_STEP = 10_000


class TrainingRecord(NamedTuple):
    """One training of a cell.

    Attributes:
        hash: hash of the cell.
        epochs: length of the training.
        graph: the cell.
        parameters: trainable parameters of the network.
        seconds: seconds of the training without evaluations.
        accuracies: train, validation and test accuracy after the last epoch, as fractions.
    """

    hash: str
    epochs: int
    graph: Graph
    parameters: int
    seconds: float
    accuracies: tuple[float, float, float]


def read_records(
    path: Path, add: Callable[[TrainingRecord], None], verify: bool, progress: Callable[[int, int], None]
) -> None:
    """Read all trainings of a file.

    Args:
        path: the file ``nasbench_only108.tfrecord`` or ``nasbench_full.tfrecord``.
        add: receives the trainings. It raises ValueError for one that contradicts an earlier one.
        verify: compare the checksums of the contents, at about 10 MB per second.
        progress: receives the number of bytes that were read and their total.

    Raises:
        NasError: if the file is damaged, cut off or of another format.
    """
    if not path.is_file():
        raise NasError(f"SRC: {path} is not a regular file. Set SRC to the downloaded .tfrecord file.")
    size, number = path.stat().st_size, 0
    with path.open("rb") as file:
        for number, content in enumerate(_contents(file, path, verify), 1):
            try:
                add(decode(content))
            except _DAMAGED as error:
                reason = one_line(error)[:200] or type(error).__name__
                raise NasError(f"{path}: record {number:,} is damaged ({reason}). {_FIX}") from None
            if number % _PROGRESS_STEP == 0:
                progress(file.tell(), size)
    if not number:
        raise NasError(f"{path} is empty. {_FIX}")


def _contents(file: IO[bytes], path: Path, verify: bool) -> Iterator[bytes]:
    position = 0
    while head := file.read(_LENGTH.size + _CHECKSUM.size):
        if len(head) < _LENGTH.size + _CHECKSUM.size:
            raise NasError(f"{path} is cut off after {position:,} bytes. {_FIX}")
        (length,), (checksum,) = _LENGTH.unpack_from(head), _CHECKSUM.unpack_from(head, _LENGTH.size)
        if masked_checksum(head[: _LENGTH.size]) != checksum or length > MAX_BYTES:
            raise NasError(f"{path} is not a TFRecord file, or is damaged after {position:,} bytes. {_FIX}")
        content = file.read(length + _CHECKSUM.size)
        if len(content) < length + _CHECKSUM.size:
            raise NasError(f"{path} is cut off after {position:,} bytes. {_FIX}")
        if verify and masked_checksum(content[:length]) != _CHECKSUM.unpack_from(content, length)[0]:
            raise NasError(f"{path} is damaged after {position:,} bytes (checksum of a record). {_FIX}")
        position += len(head) + len(content)
        yield content[:length]


def decode(content: bytes) -> TrainingRecord:
    """Return the training of a record. Raises one of ``_DAMAGED`` for another content."""
    name, epochs, adjacency, ops, metrics = json.loads(content)
    labels = tuple(ops.split(","))
    count = len(labels)
    if len(adjacency) != count * count or set(adjacency) - {"0", "1"} or len(bytes.fromhex(name)) != 16:
        raise ValueError("another layout than that of NAS-Bench-101")
    if type(epochs) is not int or epochs not in LENGTHS:
        raise ValueError(f"a training of {str(epochs)[:20]} epochs")
    if (labels[0], labels[-1]) != (INPUT, OUTPUT) or set(labels[1:-1]) - set(OPS):
        raise ValueError(f"the ops {ops}")
    matrix = tuple(tuple(map(int, adjacency[row * count : (row + 1) * count])) for row in range(count))
    if count > MAX_VERTICES or any(bit for s, row in enumerate(matrix) for bit in row[: s + 1]):
        raise ValueError(f"a matrix of {count} vertices that is not upper triangular or too large")
    evaluations, parameters = [], 0
    for field, value in _fields(base64.b64decode(metrics, validate=True)):
        if field == EVALUATIONS and isinstance(value, bytes):
            evaluations.append(dict(_fields(value)))
        elif field == PARAMETERS and isinstance(value, int):
            parameters = value
    last = evaluations[2]
    seconds, train, valid, test = (float(last[field]) for field in (SECONDS, TRAIN, VALID, TEST))
    if not all(0 <= accuracy <= 1 for accuracy in (train, valid, test)):
        raise ValueError("an accuracy is no fraction")
    if not 0 <= seconds <= MAX_SECONDS or not 0 <= parameters < 1 << 31:
        raise ValueError("seconds or parameters are out of range")
    return TrainingRecord(
        bytes.fromhex(name).hex(), epochs, Graph(matrix, labels), parameters, seconds, (train, valid, test)
    )


def _fields(content: bytes) -> Iterator[tuple[int, float | int | bytes]]:
    """Yield number and value of the fields of a protocol buffer: doubles, whole numbers and bytes."""
    position = 0
    while position < len(content):
        key, position = _varint(content, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = _varint(content, position)
            yield key >> 3, value
        elif kind == _FIXED64:
            yield key >> 3, _DOUBLE.unpack_from(content, position)[0]
            position += _DOUBLE.size
        elif kind == _BYTES:
            length, position = _varint(content, position)
            if position + length > len(content):
                raise ValueError("a field is cut off")
            yield key >> 3, content[position : position + length]
            position += length
        elif kind == _FIXED32:
            position += 4
        else:
            raise ValueError(f"a field of wire type {kind}")


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Return a whole number of variable length and the position after it."""
    value = shift = 0
    while True:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift >= _VARINT_BITS:
            raise ValueError(f"a whole number of more than {_VARINT_BITS} bits")


def _checksum_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_TABLE = _checksum_table()


def masked_checksum(content: bytes) -> int:
    """Return the CRC-32C of a few bytes as TFRecord files store it."""
    checksum = 0xFFFFFFFF
    for byte in content:
        checksum = _TABLE[(checksum ^ byte) & 0xFF] ^ checksum >> 8
    checksum ^= 0xFFFFFFFF
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF
