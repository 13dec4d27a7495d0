"""Ranges of the options of PyTorch and Lightning classes, which check them late or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from nas.utils.ranges import (
    COUNT,
    COUNT_OR_ZERO,
    DROP_PROBABILITY,
    FINITE,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    Range,
)

LEARNING_RATES = {"lr": NOT_NEGATIVE, "weight_decay": NOT_NEGATIVE, "eps": NOT_NEGATIVE}
SCHEDULER = {
    "T_max": COUNT,
    "T_0": COUNT,
    "T_mult": COUNT,
    "eta_min": NOT_NEGATIVE,
    "step_size": COUNT,
    "milestones": COUNT_OR_ZERO,
    "gamma": POSITIVE,
    "factor": POSITIVE,
    "start_factor": FRACTION,
    "end_factor": PROBABILITY,
    "total_iters": COUNT,
    "patience": COUNT_OR_ZERO,
    "max_lr": POSITIVE,
    "total_steps": COUNT,
    "power": POSITIVE,
}
OR_ALL = Range(-1, COUNT.high, whole=True)
TRAINER = {
    "num_nodes": COUNT,
    "check_val_every_n_epoch": COUNT,
    "accumulate_grad_batches": COUNT,
    "log_every_n_steps": COUNT_OR_ZERO,
    "num_sanity_val_steps": OR_ALL,
    "max_steps": OR_ALL,
    "min_epochs": COUNT,
    "min_steps": COUNT,
    "reload_dataloaders_every_n_epochs": COUNT_OR_ZERO,
}
RANGES: Mapping[str, Mapping[str, Range]] = {
    "torch.optim.lr_scheduler": SCHEDULER,
    "torch.optim": {
        **LEARNING_RATES,
        "momentum": DROP_PROBABILITY,
        "dampening": PROBABILITY,
        "betas": DROP_PROBABILITY,
    },
    "pytorch_lightning.callbacks": {
        "every_n_train_steps": COUNT_OR_ZERO,
        "every_n_epochs": COUNT_OR_ZERO,
        "save_top_k": OR_ALL,
        "patience": COUNT_OR_ZERO,
        "min_delta": FINITE,
        "decay": DROP_PROBABILITY,
        "refresh_rate": COUNT_OR_ZERO,
    },
    "pytorch_lightning.Trainer": TRAINER,
}
"""Ranges by the beginning of a target's dotted name, the longest of which applies."""


def foreign_ranges(target: str) -> Mapping[str, Range]:
    """Return the ranges of the options of a class outside this project, by its dotted name; empty if unknown."""
    fitting = [prefix for prefix in RANGES if f"{target}.".startswith(f"{prefix}.")]
    return RANGES[max(fitting, key=len)] if fitting else {}
