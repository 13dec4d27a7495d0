"""Run steps of the language models of DARTS with the training functions of the authors' scripts.

    python tools/authors_text.py REFS DATA PROGRAM [--steps 6] [--epochs 1] [--size 300] [--batch-size 256] ...

REFS is a folder with a clone of github.com/quark0/darts. DATA is a folder with ``ptb.{train,valid,test}.txt`` or
``{train,valid,test}.txt``. PROGRAM is ``darts`` or ``darts_2nd`` (``rnn/train_search.py``, first and second order), or
``train`` (``rnn/train.py`` with DARTS_V2). The programs run as described in ``tools/authors_step.py``. All chunks have
35 rows, and each epoch is the first ``--steps`` of them. The output is one JSON line with seconds of the median step by
the wall clock and on all threads of the processor, and the peak memory in bytes. It has the perplexity of the training
text per epoch and, with ``--validate``, that of the validation text. The first two steps of an epoch are not counted.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.authors_step import WARMUP, function_of, prepare  # noqa: E402

SEARCH = {"dropoute": 0.0, "wdecay": 5e-7}
TRAIN = {"dropoute": 0.1, "wdecay": 8e-7}
COMMON = {
    "bptt": 35, "lr": 20, "clip": 0.25, "alpha": 0, "beta": 1e-3, "arch_lr": 3e-3, "arch_wdecay": 1e-3,
    "dropout": 0.75, "dropouth": 0.25, "dropoutx": 0.75, "dropouti": 0.2, "max_seq_len_delta": 20,
    "log_interval": 10**9, "cuda": False,
}  # fmt: skip
"""Defaults of the options of both scripts, except for the size and the batch."""
PROGRAMS = {"darts": SEARCH, "darts_2nd": SEARCH, "train": TRAIN}
EVAL_COLUMNS = 10


class Seconds(NamedTuple):
    """Readings of two clocks."""

    wall: float
    processor: float


def now() -> Seconds:
    """Return the current time."""
    return Seconds(time.perf_counter(), time.process_time())


def median_step(starts: Sequence[Seconds], end: Seconds) -> dict[str, float]:
    """Return the median seconds of the steps of an epoch that begin at ``starts``, without the first ones."""
    pairs = list(zip(starts, [*starts[1:], end], strict=True))[min(WARMUP, len(starts) - 1) :]
    return {
        "step_seconds": statistics.median(after.wall - before.wall for before, after in pairs),
        "step_cpu_seconds": statistics.median(after.processor - before.processor for before, after in pairs),
    }


class Recorder:
    """Replacements of functions of the scripts, which record times and losses."""

    def __init__(self, get_batch: Any, train_data: Tensor) -> None:
        self._get_batch, self._train_data = get_batch, train_data
        self.starts: list[Seconds] = []
        self.losses: list[Tensor] = []

    def get_batch(self, source: Tensor, *args: Any, **options: Any) -> Any:
        """Return a batch. A batch of the training text begins a step."""
        if source is self._train_data:
            self.starts.append(now())
        return self._get_batch(source, *args, **options)

    def nll_loss(self, log_prob: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a weight step."""
        loss = nn.functional.nll_loss(log_prob, target)
        self.losses.append(loss.detach())
        return loss


class Regular:
    """Stand-in for ``numpy`` with chunks of full length in place of random ones."""

    random = SimpleNamespace(random=lambda: 0.0, normal=lambda mean, std: mean)
    isnan = staticmethod(np.isnan)


def read_corpus(data: Any, folder: Path) -> Any:
    """Return the authors' corpus of a folder."""
    with tempfile.TemporaryDirectory() as directory:
        for part in ("train", "valid", "test"):
            named = folder / f"ptb.{part}.txt"
            Path(directory, f"{part}.txt").symlink_to(named if named.exists() else folder / f"{part}.txt")
        return data.Corpus(directory)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run the epochs of a program."""
    root = options.refs / "darts" / "rnn"
    prepare([root])
    import data  # type: ignore[import-not-found]
    import utils  # type: ignore[import-not-found]

    corpus = read_corpus(data, options.data)
    size, batch = options.size, options.batch_size
    given = {**COMMON, **PROGRAMS[options.program], "unrolled": options.program == "darts_2nd"}
    args = SimpleNamespace(**given, batch_size=batch, small_batch_size=batch)
    parts: dict[str, Any] = {"args": args, "corpus": corpus, "batchify": utils.batchify}
    rows = options.steps * args.bptt + 2
    train_data = utils.batchify(corpus.train, batch, args)[:rows]
    recorder = Recorder(utils.get_batch, train_data)
    drops = (args.dropout, args.dropouth, args.dropoutx, args.dropouti, args.dropoute)
    sizes = (len(corpus.dictionary), size, size, size, *drops)
    if options.program == "train":
        import genotypes  # type: ignore[import-not-found]
        from model import DARTSCell, RNNModel  # type: ignore[import-not-found]

        model = RNNModel(*sizes, cell_cls=DARTSCell, genotype=genotypes.DARTS_V2)
    else:
        from architect import Architect  # type: ignore[import-not-found]
        from model_search import RNNModelSearch  # type: ignore[import-not-found]

        model = RNNModelSearch(*sizes)
        parts |= {"architect": Architect(model, args), "search_data": utils.batchify(corpus.valid, batch, args)}
    parts |= {"model": model, "parallel_model": model, "train_data": train_data, "gc": gc, "math": math}
    parts |= {"optimizer": torch.optim.SGD(model.parameters(), lr=args.lr, weight_decay=args.wdecay)}
    parts |= {"get_batch": recorder.get_batch, "repackage_hidden": utils.repackage_hidden, "epoch": 1, "np": Regular}
    script = root / ("train.py" if options.program == "train" else "train_search.py")
    recording = SimpleNamespace(functional=SimpleNamespace(nll_loss=recorder.nll_loss), utils=nn.utils)
    train = function_of(script, "train", **parts, nn=recording)
    evaluate = function_of(script, "evaluate", **parts)
    validation = utils.batchify(corpus.valid, EVAL_COLUMNS, args)
    return measure(train, lambda: evaluate(validation, EVAL_COLUMNS), recorder, options)


def measure(train: Any, evaluate: Any, recorder: Recorder, options: argparse.Namespace) -> dict[str, Any]:
    """Run all epochs and return times and perplexities."""
    found: dict[str, Any] = {"train_perplexity": [], "val_perplexity": []}
    for _ in range(options.epochs):
        train()
        found |= median_step(recorder.starts, now())
        found["train_perplexity"].append(round(math.exp(float(torch.stack(recorder.losses).mean())), 1))
        recorder.starts, recorder.losses = [], []
        if options.validate:
            with torch.no_grad():
                found["val_perplexity"].append(round(math.exp(float(evaluate())), 1))
    memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**found, "peak_memory_bytes": memory}


def parse_arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("refs", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("program", choices=PROGRAMS)
    for name, default in (("steps", 6), ("epochs", 1), ("size", 300), ("batch-size", 256), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--validate", action="store_true")
    found = parser.parse_args(given)
    found.refs, found.data = found.refs.absolute(), found.data.absolute()
    if found.steps <= WARMUP:
        parser.error(f"--steps {found.steps}: use more than {WARMUP}")
    return found


if __name__ == "__main__":
    chosen = parse_arguments(sys.argv[1:])
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    os.chdir("/")  # so that scripts with relative paths read and write no files of this directory
    print(json.dumps(run(chosen)))
