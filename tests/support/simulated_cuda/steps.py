"""Take steps of searches on the simulated device, and print the operations that wait for it.

    python -m tests.support.simulated_cuda.steps METHOD@SPACE ...

Prints one JSON line per pair: the transfers of a step in the middle of an epoch, or the error.
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
from omegaconf import DictConfig

from nas.cli.jobs.search import build
from tests.support.compose_tools import budget, composed, data_of, small
from tests.support.simulated_cuda.install import install

FEW = ["method.callbacks.0.samples=2", "method.callbacks.0.final=2"]
SHORT = {
    "enas": ["method.callbacks.0.steps=2", "method.callbacks.0.samples=2", "method.callbacks.1.final=2"],
    "lora_darts": ["method.arch_step.warmup_epochs=0"],
    "te_nas": ["method.repeats=1", "method.ntk_batch=4", "method.proxies.1.batch_size=20"],
    **dict.fromkeys(("one_shot", "rsps", "setn"), FEW),
}
"""Shorter phases beside the steps."""
STEPS = 4


class Watch(pl.Callback):
    """Record the operations that wait for the device in the steps between the first and the last."""

    def __init__(self, waits: list[str]) -> None:
        self.waits = waits
        self.steps: list[list[str]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        assert module.device.type == "cuda"
        self.waits.clear()
        torch.cuda.set_sync_debug_mode("warn")

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        torch.cuda.set_sync_debug_mode("default")
        if 0 < batch_idx < STEPS - 1:
            self.steps.append(list(self.waits))


def trainer_of(cfg: DictConfig, output: str, epochs: int, steps: int, *callbacks: pl.Callback) -> pl.Trainer:
    """Return a trainer on the simulated device, with one batch of validation per epoch and without any files."""
    return pl.Trainer(
        accelerator="gpu",
        devices=1,
        max_epochs=epochs,
        limit_train_batches=steps,
        limit_val_batches=1,
        precision=cfg.trainer.precision,
        callbacks=list(callbacks),
        default_root_dir=output,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def take_steps(method: str, space: str, waits: list[str], output: str) -> list[str]:
    """Take the steps of an epoch and its validation, and return the operations of the step with most of them."""
    short = SHORT.get(method, budget(method))
    overrides = [f"method={method}", *small(space, method), *data_of(space), *short, "trainer=gpu", "epochs=1"]
    overrides.append(f"paths.output={output}")
    overrides += [] if space == "recurrent" else ["dataset.size=128"]
    with composed("search", *overrides) as cfg:
        pl.seed_everything(0, verbose=False)
        data, search = build(cfg)
        watch = Watch(waits)
        trainer = trainer_of(cfg, output, 1, STEPS, watch)
        trainer.fit(search, datamodule=search.batches(data))
        search.genotype()
    return max(watch.steps, key=len, default=[])


def main(pairs: list[str]) -> None:
    waits: list[str] = []
    warnings.simplefilter("ignore")
    install(waits.append)
    torch.set_num_threads(1)
    for pair in pairs:
        method, space = pair.split("@")
        line: dict[str, Any] = {"pair": pair}
        start = time.process_time()
        try:
            with tempfile.TemporaryDirectory() as output:
                line["waits"] = take_steps(method, space, waits, output)
        except Exception:
            line["error"] = traceback.format_exc()
        print(json.dumps(line | {"seconds": round(time.process_time() - start, 2)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
