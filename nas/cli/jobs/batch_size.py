"""Choice of the batch size by the memory of the device: dataset.batch_size=auto."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from torch.utils.data import DataLoader

from nas.callbacks.recording.step_memory import StepMemory, estimate_step
from nas.cli.build import build_checkpointing, device_without_trainer, seed_and_threads
from nas.cli.overrides.parse import key_of
from nas.cli.overrides.value_type import AUTO
from nas.cli.run_dir.record import save_record
from nas.cli.run_dir.task_overrides import task_overrides
from nas.data.kinds import DataSet, require_images
from nas.searches.gradient import GradientSearch
from nas.training.network_training import Training
from nas.utils.errors import NasError
from nas.utils.memory import available_memory, format_bytes

log = logging.getLogger(__name__)
KEY = "dataset.batch_size"
SMALLEST = 2
"""Smallest batch that is tried: batch norm needs two values per channel."""
SHARE = 0.8
"""Share of the available memory that a step may fill; validation and fragmentation need the remainder."""
STEPS = 2
"""Steps of a trial; the optimizers have their state from the second one on."""

Trained = GradientSearch | Training
Build = Callable[[DictConfig], tuple[DataSet, pl.LightningModule]]


class _TrialEndError(Exception):
    """End of the steps of a trial."""


class _Trial(pl.Callback):
    """Interrupt the training after a few steps."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx + 1 >= STEPS:
            raise _TrialEndError


def choose_batch_size(cfg: DictConfig, build: Build) -> None:
    """Replace dataset.batch_size=auto by the largest size that fits, also in the record of the run.

    The size is a power of two. With dataset.global_batch_size it also divides that number, or equals it. On a GPU
    steps are tried with the next smaller size after each lack of memory. On the CPU the size follows from the estimated
    memory of a step and the available memory. The data set bounds it. Nothing else of the run changes: its results
    equal those of a run with the same number.

    Args:
        cfg: configuration of the run.
        build: builds the data set and the search or the training from a configuration.

    Raises:
        NasError: if not even two images fit, or the run does not train on batches of images.
    """
    if cfg.dataset.get("batch_size") != AUTO:
        return
    total = cfg.dataset.get("global_batch_size")
    trial = cfg.copy()
    trial.dataset.batch_size = SMALLEST
    if total is not None:
        trial.dataset.global_batch_size = None
    seed_and_threads(cfg)
    device = device_without_trainer(cfg)
    data_module, module = build(trial)
    data = require_images(data_module, f"{KEY}={AUTO}")
    if not isinstance(module, Trained):
        raise NasError(f"{KEY}={AUTO}: this run takes no gradient steps. Set a number, or leave it out.")
    bound = min(len(indices) for indices in data.part_indices().values())
    memory = estimate_step(module, data.shape, [], checkpointing=bool(cfg.activation_checkpointing))
    free = available_memory(device)
    sizes = _sizes(bound) if total is None else _divisors(int(total))
    size = _estimated(memory, free, sizes)
    if device.type == "cuda":
        size = _tried(trial, build, [other for other in sizes if other <= 2 * size])
    if total is None:
        log.info("batch size     %d: the largest power of two that fits into %s", size, _describe(free, bound, size))
    else:
        log.info("batch size     %d: the largest part of %d images that fits into memory", size, total)
    cfg.dataset.batch_size = size
    _record(cfg, size)


def _sizes(bound: int) -> list[int]:
    """Return the powers of two from SMALLEST to ``bound``, in descending order."""
    return [1 << power for power in reversed(range(1, max(bound, 1).bit_length()))]


def _divisors(total: int) -> list[int]:
    """Return ``total`` and the smaller powers of two from SMALLEST that divide it, in descending order."""
    return [total, *(size for size in _sizes(total - 1) if total % size == 0)]


def _estimated(memory: StepMemory, free: int | None, sizes: Sequence[int]) -> int:
    """Return the largest size by the estimate; the first one if the available memory is unknown."""
    if free is None:
        return sizes[0]
    fixed = memory.parameters + memory.gradients + 2 * memory.parameters  # the last term is the state of Adam
    images = (int(SHARE * free) - fixed) // max(memory.image, 1)
    size = next((size for size in sizes if size <= images), None)
    if size is None:
        raise _nothing_fits(free)
    return size


def _tried(cfg: DictConfig, build: Build, sizes: Sequence[int]) -> int:
    """Return the first of the sizes, in descending order, whose steps run on the GPU."""
    torch.cuda.set_per_process_memory_fraction(SHARE)
    try:
        for size in sizes:
            try:
                _train(cfg, build, size)
                return size
            except torch.cuda.OutOfMemoryError:
                pass  # its tensors are freed after this block
            _free_memory()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        _free_memory()
        torch.cuda.reset_peak_memory_stats()
    raise _nothing_fits(available_memory(torch.device("cuda")))


def _train(cfg: DictConfig, build: Build, size: int) -> None:
    """Take a few steps on random images. Raises OutOfMemoryError if they do not fit."""
    seed_and_threads(cfg)
    data_module, module = build(cfg)
    data = require_images(data_module, f"{KEY}={AUTO}")
    if isinstance(module, GradientSearch):
        module.arch_step.warmup_epochs, module.arch_step.warmup_share, module.arch_step.every = 0, 0.0, 1
    batch = (torch.randn(size, *data.shape), torch.zeros(size, dtype=torch.int64))
    batches = [{"train": batch, "val": batch} if data.bilevel else batch] * STEPS
    options = OmegaConf.masked_copy(cfg.trainer, [str(name) for name in cfg.trainer if name not in ("profiler",)])
    options._set_parent(cfg)
    trainer: pl.Trainer = instantiate(
        options,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        limit_train_batches=STEPS,
        limit_val_batches=0,
        callbacks=[*build_checkpointing(cfg.activation_checkpointing), _Trial()],
        _convert_="all",
    )
    try:
        trainer.fit(module, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    except _TrialEndError:
        return


def _free_memory() -> None:
    gc.collect()
    torch.cuda.empty_cache()


def _power(bound: int) -> int:
    """Return the largest power of two that is not larger than ``bound``."""
    return 1 << (max(bound, 1).bit_length() - 1)


def _describe(free: int | None, bound: int, size: int) -> str:
    if size == _power(bound):
        return f"the {bound} images of a part of the data set"
    return "memory" if free is None else f"{format_bytes(free)} of memory"


def _nothing_fits(free: int | None) -> NasError:
    memory = "" if free is None else f" into {format_bytes(free)} of memory"
    return NasError(f"{KEY}={AUTO}: not even a step on {SMALLEST} images fits{memory}. Use a smaller network.")


def _record(cfg: DictConfig, size: int) -> None:
    """Store the size in Hydra's record of the run, so that a resumed run and an evaluation use it."""
    hydra: Any = HydraConfig.get()
    with read_write(hydra), open_dict(hydra):
        lines = [line for line in task_overrides() if key_of(line) != KEY]
        hydra.overrides.task = [*lines, f"{KEY}={size}"]
    if hydra.output_subdir is not None and not OmegaConf.is_missing(hydra.runtime, "output_dir"):
        save_record(Path(hydra.runtime.output_dir) / hydra.output_subdir, cfg)
