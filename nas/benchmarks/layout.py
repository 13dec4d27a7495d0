"""How a converted benchmark lies in a Parquet file: one row an architecture, in the order of the benchmark.

Columns: ``index`` (int32), ``architecture`` (string), ``EPOCHS/RUN/SEED/SET`` (accuracy in percent after the last
epoch), ``EPOCHS/RUN/SET-seconds`` (of one epoch where SET is train, else of one evaluation) and
``RUN/latency-seconds`` (of one forward pass). RUN and SET have the names of the benchmark's own files. Null is what
the benchmark does not hold. Numbers are float64. The schema's metadata tell format, version and notation.
"""

from __future__ import annotations

from collections.abc import Mapping

FORMAT = "nas-benchmark"
VERSION = "1"
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
"""For each data set and split the run and the set of images that it is stored under."""


def accuracy_column(epochs: int, run: str, seed: int, part: str) -> str:
    """Where the accuracies of one seed lie."""
    return f"{epochs}/{run}/{seed}/{part}"


def seconds_column(epochs: int, run: str, part: str) -> str:
    """Where the seconds of an epoch, or of an evaluation, lie."""
    return f"{epochs}/{run}/{part}-seconds"


def latency_column(run: str) -> str:
    """Where the seconds of a forward pass lie."""
    return f"{run}/latency-seconds"
