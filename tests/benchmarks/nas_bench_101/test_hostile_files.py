"""Conversion of damaged and hostile files of NAS-Bench-101: one line, no traceback, nothing written."""

from __future__ import annotations

import base64
import json
import random
import struct
from pathlib import Path

import pytest

from nas.benchmarks.nas_bench_101.records import MAX_BYTES, masked_checksum
from nas.cli.commands.convert import main
from nas.spaces.nas_bench_101.graph import Graph
from tests.support.nas_bench_101_tools import evaluation, metrics, record, write_file

SOURCE = "nasbench_only108.tfrecord"
GRAPH = Graph(((0, 1, 0), (0, 0, 1), (0, 0, 0)), ("input", "conv3x3-bn-relu", "output"))
NAME = "0" * 31 + "1"
OPS = "input,conv3x3-bn-relu,output"
CHAIN = "010001000"


def line(
    name: object = NAME, epochs: object = 108, adjacency: object = CHAIN, ops: object = OPS, training: bytes = b""
) -> bytes:
    """Return a record with some other parts."""
    encoded = base64.b64encode(training or metrics(NAME, 108, 0)).decode()
    return record(json.dumps([name, epochs, adjacency, ops, encoded]).encode())


def trained(seconds: float = 1.0, accuracy: float = 0.5, parameters: bytes = b"\x10\x01") -> bytes:
    """Encode a training with some other numbers; ``parameters`` is the whole field."""
    stage = evaluation(108, seconds, [accuracy] * 3)
    return b"".join(b"\x0a" + bytes([len(stage)]) + stage for _ in range(3)) + parameters


def huge_head(length: int) -> bytes:
    """Return the length of a record with its right checksum."""
    head = struct.pack("<Q", length)
    return head + struct.pack("<I", masked_checksum(head))


HOSTILE = {
    "wrong magic": (b"PK\x03\x04" + bytes(60), "is not a TFRecord file"),
    "one byte": (b"\x00", "is cut off after 0 bytes"),
    "huge length": (huge_head(2**63) + bytes(100), "is not a TFRecord file, or is damaged after 0 bytes"),
    "large length": (huge_head(MAX_BYTES) + bytes(100), "is cut off after 0 bytes"),
    "content": (line()[:40] + b"X" + line()[41:], "is damaged after 0 bytes (checksum of a record)"),
    "no utf-8": (record(b"\xff\xfe"), "record 1 is damaged"),
    "deep": (record(b"[" * 100_000), "record 1 is damaged"),
    "long number": (record(b"[" + b"9" * 5000 + b"]"), "record 1 is damaged"),
    "name": (line(name=" " * 32), "record 1 is damaged"),
    "short name": (line(name="ab " * 10 + "ab"), "record 1 is damaged"),
    "name is a list": (line(name=["0"] * 32), "record 1 is damaged"),
    "ops are a list": (line(ops=OPS.split(",")), "record 1 is damaged"),
    "other ops": (line(ops="input,conv9x9,output"), "record 1 is damaged (the ops input,conv9x9,output)"),
    "epochs": (line(epochs=5), "record 1 is damaged (a training of 5 epochs)"),
    "large epochs": (line(epochs=10**400), "record 1 is damaged (a training of 1000"),
    "eight vertices": (line(adjacency="0" * 64, ops="input," + "maxpool3x3," * 6 + "output"), "8 vertices"),
    "lower triangular": (line(adjacency="010101000"), "not upper triangular"),
    "no protocol buffer": (line(training=b"\xff" * 40), "record 1 is damaged"),
    "parameters": (line(training=trained(parameters=b"\x10\xff\xff\xff\xff\x0f")), "out of range"),
    "long varint": (line(training=trained(parameters=b"\x10" + b"\xff" * 100_000 + b"\x01")), "more than 64 bits"),
    "no seconds": (line(training=trained(seconds=float("nan"))), "out of range"),
    "many seconds": (line(training=trained(seconds=1e300)), "out of range"),
    "no accuracy": (line(training=trained(accuracy=float("nan"))), "an accuracy is no fraction"),
    "four repeats": (line() * 4, "record 4 is damaged (more than 3 trainings of one cell and length)"),
    "two cells": (line() + line(adjacency="011001000"), "record 2 is damaged (another cell with the hash"),
    "other parameters": (line() + line(training=trained()), "or other parameters)"),
}


def converts(content: bytes, directory: Path, capsys: pytest.CaptureFixture[str]) -> str | None:
    """Return the only line of a conversion that fails, None if it succeeds."""
    (directory / SOURCE).write_bytes(content)
    out = directory / "out.parquet"
    code = main([str(directory / SOURCE), str(out), "--partial", "--force"])
    lines = capsys.readouterr().err.splitlines()
    if code == 0:
        return None
    assert code == 1 and len(lines) == 1 and lines[0].startswith("error: ") and len(lines[0]) < 600, lines
    assert not out.exists() and lines[0].endswith("Download it again.")
    return lines[0]


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_one_line(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, problem = HOSTILE[kind]
    assert problem in (converts(content, tmp_path, capsys) or "")


def test_changed_bytes_and_cuts_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checksum covers each byte of a file, so every change of one byte is noticed."""
    write_file(tmp_path / SOURCE, [GRAPH], [108])
    content, rng = (tmp_path / SOURCE).read_bytes(), random.Random(0)
    assert converts(content, tmp_path, capsys) is None
    (tmp_path / "out.parquet").unlink()
    for _ in range(150):
        place = rng.randrange(len(content))
        changed = content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
        assert converts(changed, tmp_path, capsys) is not None
    for _ in range(50):
        assert converts(rng.randbytes(rng.randrange(1, 3000)), tmp_path, capsys) is not None
    size = len(content) // 3
    for end in {*range(1, len(content), 37)} - {size, 2 * size}:
        found = converts(content[:end], tmp_path, capsys)
        assert found is None or "is cut off after" in found
        (tmp_path / "out.parquet").unlink(missing_ok=True)


def test_directories_and_empty_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is empty" in (converts(b"", tmp_path, capsys) or "")
    (tmp_path / "nasbench_full.tfrecord").mkdir()
    assert main([str(tmp_path / "nasbench_full.tfrecord"), str(tmp_path / "out.parquet"), "--partial"]) == 1
    assert "is not a regular file. Set SRC to the downloaded .tfrecord file." in capsys.readouterr().err
