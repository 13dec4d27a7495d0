"""Effective batch size of a run: dataset.global_batch_size, divided among devices and passes."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, ListConfig, open_dict

from nas.cli.overrides.value_type import AUTO
from nas.cli.run_dir.batch_plan import BatchPlan
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, check_number

GLOBAL, SIZE = "dataset.global_batch_size", "dataset.batch_size"
TRAINING_MODES = ("search", "train")


def check_batch(cfg: DictConfig) -> None:
    """Raise NasError for batch sizes that contradict each other or that the run does not use."""
    total = cfg.dataset.get("global_batch_size")
    if total is None:
        if cfg.mode in TRAINING_MODES and cfg.dataset.get("batch_size", AUTO) is None:
            raise NasError(f"{SIZE}=null: a run without {GLOBAL} needs it. Set either to a number of images.")
        return
    check_number(GLOBAL, total, COUNT)
    if cfg.mode not in TRAINING_MODES:
        return  # the value was inherited from a training
    if "method" in cfg and ("evaluator" in cfg.method or "proxies" in cfg.method):
        raise NasError(
            f"{GLOBAL}={total}: method={cfg.method.name} trains no supernet by gradient steps. Leave it out."
        )
    if cfg.dataset.get("batch_size") != AUTO:
        plan_batches(cfg)


def plan_batches(cfg: DictConfig) -> BatchPlan:
    """Divide the images of a step.

    Without dataset.global_batch_size, each device has dataset.batch_size images per pass. With it, each device has its
    share of the images, in passes of dataset.batch_size images. null: in a single pass, or in a training in
    trainer.accumulate_grad_batches passes.

    Raises:
        NasError: if the numbers do not divide each other.
    """
    total, size = cfg.dataset.get("global_batch_size"), cfg.dataset.get("batch_size")
    given = cfg.trainer.get("accumulate_grad_batches") or 1
    check_number("trainer.accumulate_grad_batches", given, COUNT)
    devices = count_devices(cfg.trainer)
    if total is None:
        return BatchPlan(devices, given, int(size))
    check_number(GLOBAL, total, COUNT)
    total = int(total)
    if total % devices:
        raise NasError(
            f"{GLOBAL}={total}: {devices} devices do not divide it. Set a multiple, or other trainer.devices."
        )
    share = total // devices
    if size is None:
        if share % given:
            raise NasError(
                f"trainer.accumulate_grad_batches={given}: does not divide the {share} images of each device "
                f"({GLOBAL}={total}). Leave it out, and set {SIZE} to the images of a pass."
            )
        return BatchPlan(devices, given, share // given)
    check_number(SIZE, size, COUNT)
    size = int(size)
    if share % size:
        raise NasError(
            f"{SIZE}={size}: does not divide the {share} images of each device ({GLOBAL}={total}, devices: {devices}). "
            f"Set a divisor, or {SIZE}=null for a single pass."
        )
    passes = share // size
    if given not in (1, passes):
        raise NasError(
            f"trainer.accumulate_grad_batches={given}: {GLOBAL}={total} and {SIZE}={size} take {passes} passes. "
            "Leave it out."
        )
    return BatchPlan(devices, passes, size)


def apply_plan(cfg: DictConfig) -> None:
    """Set the images per pass in a configuration and, for a training, the number of accumulated passes."""
    if cfg.dataset.get("global_batch_size") is None:
        return
    plan = plan_batches(cfg)
    with open_dict(cfg):
        cfg.dataset.batch_size = plan.size
        if "method" not in cfg:
            cfg.trainer.accumulate_grad_batches = plan.passes


def count_devices(trainer: DictConfig) -> int:
    """Return the number of processes that the options of a trainer select, on all machines."""
    return _count(trainer.get("devices"), str(trainer.get("accelerator"))) * int(trainer.get("num_nodes") or 1)


def _count(devices: Any, accelerator: str) -> int:
    if isinstance(devices, ListConfig | list):
        return len(devices)
    text = str(devices)
    if "," in text:
        return len([part for part in text.split(",") if part.strip()])
    if text not in ("None", "auto", "-1"):
        return int(text)
    if accelerator not in ("gpu", "cuda", "auto"):
        return 1
    import torch  # not needed for the other mistakes of a command line

    return max(1, torch.cuda.device_count())
