"""Small files in the layout of NAS-Bench-101."""

from __future__ import annotations

import base64
import json
import random
import struct
from collections.abc import Iterable
from pathlib import Path

from nas.benchmarks.nas_bench_101.records import masked_checksum
from nas.spaces.nas_bench_101.graph import Graph, graph_hash, prune

EPOCHS, REPEATS = (4, 108), 3
SPLITS = ("train", "valid", "test")


def images_of(name: str, epochs: int, repeat: int, split: str) -> int:
    """Return a number of correct images that depends only on the arguments."""
    return random.Random(f"{name} {epochs} {repeat} {split}").randrange(1000, 10_000)


def seconds_of(name: str, epochs: int, repeat: int) -> float:
    """Return seconds that depend only on the arguments."""
    return 10.0 * epochs + images_of(name, epochs, repeat, "time") / 1024


def _field(number: int, kind: int, content: bytes) -> bytes:
    return bytes([number << 3 | kind]) + content


def evaluation(epoch: float, seconds: float, accuracies: Iterable[float]) -> bytes:
    """Encode an evaluation as a protocol buffer, with the name of a checkpoint."""
    numbers = [epoch, seconds, *accuracies]
    doubles = b"".join(_field(i, 1, struct.pack("<d", value)) for i, value in enumerate(numbers, 1))
    return doubles + _field(6, 2, b"\x04ckpt")


def metrics(name: str, epochs: int, repeat: int) -> bytes:
    """Encode a training: evaluations at the start, the middle and the end, 300 parameters and the total time."""
    final = [images_of(name, epochs, repeat, split) / 10_000 for split in SPLITS]
    stages = [
        evaluation(0, 0.0, [0.1] * 3),
        evaluation(epochs / 2, 1.0, [0.2] * 3),
        evaluation(epochs, seconds_of(name, epochs, repeat), final),
    ]
    content = b"".join(_field(1, 2, bytes([len(stage)]) + stage) for stage in stages)
    return content + _field(2, 0, b"\xac\x02") + _field(3, 1, struct.pack("<d", 9.0))


def record(content: bytes) -> bytes:
    """Return a TFRecord."""
    head = struct.pack("<Q", len(content))
    return head + struct.pack("<I", masked_checksum(head)) + content + struct.pack("<I", masked_checksum(content))


def write_file(path: Path, graphs: Iterable[Graph], epochs: Iterable[int] = EPOCHS) -> list[str]:
    """Write all trainings of some cells in random order and return the hashes of the cells."""
    found, records = [], []
    for graph in graphs:
        pruned = prune(graph)
        assert pruned is not None
        name = graph_hash(pruned)
        found.append(name)
        adjacency = "".join(str(bit) for row in pruned.matrix for bit in row)
        for length in epochs:
            for repeat in range(REPEATS):
                encoded = base64.b64encode(metrics(name, length, repeat)).decode()
                entry = json.dumps([name, length, adjacency, ",".join(pruned.ops), encoded])
                records.append((repeat, record(entry.encode())))
    random.Random(0).shuffle(records)
    records.sort(key=lambda pair: pair[0])  # the order of the repeats is their number
    path.write_bytes(b"".join(content for _, content in records))
    return found
