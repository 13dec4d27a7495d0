"""Run searches on the simulated device eagerly and with CUDA graphs, and compare all their tensors.

    python -m tests.support.simulated_cuda.replays METHOD@SPACE[+OPTION...] ...

Prints one JSON line per search: some tensors that differ, the largest relative difference, the numbers of captured
graphs and of replays, and the waits for the device in addition to those of eager steps. A failed search has its error.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import traceback
import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from nas.callbacks.cuda_graphs import CudaGraphs
from nas.cli.jobs.search import build
from nas.searches.gradient import GradientSearch
from nas.searches.graph_executor import GraphExecutor
from tests.support.compose_tools import budget, composed, data_of, small
from tests.support.simulated_cuda.graphs import Graph
from tests.support.simulated_cuda.install import install
from tests.support.simulated_cuda.steps import SHORT, trainer_of

STEPS, EPOCHS = 6, 2
SIZE = 168
"""Images, of which a part has 5 batches of 16 and one of 4."""


class Watch(pl.Callback):
    """Record the operations that wait for the device in the last steps, which replay the graphs."""

    def __init__(self, waits: list[str]) -> None:
        self.waits = waits
        self.found: list[str] = []

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        self.waits.clear()
        torch.cuda.set_sync_debug_mode("warn" if batch_idx == STEPS - 2 else "default")

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        torch.cuda.set_sync_debug_mode("default")
        self.found += self.waits


def train(method: str, space: str, options: list[str], mode: Any, watch: Watch) -> tuple[dict[str, Tensor], bool]:
    """Return all tensors of a search after its epochs, and whether it ended with graphs."""
    short = SHORT.get(method, budget(method))
    overrides = [f"method={method}", *small(space, method), *data_of(space), *short, "trainer=gpu"]
    overrides += [*([] if space == "recurrent" else [f"dataset.size={SIZE}"]), *options]
    with composed("search", *overrides, f"epochs={EPOCHS}") as cfg, tempfile.TemporaryDirectory() as output:
        pl.seed_everything(0, verbose=False)
        data, search = build(cfg)
        trainer = trainer_of(cfg, output, EPOCHS, STEPS, CudaGraphs(mode), watch)
        trainer.fit(search, datamodule=search.batches(data))
    named = (*search.named_parameters(), *search.named_buffers())
    tensors = {name: tensor.detach().clone() for name, tensor in named}
    for number, optimizer in enumerate(trainer.optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{index}.{k}": v for k, v in state.items() if isinstance(v, Tensor)}
    tensors["random"] = torch.cuda.get_rng_state()
    executor = search.executor if isinstance(search, GradientSearch) else None
    return tensors, isinstance(executor, GraphExecutor) and executor.enabled


def compare(method: str, space: str, options: list[str], waits: list[str]) -> dict[str, Any]:
    """Return the results of a search with graphs, compared with the same one without them."""
    plain, watch = Watch(waits), Watch(waits)
    eager, _ = train(method, space, options, False, plain)
    created, replays = Graph.created, Graph.replays
    found, enabled = train(method, space, options, "auto", watch)
    different = [n for n in eager if n not in found or not torch.equal(eager[n], found[n])]
    rounded = [n for n in different if n in found and n != "random" and bool(found[n].isfinite().all())]
    norms = [float((eager[n] - found[n]).norm() / eager[n].norm()) for n in rounded]
    return {
        "different": different[:5],
        "largest": float("inf") if len(rounded) < len(different) else max(norms, default=0.0),
        "graphs": Graph.created - created,
        "replays": Graph.replays - replays,
        "enabled": enabled,
        "waits": len(watch.found) - len(plain.found),
    }


def main(searches: list[str]) -> None:
    waits: list[str] = []
    warnings.simplefilter("ignore")
    install(waits.append)
    torch.set_num_threads(1)
    for name in searches:
        pair, *options = name.split("+")
        method, space = pair.split("@")
        line: dict[str, Any] = {"search": name}
        start = time.process_time()
        try:
            line |= compare(method, space, options, waits)
        except Exception:
            line["error"] = traceback.format_exc()
        print(json.dumps(line | {"seconds": round(time.process_time() - start, 2)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
