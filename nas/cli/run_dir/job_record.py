"""Records of the jobs of a sweep: overrides, directory and failure of each.

A job writes its record into the directory of the sweep, whatever its process, host or own directory is. The table of
the sweep reads all records.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from hydra.core.hydra_config import HydraConfig

from nas.cli.run_dir.task_overrides import task_overrides
from nas.utils.atomic_write import write_json

SWEEP_DIRECTORY = "NAS_SWEEP_DIRECTORY"
"""Environment variable with the directory of the sweep that a job belongs to."""
RESUMED_SWEEP = "NAS_RESUMED_SWEEP"
"""Environment variable of the jobs of a sweep that a command resumes in its directory."""
RECORDS = ".jobs"  # the folder of the records


@dataclass(frozen=True)
class JobRecord:
    """Record of one job.

    Attributes:
        number: the number of the job in its sweep.
        directory: its output directory.
        overrides: its overrides.
        ended: whether it ended, successfully or not.
        failure: one line on its failure, None if it has none.
        pruned: epoch and value at which a trial of a study was pruned, None for any other job.
        value: the result of the job, None if it has none.
    """

    number: int
    directory: str
    overrides: tuple[str, ...]
    ended: bool = False
    failure: str | None = None
    pruned: str | None = None
    value: float | None = None

    @classmethod
    def start(cls, output: Path) -> Self:
        """Write the record of the job that Hydra runs now; ``output`` is the directory of its summary."""
        record = cls(int(HydraConfig.get().job.num), str(output.absolute()), tuple(task_overrides()))
        record.save(_sweep_directory())
        return record

    def end(self, failure: str | None = None, pruned: str | None = None, value: float | None = None) -> None:
        """Write that the job has ended, with its failure or its result."""
        # the overrides are read again: a job may have inherited further ones from the run that it names
        overrides = tuple(task_overrides())
        ended = replace(self, ended=True, failure=failure, pruned=pruned, value=value, overrides=overrides)
        ended.save(_sweep_directory())

    def save(self, sweep: Path) -> None:
        """Write the record into the directory of a sweep."""
        folder = sweep / RECORDS
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{self.number}.json", asdict(self))


def _sweep_directory() -> Path:
    """Return the directory of the sweep that this process runs a job of."""
    return Path(os.environ.get(SWEEP_DIRECTORY) or HydraConfig.get().sweep.dir)


def read_records(sweep: Path) -> list[JobRecord]:
    """Return the records of the jobs of a sweep, by number."""
    records = [JobRecord(**json.loads(path.read_text())) for path in (sweep / RECORDS).glob("*.json")]
    return sorted(records, key=lambda record: record.number)


def remove_records(sweep: Path) -> None:
    """Remove the folder of the records."""
    for path in (sweep / RECORDS).glob("*"):
        path.unlink(missing_ok=True)
    if (sweep / RECORDS).is_dir():
        (sweep / RECORDS).rmdir()


def parse_overrides(overrides: Sequence[str]) -> dict[str, str]:
    """Return the values of overrides by key, without the prefixes + and ++."""
    return {key.lstrip("+~"): value for key, _, value in (line.partition("=") for line in overrides)}
