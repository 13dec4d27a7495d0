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
        *("activation_checkpointing", "channels_last", "compile", "cpu_minutes", "cuda_graphs", "epochs"),
        *("budget", "callbacks", "fold_weights", "logger", "seeds"),
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


OF_TRAINER = ("callbacks", "channels_last", "compile", "cpu_minutes", "cuda_graphs", "fold_weights", "logger")
"""Keys of parts of a trainer, which repeated searches do not have."""
OFF = ("auto", "csv", "default", "false", "none", "null")
"""Values that disable a part, and values of a run without overrides."""


def refuse_unused(modes: Sequence[str], arguments: Sequence[str]) -> None:
    """Raise NasError for an override of an option that none of the modes uses."""
    for argument in arguments:
        key = key_of(argument)
        if all(_ignores(mode, key) for mode in modes):
            raise NasError(f"{argument}: mode={','.join(modes)} does not use {key}. Leave it out.")


def refuse_unused_by_repetitions(arguments: Sequence[str], repetitions: int) -> None:
    """Raise NasError for an override of a part that repeated searches do not have, because they run without a trainer.

    Overrides that turn such a part off, or repeat its default, are accepted.
    """
    for argument in arguments:
        key, value = key_of(argument), argument.partition("=")[2]
        if key.partition(".")[0] in OF_TRAINER and not argument.startswith("~") and value not in OFF:
            raise NasError(
                f"{argument}: method.repetitions={repetitions} runs without a trainer and does not use {key}. Leave it "
                "out, or set method.repetitions=1."
            )


def _ignores(mode: str, key: str) -> bool:
    top, _, option = key.partition(".")
    if top == "trainer" and option and mode in TRAINER_USED:
        return option.partition(".")[0] not in TRAINER_USED[mode]
    return top in UNUSED[mode] or key in UNUSED[mode]
