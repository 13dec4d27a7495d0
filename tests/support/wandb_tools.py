"""Offline runs of W&B, read back from their files."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.compose_tools import tiny

SMALL = [*tiny("darts"), "logger=wandb", "callbacks.cell_plots.every=1"]
EACH = ["epochs=1", "callbacks.curves.every=1"]  # a point per step
NETWORK = ["network.channels=4", "network.cells_per_stage=1"]


def records(path: Path) -> Iterator[Any]:
    """Yield the records of an offline run: protobufs in LevelDB's log format after a header of seven bytes."""
    from wandb.proto import wandb_internal_pb2

    data, place, part = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        room = 32768 - place % 32768
        if room < 7:
            place += room
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        part += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of a record
            yield wandb_internal_pb2.Record.FromString(part)
            part = b""


class OfflineRun:
    """Content of an offline run for a later upload.

    Attributes:
        path: file of the run.
        begin: protobuf with id, name, project, group, job type and tags.
        exits: exit codes.
        config: the configuration.
        artifacts: protobufs of the artifacts, inputs and outputs, without those of tables.
        rows: logged metrics, a row per call.
        logged: values of each metric.
        axes: axis of each defined metric.
        summary: final summary.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        found = list(records(path))
        self.begin = [record.run for record in found if record.HasField("run")][0]
        self.exits = [record.exit.exit_code for record in found if record.HasField("exit")]
        config = [*self.begin.config.update, *(u for record in found for u in record.config.update)]
        self.config = {update.key: json.loads(update.value_json) for update in config if update.key}
        artifacts = (record.artifact for record in found if record.HasField("artifact"))
        self.artifacts = [artifact for artifact in artifacts if artifact.type != "run_table"]
        self.axes = {r.metric.name: r.metric.step_metric for r in found if r.HasField("metric") and r.metric.name}
        self.rows = [_row(record.history.item) for record in found if record.HasField("history")]
        self.logged: dict[str, list[Any]] = {}
        for row in self.rows:
            for name, value in row.items():
                self.logged.setdefault(name, []).append(value)
        updates = [u for record in found if record.HasField("summary") for u in record.summary.update]
        self.summary = {u.key or ".".join(u.nested_key): json.loads(u.value_json) for u in updates}

    def pictures(self, name: str) -> list[Path]:
        """Return the files of the pictures that were logged under a name."""
        folder = self.path.parent / "files"
        single = [folder / file for file in self.logged.get(f"{name}.path", [])]
        return single + [folder / file for files in self.logged.get(f"{name}.filenames", []) for file in files]


def _row(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def offline_runs(directory: Path) -> list[OfflineRun]:
    """Return the offline runs of a run directory, the oldest first."""
    return [OfflineRun(path) for path in sorted((directory / "wandb").glob("offline-run-*/run-*.wandb"))]


def offline_run(directory: Path) -> OfflineRun:
    """Return the only offline run of a run directory."""
    (run,) = offline_runs(directory)
    return run
