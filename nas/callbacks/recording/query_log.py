"""Log of the evaluations of a black-box search."""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path

import pytorch_lightning as pl

from nas.blackbox.anytime import anytime_curve, save_curves, summarize
from nas.blackbox.query_records import encode_line
from nas.blackbox.search import BlackBoxSearch
from nas.utils.atomic_write import write_atomically

QUERIES_FILE = "queries.jsonl"


class QueryLog(pl.Callback):
    """Write one line per query to queries.jsonl after each epoch, and the anytime curve at the end.

    A resumed search rewrites the file from its checkpoint first.

    Args:
        directory: directory of the files.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._written = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, BlackBoxSearch)
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = _lines(pl_module)
        if lines or (self.directory / QUERIES_FILE).exists():
            write_atomically(self.directory / QUERIES_FILE, "".join(lines))
        self._written = len(lines)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, BlackBoxSearch)
        lines = _lines(pl_module, self._written)
        with (self.directory / QUERIES_FILE).open("a") as file:
            file.writelines(lines)
        self._written += len(lines)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, BlackBoxSearch)
        evaluator = pl_module.evaluator
        if evaluator is None or not pl_module.loop.history:
            return
        curve = anytime_curve(pl_module.loop, evaluator)
        save_curves(summarize([curve], evaluator.best_accuracies()), self.directory, evaluator)


def _lines(search: BlackBoxSearch, start: int = 0) -> list[str]:
    history = search.loop.history
    spent = list(accumulate(query.seconds for query in history))
    lines = []
    for number in range(start, len(history)):
        lines.append(json.dumps(encode_line(search.space, number, history[number], spent[number])) + "\n")
    return lines
