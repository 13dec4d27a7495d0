"""Columns of a converted benchmark: one row per architecture, in the order of the benchmark.

- ``index`` (int32) and ``architecture`` (string);
- ``EPOCHS/RUN/SEED/SET``: accuracy in percent after the last epoch;
- ``EPOCHS/RUN/SET-seconds``: seconds of one epoch if SET is train, else of one evaluation;
- ``RUN/latency-seconds``: seconds of one forward pass.

RUN and SET have the names of the benchmark's own files. Numbers are float64; null means that the benchmark does not
contain the value. The metadata of the schema contain format, version and notation; version 2 added a checksum.
"""

from __future__ import annotations

from collections.abc import Mapping

FORMAT = "nas-benchmark"
VERSION = "2"
WITHOUT_CHECKSUM = "1"  # the version before, which is still read
RUNS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
SETS = ("train", "x-valid", "x-test", "ori-test")
INDEX, ARCHITECTURE = "index", "architecture"

SPLITS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "cifar10": {
        "valid": ("cifar10-valid", "x-valid"),
        "test": ("cifar10", "ori-test"),
        "train": ("cifar10", "train"),
        "test_of_valid_run": ("cifar10-valid", "ori-test"),
        "train_of_valid_run": ("cifar10-valid", "train"),
    },
    **{
        dataset: {
            "valid": (run, "x-valid"),
            "test": (run, "x-test"),
            "train": (run, "train"),
            "valtest": (run, "ori-test"),
        }
        for dataset, run in (("cifar100", "cifar100"), ("imagenet16_120", "ImageNet16-120"))
    },
}
"""Run and set of images in the benchmark's files, for each data set and split."""


def accuracy_column(epochs: int, run: str, seed: int, image_set: str) -> str:
    """Return the name of the column with the accuracies of one seed."""
    return f"{epochs}/{run}/{seed}/{image_set}"


def seconds_column(epochs: int, run: str, image_set: str) -> str:
    """Return the name of the column with the seconds of an epoch or an evaluation."""
    return f"{epochs}/{run}/{image_set}-seconds"


def latency_column(run: str) -> str:
    """Return the name of the column with the seconds of a forward pass."""
    return f"{run}/latency-seconds"
