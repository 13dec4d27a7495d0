"""Parts of hostile files: their directory, payloads and values."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from nas.cli.overrides.conf_dir import CONF

Edit = Callable[[dict[str, Any], "Bench"], object]
"""Change of the content of a file in place."""


@dataclass(frozen=True)
class Bench:
    """Files that the makers start from and write.

    Args:
        searched: run directory of a finished search (GDAS, one epoch).
        trained: run directory of a finished training.
        directory: empty directory for the hostile files of one case.
    """

    searched: Path
    trained: Path
    directory: Path

    @property
    def marker(self) -> Path:
        """Directory that an executed payload creates."""
        return self.directory / "executed"

    def copy(self, run: Path, finished: bool = True) -> Path:
        """Return a copy of a run to change; without its summary it can be resumed."""
        target = self.directory / "run"
        shutil.copytree(run, target)
        if not finished:
            (target / "summary.json").unlink()
        return target


@dataclass(frozen=True)
class Case:
    """A hostile file: the script that reads it, the maker of file and arguments, and words of the refusal."""

    name: str
    script: str
    make: Callable[[Bench], list[str]]
    phrase: str


def payload(bench: Bench) -> dict[str, str]:
    """Return the configuration of an object whose construction creates the marker."""
    return {"_target_": "os.mkdir", "path": str(bench.marker)}


def evil_choice(bench: Bench) -> str:
    """Write a configuration file outside of conf/, and return the path to it from a group."""
    (bench.directory / "evil.yaml").write_text(yaml.safe_dump(payload(bench)))
    return os.path.relpath(bench.directory / "evil", CONF / "dataset")


def set_value(*place: str, value: Any) -> Edit:
    def edit(content: dict[str, Any], bench: Bench) -> None:
        for key in place[:-1]:
            content = content[key]
        special = {"{evil}": evil_choice, "{sparse}": lambda bench: torch.ones(10).to_sparse()}
        content[place[-1]] = special[value](bench) if isinstance(value, str) and value in special else value

    return edit


def laughs(kind: type = list, levels: int = 60) -> Any:
    """Return nested lists or tuples of shared parts: 60 objects, and more text than any disk holds."""
    value: Any = kind(["ha"])
    for _ in range(levels):
        value = kind([value, value])
    return value


class Code:
    """Object whose unpickling creates a directory."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (self.path,)


LINKS = {"format": "nas-genotype", "version": 1, "space": "darts"}


HUGE_CELL = {"links": [["skip_connect", 0, 10**9]], "output": [10**9]}


SYNTHETIC = ("dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.size=64", "dataset.test_size=16", "epochs=1")
