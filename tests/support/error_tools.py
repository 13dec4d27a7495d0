"""Run command lines in this process and record output, exit code and files."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytorch_lightning as pl
import torch
from torch import Tensor

import nas.cli.search
import nas.cli.train
from tests.support.compose_tools import ROOT

TINY = (
    "dataset=synthetic",
    "dataset.shape=[3,8,8]",
    "dataset.size=64",
    "dataset.test_size=16",
    "dataset.batch_size=16",
)
SEARCH = (*TINY, "space.channels=4", "space.cells_per_stage=1", "epochs=1")
TRAIN = (*TINY, "network.channels=4", "network.cells_per_stage=1", "epochs=1")
NB201 = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"


@dataclass(frozen=True)
class Outcome:
    """Output and exit code of a command line."""

    code: int
    said: str
    erred: str

    def refused(self, *phrases: str, code: int = 1) -> None:
        """Assert exit code 1 and a single line on stderr that contains these phrases."""
        assert self.code == code, f"exit code {self.code}\n{self.said}\n{self.erred}"
        lines = self.erred.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), self.erred
        assert "Traceback" not in self.said and "Error executing job" not in self.said
        for phrase in phrases:
            assert phrase in lines[0], f"{phrase!r} is not in {lines[0]!r}"

    def succeeded(self) -> None:
        """Assert exit code 0 and no error."""
        assert self.code == 0 and not self.erred, self.erred


def run(script: str, *arguments: str | Path) -> Outcome:
    """``python SCRIPT.py arguments...`` in this process, which is left as it was; in the checkout no file is left.

    A small search is GDAS unless the arguments name a method, an experiment or a mode.
    """
    named = any(str(a).startswith(("method=", "metod=", "mode=", "experiment=")) for a in arguments)
    if "space.channels=4" in arguments and not named:
        arguments = ("method=gdas", *arguments)
    main = nas.cli.search.main if script == "search" else nas.cli.train.main
    said, erred = io.StringIO(), io.StringIO()
    code: Any = 0
    argv = [f"{script}.py", *map(str, arguments)]
    with _outside_of_checkout(), _undone(argv), redirect_stdout(said), redirect_stderr(erred):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    return Outcome(0 if code is None else int(code), said.getvalue(), erred.getvalue())


@contextmanager
def _outside_of_checkout() -> Iterator[None]:
    """Work in an empty temporary directory if the working directory is the checkout."""
    if Path.cwd() != ROOT:
        yield
        return
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        yield


@contextmanager
def _undone(argv: list[str]) -> Iterator[None]:
    """Restore the process state that a run changes: environment, signals, loggers, generators."""
    root, state, raising = logging.getLogger(), torch.get_rng_state(), logging.raiseExceptions
    handlers, level = list(root.handlers), root.level
    handled = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    environment = {**os.environ, "HYDRA_MAIN_MODULE": "__main__"}
    try:
        with (
            mock.patch.dict(os.environ, environment),
            mock.patch.object(sys, "argv", argv),
            warnings.catch_warnings(),
        ):
            yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:], root.level, logging.raiseExceptions = handlers, level, raising
        for number, handler in handled.items():
            signal.signal(number, handler)
        torch.set_rng_state(state)


def snapshot(directory: Path) -> dict[str, str]:
    """Return the checksums of the files of a directory, without its log."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix != ".log")
    return {str(path.relative_to(directory)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def hydra_files(files: Iterable[str]) -> set[str]:
    """Return the files of Hydra's record of a run, of the names that ``snapshot`` returns."""
    return {name for name in files if name.startswith(".hydra/")}


def unfinished(finished: Path, directory: Path, epochs: int = 2) -> Path:
    """Copy a run of one epoch as a run of ``epochs`` that was interrupted after the first."""
    for path in (path for path in finished.rglob("*") if path.is_file() and path.name != "summary.json"):
        copy = directory / path.relative_to(finished)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    overrides = directory / ".hydra" / "overrides.yaml"
    overrides.write_text(re.sub(r"epochs=\d+", f"epochs={epochs}", overrides.read_text()))
    return directory


class Bomb(pl.Callback):
    """Break a run before a step: set weights, statistics of batch norm or images, or send a signal.

    "validation" and "test" set the images of the first batch of these loops.
    """

    def __init__(self, what: str, epoch: int = 1, step: int = 1) -> None:
        self.what = what
        self.place = (epoch, step)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx) != self.place or self.what in ("validation", "test"):
            return
        if self.what == "interrupt":
            signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background of a shell ignore it
            os.kill(os.getpid(), signal.SIGINT)
        elif self.what in ("mean", "variance"):
            value, ending = {"mean": (float("nan"), "running_mean"), "variance": (float("inf"), "running_var")}[
                self.what
            ]
            next(buffer for n, buffer in pl_module.named_buffers() if n.endswith(ending)).fill_(value)
        elif self.what == "images":
            images: Tensor = batch["train"][0] if isinstance(batch, dict) else batch[0]
            images.fill_(float("inf"))
        else:
            value = {"spoiled": float("nan"), "huge": 3e38}[self.what]
            name = next(n for n, _ in pl_module.named_parameters() if "classifier.weight" in n)
            pl_module.get_parameter(name).data.fill_(value)

    def on_validation_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        if self.what == "validation" and trainer.current_epoch == self.place[0]:
            args[1][0].fill_(float("inf"))

    def on_test_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        if self.what == "test":
            args[1][0].fill_(float("inf"))


def bomb(what: str, **options: int) -> str:
    """Return the override that adds a ``Bomb`` to a run."""
    fields = [
        "_target_:tests.support.error_tools.Bomb",
        f"what:{what}",
        *(f"{key}:{value}" for key, value in options.items()),
    ]
    return f"+callbacks.bomb={{{','.join(fields)}}}"
