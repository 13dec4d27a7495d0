"""Command ``nas-search predictors``: learning curves of predictors on a tabular benchmark."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nas.utils.errors import NasError
from nas.utils.one_line_errors import one_line_errors
from nas.utils.program import program
from nas.utils.ranges import MAX_COUNT, SEED
from nas.utils.tool_parser import ToolParser

SPACES = (
    *("nas_bench_201", "nats_size", "nas_bench_101"),
    *("nas_bench_1shot1_1", "nas_bench_1shot1_2", "nas_bench_1shot1_3"),
    *("trans_nas_bench_101_micro", "trans_nas_bench_101_macro"),
)
PREDICTORS = ("mlp_ensemble", "gaussian_process", "random_forest", "boosted_trees", "xgboost", "botorch_gp")
DATASETS = (
    *("cifar10", "cifar100", "imagenet16_120", "class_scene", "class_object", "room_layout", "jigsaw"),
    *("segmentsemantic", "normal", "autoencoder"),
)
ENCODINGS = ("paths", "one_hot")
EXTRAS = ("xgboost", "botorch_gp")
DEFAULT_PREDICTORS = [name for name in PREDICTORS if name not in EXTRAS]
TABLE, PICTURE = "predictors.csv", "predictors.png"
DESCRIPTION = f"""Fit predictors to random architectures of a tabular benchmark, and write the rank correlation of their
predictions with the accuracies of other architectures to {TABLE} and {PICTURE}. Predictors have their default options;
they are fitted to the same architectures."""


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    _run(_parser().parse(arguments))
    return 0


def _run(options: argparse.Namespace) -> None:
    for name in (TABLE, PICTURE):
        if (options.output / name).exists() and not options.overwrite:
            raise NasError(f"predictors: {options.output / name} exists. Use --overwrite to replace it.")
    # imported here, because the help needs neither torch nor matplotlib
    from nas.cli.commands.predictor_curves import find_points, write_points

    found = find_points(options)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        write_points(found, options.output)
    except OSError as error:
        raise NasError(f"--output {options.output}: {error.strerror}.") from error


def _parser() -> ToolParser:
    parser = ToolParser(f"{program('search')} predictors", description=DESCRIPTION)
    add = parser.add_argument
    add("--data", default="data", metavar="DIR", help="directory of the benchmark's table, or its parent")
    about_data = "data set or task of the accuracies (default: cifar10, or class_scene for TransNAS-Bench-101)"
    about_epochs = "length of the trainings (default: 12 for nas_bench_201 and nats_size, else the longest)"
    add("--space", default="nas_bench_201", choices=SPACES, help="space (default: nas_bench_201)")
    add("--dataset", choices=DATASETS, help=about_data)
    add("--epochs", type=_count, help=about_epochs)
    names = f"{', '.join(PREDICTORS)} (default: all but {' and '.join(EXTRAS)})"
    add("--predictors", nargs="+", default=DEFAULT_PREDICTORS, choices=PREDICTORS, metavar="NAME", help=names)
    add("--encodings", nargs="+", default=None, choices=ENCODINGS, help="default: all encodings of the space")
    add("--sizes", nargs="+", type=_count, default=[10, 20, 50, 100, 200, 400], metavar="N", help="training samples")
    add("--repetitions", type=_count, default=20, help="random samples of each size (default: 20)")
    add("--held-out", type=_count, default=1000, help="architectures to predict (default: 1000)")
    add("--seed", type=_seed, default=0, help="seed of the first repetition (default: 0)")
    add("--output", type=Path, default=Path(), metavar="DIR", help="directory of the files (default: .)")
    add("--overwrite", action="store_true", help="replace existing files")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_COUNT:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number of at least 1")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) not in SEED:
        raise argparse.ArgumentTypeError(f"'{text}' is no seed: {SEED}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
