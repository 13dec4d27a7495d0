"""Options that a mode does not use, which would otherwise be ignored silently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas.cli.overrides.parse import key_of
from nas.utils.errors import NasError

TRAINING_ONLY = (
    *("activation_checkpointing", "channels_last", "compile", "ema", "epochs", "training", "text_training"),
    "callbacks",
)
UNUSED: Mapping[str, tuple[str, ...]] = {
    "search": (),
    "rank_proxies": (
        *("activation_checkpointing", "channels_last", "compile", "cpu_minutes", "epochs", "fold_weights", "seeds"),
        *("budget", "callbacks", "logger"),
    ),
    "train": ("evaluation", "export", "dataset.bilevel"),
    "eval": (*TRAINING_ONLY, "export", "dataset.bilevel"),
    "export": (*TRAINING_ONLY, "evaluation", "logger", "dataset.bilevel"),
}
"""Keys, with all keys below them, that a mode does not use."""
TRAINER_USED: Mapping[str, tuple[str, ...]] = {
    "rank_proxies": ("accelerator", "devices", "strategy"),
    "eval": (
        *("accelerator", "devices", "num_nodes", "strategy", "precision", "limit_test_batches", "profiler"),
        *("deterministic", "benchmark", "enable_progress_bar", "enable_model_summary", "plugins", "fast_dev_run"),
    ),
    "export": (),
}
"""Options of the trainer that a mode without a training uses."""


def refuse_unused(modes: Sequence[str], arguments: Sequence[str]) -> None:
    """Raise NasError for an override of an option that none of the modes uses."""
    for argument in arguments:
        key = key_of(argument)
        if all(_ignores(mode, key) for mode in modes):
            raise NasError(f"{argument}: mode={','.join(modes)} does not use {key}. Leave it out.")


def _ignores(mode: str, key: str) -> bool:
    top, _, option = key.partition(".")
    if top == "trainer" and option and mode in TRAINER_USED:
        return option.partition(".")[0] not in TRAINER_USED[mode]
    return top in UNUSED[mode] or key in UNUSED[mode]
