"""Options that determine the steps of a run; a resumed run must have the same values."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from nas.callbacks.recording.run_state import KEY
from nas.utils.errors import NasError

PARTS = (
    "seed",
    "space",
    "method",
    "proxy",
    "evaluator",
    "network",
    "training",
    "text_training",
    "ema",
    "dataset",
    "budget",
)
FREE = {
    *(f"method.{key}" for key in ("epochs", "repetitions", "budget", "proxy", "evaluator", "requires", "space")),
    *(f"dataset.{key}" for key in ("root", "download", "on_device", "num_workers", "name")),
    *(f"dataset.{key}" for key in ("subset_file", "test_list", "test_list_file", "split_record")),
    *("method.executor", "method.concurrency"),
    "method.costs._target_",  # earlier records have the costs without it
    "evaluator.root",
    "training.channels_last",  # an option of earlier records
    "space.fused",
}
"""Options that a resumed run may change: they set the length of the run, name files, or choose a device or format."""
TRAINER = (
    "precision",
    "accumulate_grad_batches",
    "check_val_every_n_epoch",
    "fast_dev_run",
    "limit_train_batches",
    "limit_val_batches",
    "overfit_batches",
    "sync_batchnorm",
    "val_check_interval",
)
"""Options of the trainer that a resumed run must not change."""


MOVED = {
    "method.hw_nas_bench": "method.costs.hw_nas_bench",
    "method.latency_table": "method.costs.latency_table",
    "method.network_options": "method.costs.network",
}
"""Options and groups of options of earlier records, and their present names."""
NEW = ("dataset.global_batch_size",)
"""Options that earlier checkpoints do not have, and that have no effect if they are null."""


def course_of(cfg: DictConfig, epochs: int | None = None, parts: Sequence[str] = PARTS, **more: Any) -> dict[str, Any]:
    """Return the options of a run that determine its steps, by dotted key.

    Args:
        cfg: configuration of the run.
        epochs: length that the options are evaluated for, such as the length of a schedule; None: that of the run.
        parts: parts of the configuration with such options.
        more: further options, which come first.
    """
    plain: DictConfig = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[assignment]
    if epochs is not None:
        plain.epochs = plain.trainer.max_epochs = epochs
    for name in plain.get("paths", {}):
        plain.paths[name] = ""  # a run may be moved, and its data too
    options = dict(more)
    for part in parts:
        if part in plain and part not in (_unused_training(plain), _unused_budget(plain)):
            value = plain[part]
            resolved = (
                OmegaConf.to_container(value, resolve=True, throw_on_missing=False)
                if isinstance(value, DictConfig)
                else value
            )
            options |= dict(_flat(part, resolved))
    defaults = inspect.signature(pl.Trainer).parameters
    for key in TRAINER:
        options[f"trainer.{key}"] = plain.trainer.get(key, defaults[key].default)
    absent = [*(key for key in NEW if options.get(key) is None), *_unused_hardware(options), *_unused_target(options)]
    return {key: json.loads(json.dumps(value, default=str)) for key, value in options.items() if key not in absent}


def _unused_training(cfg: DictConfig) -> str:
    """Return the options of the training that the kind of data set does not use."""
    # by the name of the class: a record of a run is untrusted, so nothing that it names is imported
    is_text = str(OmegaConf.select(cfg, "dataset._target_")).startswith("nas.data.text.")
    return "training" if is_text else "text_training"


def _unused_budget(cfg: DictConfig) -> str | None:
    """Return the name of the budget if it limits nothing, as in earlier records; None if it does."""
    options: Any = OmegaConf.to_container(cfg.get("budget") or OmegaConf.create(), resolve=False)
    hardware = options.get("hw_nas_bench") or {}
    numbers = [name for part in (options, hardware) for name, value in part.items() if isinstance(value, int | float)]
    return None if set(numbers) - {"multiplier_lr"} else "budget"


def _unused_hardware(options: Mapping[str, Any]) -> list[str]:
    """Return the options of HW-NAS-Bench if no limit and no objective uses it; earlier records do not have them."""
    keys = [key for key in options if key.startswith(("budget.hw_nas_bench.", "method.costs.hw_nas_bench."))]
    objectives = options.get("method.objectives") or ()
    used = any(isinstance(options[key], int | float) for key in keys) or any(
        "hw_nas_bench." in one for one in objectives
    )
    return [] if used else keys


def _unused_target(options: Mapping[str, Any]) -> list[str]:
    """Return the options of a cost target that is not set; earlier records do not have them."""
    key = "method.arch_step.cost_target"
    return (
        []
        if options.get(f"{key}.target") is not None
        else [one for one in options if (one + ".").startswith(f"{key}.")]
    )


def encode_course(cfg: DictConfig, **more: Any) -> str:
    """Return the text with these options of a run, which its checkpoints contain."""
    return json.dumps({"epochs": cfg.trainer.max_epochs, "options": course_of(cfg, **more)})


def check_course(cfg: DictConfig, checkpoint: Mapping[str, Any], **more: Any) -> None:
    """Raise NasError if a run differs in these options from the run that has written a checkpoint."""
    try:
        text = checkpoint.get(KEY, {}).get("options")
        if not text:
            return  # of version 0.1.0
        saved = json.loads(text)
        theirs = {_present_name(key): value for key, value in dict(saved["options"]).items()}
        epochs = int(saved["epochs"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise NasError(
            f"ckpt_path: the checkpoint is damaged (its '{KEY}'). Set ckpt_path to an older checkpoint."
        ) from None
    ours = course_of(cfg, epochs, **more)
    keys = [key for key in dict.fromkeys([*ours, *theirs]) if key not in FREE]
    different = [key for key in keys if not (key in ours and key in theirs and _equal(key, ours[key], theirs[key]))]
    if different:
        # options of null of a whole part, such as a budget, come with the one that is set
        given = [key for key in different if ours.get(key) is not None or theirs.get(key) is not None]
        key = [*given, *different][0]
        here, there = (f"{options[key]}" if key in options else "no such option" for options in (ours, theirs))
        raise NasError(
            f"{key}={here}: the run of ckpt_path has {there}, and another value changes its course. Leave it out to "
            "resume, or leave out ckpt_path to start from scratch."
        )


def check_length(cfg: DictConfig, checkpoint: Mapping[str, Any], directory: Path) -> None:
    """Raise NasError if the finished search in ``directory`` had another length than a run of several searches.

    Call it after ``check_course``, which checks the checkpoint itself.
    """
    text = checkpoint.get(KEY, {}).get("options")
    epochs = int(json.loads(text)["epochs"]) if text else cfg.trainer.max_epochs
    present = cfg.trainer.max_epochs
    if epochs != present:
        raise NasError(
            f"epochs={present}: {directory} holds a finished search of {epochs} epochs, and the searches of a run have "
            f"the same length. Leave out epochs={present}, or set hydra.run.dir=NEW."
        )


def _present_name(key: str) -> str:
    """Return the present name of an option of a record."""
    for earlier, present in MOVED.items():
        if f"{key}.".startswith(f"{earlier}."):
            return present + key.removeprefix(earlier)
    return key


def _equal(key: str, ours: Any, theirs: Any) -> bool:
    """Return whether two values are equal. For the trainer, 1 is a number of batches and 1.0 a fraction."""
    return bool(ours == theirs) and (not key.startswith("trainer.") or type(ours) is type(theirs))


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if key in FREE:
        return
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        value = {str(number): part for number, part in enumerate(value)}
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _flat(f"{key}.{name}", part)
    else:
        yield key, value
