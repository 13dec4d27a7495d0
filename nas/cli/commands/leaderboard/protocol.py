"""Differences of a run from the published settings of its method or protocol."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.cli.commands.leaderboard.finished_runs import RECORD, RunRecord
from nas.cli.overrides.compose import composer
from nas.cli.overrides.conf_dir import group_choices
from nas.cli.run_dir.course import PARTS, course_of
from nas.cli.run_dir.hydra_config import hydra_config_of
from nas.cli.run_dir.read_yaml import record_of
from nas.leaderboard.entry import DATASETS
from nas.leaderboard.runs import is_seed, text_of
from nas.utils.errors import NasError
from nas.utils.is_number import is_number
from nas.utils.printable import printable

LABELS = {
    "epochs": "epochs",
    "cpu_minutes": "CPU minutes",
    "method.budget.queries": "queries",
    "method.budget.seconds": "seconds of queries",
    "budget.macs": "limit of multiply-adds",
    "budget.parameters": "limit of parameters",
    "budget.latency_ms": "limit of the latency in ms",
    "space.channels": "channels",
    "space.cells_per_stage": "cells per stage",
    "space.layers": "layers",
    "network.channels": "channels",
    "network.layers": "layers",
    "dataset.batch_size": "batch size",
    "dataset.global_batch_size": "images per step",
    "trainer.limit_train_batches": "batches per epoch",
    "dataset.split": "split",
    "dataset.image_size": "image size",
    "trainer.devices": "devices",
    "trainer.num_nodes": "machines",
    "init_weights": "initial weights",
}
"""Names of options to print; the differences in these come first, in this order."""
OTHER_DATASET = ("dataset.batch_size", "dataset.global_batch_size", "dataset.split", "dataset.image_size")
"""Options that are compared between different data sets."""
IGNORED = ("trainer.limit_val_batches", "dataset.eval_batch_size", "method.callbacks.0.directory")
"""Options that change no result of a search."""
SEPARATE = (
    *("epochs", "cpu_minutes", "method.budget.queries", "method.budget.seconds"),
    *("trainer.devices", "trainer.num_nodes", "trainer.limit_test_batches"),
)
"""Options that a resumed run may change, and that affect the result."""
FURTHER = ("callbacks", "ranking", "init_weights", "weights")
"""Parts of the configuration that affect the result, in addition to those that a resumed run must not change."""
NEUTRAL = (
    *("nas.callbacks.recording.", "nas.callbacks.channels_last.", "nas.callbacks.fold_weights."),
    *("nas.callbacks.compile.", "nas.callbacks.compile_network.", "nas.callbacks.cuda_graphs."),
    *("nas.callbacks.guards.rank_consistency.", "nas.callbacks.guards.non_finite.", "nas.callbacks.progress_bar."),
    "nas.callbacks.guards.cpu_budget.",  # see cpu_minutes
)
"""Modules of callbacks that do not change the result of a run that has finished."""
RATE = "budget.multiplier_lr"
SHOWN = 10  # differences that are listed
LONGEST = 40  # characters of a value
ABSENT = "none"  # value of an option that a configuration does not have

Options = dict[str, Any]


class Protocols:
    """Published settings, composed once for each method and space, or protocol."""

    def __init__(self) -> None:
        self._composed: dict[tuple[str, ...], DictConfig | None] = {}

    def options(self, run: RunRecord) -> Options:
        """Return the settings of a run by dotted key, without paths, empty without a record."""
        if not run.config:
            return {}
        reference = self._reference(run)
        trusted = None if reference is None else OmegaConf.to_container(reference, resolve=False)
        try:
            with nullcontext() if reference is None else hydra_config_of(reference):
                return _options(record_of(run.config, run.directory.joinpath(*RECORD), trusted))
        except (NasError, OmegaConfBaseException, ValueError, TypeError, AttributeError):
            return {"config": str(run.config)}

    def differences(self, run: RunRecord, options: Options) -> str:
        """Return the differences of a run from the published settings, as text."""
        name, reference = published_settings(run), self._reference(run)
        if not options:
            return "settings not recorded"
        if reference is None:
            return "no published settings to compare with"
        with hydra_config_of(reference):
            published = _options(reference)
        epochs = run.summary.get("epochs")
        if isinstance(epochs, int) and is_number(epochs):  # fewer than configured if the search has ended early
            options = {**options, "epochs": epochs}
        keys = {key for key in {*options, *published} if not is_seed(key)}
        changed = {key for key in keys if options.get(key) != published.get(key)}
        changed -= {key for key in changed if key.endswith(".T_max") or key in IGNORED}
        changed -= _replaced(changed) | {"dataset._target_"}  # the name of the data set is compared below
        if options.get(RATE) == OmegaConf.select(reference, RATE):
            changed -= {RATE}  # published settings without limits do not have it
        ours, theirs = text_of(run.summary, "dataset"), str(reference.hydra.runtime.choices.dataset)
        first = []
        if ours != theirs:
            changed -= {key for key in changed if key.startswith("dataset.") and key not in OTHER_DATASET}
            first = [f"data set {printable(DATASETS.get(ours, ours), LONGEST)} ({DATASETS.get(theirs, theirs)})"]
        order = {key: position for position, key in enumerate(LABELS)}
        listed = sorted(changed, key=lambda key: (order.get(key, len(order)), key))
        texts = list(dict.fromkeys([*first, *(_difference(key, options, published) for key in listed)]))
        more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
        return "; ".join(texts[:SHOWN]) + more if texts else f"as {' '.join(name)}"

    def _reference(self, run: RunRecord) -> DictConfig | None:
        name = published_settings(run)
        if name not in self._composed:
            job = "search" if run.summary["mode"] == "search" else "train"
            self._composed[name] = _compose(job, name) if name else None
        return self._composed[name]


def published_settings(run: RunRecord) -> tuple[str, ...]:
    """Return the overrides of the published settings that a run is compared with, empty if there are none."""
    if run.summary["mode"] == "train" and run.protocol in group_choices("protocol"):
        return ("genotype=x", f"protocol={run.protocol}")
    method, space = text_of(run.summary, "method"), text_of(run.summary, "space")
    if run.summary["mode"] != "search" or method not in group_choices("method"):
        return ()
    if f"{method}/{space}" in group_choices("experiment"):
        return (f"experiment={method}/{space}",)
    dataset = text_of(run.summary, "dataset")
    published_dataset = dataset if dataset in DATASETS else "cifar10"
    return (
        (f"method={method}", f"space={space}", f"dataset={published_dataset}")
        if space in group_choices("space")
        else ()
    )


def _compose(job: str, lines: tuple[str, ...]) -> DictConfig | None:
    with composer(job, argparse.Namespace(config_dir=None)) as compose:
        try:
            return compose(lines)
        except NasError:  # the method does not run on the space
            return None


def _options(cfg: DictConfig) -> Options:
    """Return the settings of a configuration that affect the result."""
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    callbacks = plain.get("callbacks") or {}
    plain["callbacks"] = {name: part for name, part in callbacks.items() if not _is_neutral(part)}
    options = course_of(OmegaConf.create(plain), parts=(*PARTS, *FURTHER))
    options |= {key: OmegaConf.select(cfg, key, throw_on_missing=False) for key in SEPARATE}
    minutes = OmegaConf.select(cfg, "callbacks.cpu_budget.minutes", throw_on_missing=False)
    return options | ({"cpu_minutes": minutes} if is_number(minutes) else {})


def _is_neutral(callback: Any) -> bool:
    """Return whether a callback, given by its configuration, does not change the result of a run."""
    if not callback:
        return True
    only_records = callback.get("action") == "watch" or callback.get("stop") is False
    return only_records or str(callback.get("_target_")).startswith(NEUTRAL)


def _replaced(changed: set[str]) -> set[str]:
    """Return the options of parts that have another class, except for those of callbacks or of all classes."""
    parts = [key.removesuffix("_target_") for key in changed if key.endswith("._target_")]
    below = {key for key in changed for part in parts if key.startswith(part) and key != f"{part}_target_"}
    return {key for key in below - set(LABELS) if not key.startswith("callbacks.")}


def _difference(key: str, ours: Options, theirs: Options) -> str:
    if key in ("dataset.mean", "dataset.std"):
        return "other normalization"
    key = key.removesuffix("._target_")
    values = [part.get(key, part.get(f"{key}._target_", ABSENT)) for part in (ours, theirs)]
    if key in LABELS:
        values = [ABSENT if value is None else value for value in values]
    texts = ["all" if key == "trainer.limit_train_batches" and value == 1.0 else _text(value) for value in values]
    return f"{LABELS.get(key, key)} {texts[0]} ({texts[1]})"


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()  # as in a configuration
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return printable(text.rpartition(".")[2] if text.startswith("nas.") else text, LONGEST)
