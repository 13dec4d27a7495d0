"""Learning curves of the command ``nas-search predictors``."""

from __future__ import annotations

import argparse
import csv
import io
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from nas import benchmarks
from nas.architecture.cell import Genotype
from nas.benchmarks.benchmark import TabularBenchmark
from nas.benchmarks.descriptions import BENCHMARKS, STORED_AS
from nas.blackbox.features import features_of, has_branches
from nas.blackbox.learning_curves import CurvePoint, curve_points
from nas.blackbox.predictors.base import Predictor, Values
from nas.blackbox.predictors.boosted_trees import BoostedTrees
from nas.blackbox.predictors.botorch_gp import BoTorchGaussianProcess
from nas.blackbox.predictors.gaussian_process import GaussianProcess
from nas.blackbox.predictors.mlp_ensemble import MLPEnsemble
from nas.blackbox.predictors.random_forest import RandomForest
from nas.plotting.figure import save_figure
from nas.plotting.learning_curves import learning_curves_figure
from nas.spaces.base import Space
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_1shot1.subspaces import PARENTS
from nas.spaces.nas_bench_101.space import NasBench101
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.trans_nas_bench_101.macro import TransNasBench101Macro
from nas.spaces.trans_nas_bench_101.micro import TransNasBench101Micro
from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError

SPACES: dict[str, Callable[..., Space]] = {
    "nas_bench_201": NasBench201,
    "nats_size": NatsSize,
    "nas_bench_101": NasBench101,
    **{f"nas_bench_1shot1_{subspace}": partial(NasBench1Shot1, subspace=subspace) for subspace in PARENTS},
    "trans_nas_bench_101_micro": TransNasBench101Micro,
    "trans_nas_bench_101_macro": TransNasBench101Macro,
}
MAX_ARCHITECTURES = 35_000
"""Architectures of a larger table that are sampled before the repetitions, to bound the memory of their features."""
PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "mlp_ensemble": MLPEnsemble,
    "gaussian_process": GaussianProcess,
    "random_forest": RandomForest,
    "boosted_trees": BoostedTrees,
    "xgboost": partial(BoostedTrees, "xgboost"),
    "botorch_gp": BoTorchGaussianProcess,
}
TABLE, PICTURE = "predictors.csv", "predictors.png"


def find_points(options: argparse.Namespace) -> list[CurvePoint]:
    """Return the points of all curves. Raise NasError if the table lacks them."""
    space = SPACES[options.space]((3, 32, 32), 10)
    table = benchmarks.find_table(options.data, space.notation)
    if table is None:
        raise NasError(f"--data {options.data}: there is no table of space '{space.notation}'. Set --data.")
    about = BENCHMARKS[space.notation]
    dataset = options.dataset or about.datasets[0]
    if dataset not in about.datasets:
        raise NasError(f"--dataset {dataset}: {about.title} has {', '.join(about.datasets)}. Set one of them.")
    epochs = options.epochs or about.query_epochs or table.report_epochs(dataset)
    values = table.accuracies(dataset, "valid", epochs, "mean")
    found = _architectures(space, table, values, options.seed)
    largest = max(options.sizes)
    if min(*options.sizes, options.held_out) < 2 or largest + options.held_out > len(found):
        raise NasError(
            f"--sizes {largest} --held-out {options.held_out}: the table has {len(found):,} accuracies. Use at least 2 "
            "of each, and fewer of both together."
        )
    encodings = options.encodings or (["paths", "one_hot"] if has_branches(space) else ["one_hot"])
    genotypes = list(found.values())
    tables: dict[str, Values] = {name: features_of(space, name).encode(genotypes) for name in encodings}
    chosen = {name: PREDICTORS[name] for name in options.predictors}
    return curve_points(
        chosen, tables, values[list(found)], options.sizes, options.repetitions, options.held_out, options.seed
    )


def _architectures(space: Space, table: TabularBenchmark, values: Values, seed: int) -> dict[int, Genotype]:
    """Return genotypes by their row, at most ``MAX_ARCHITECTURES`` of those whose accuracy is stored.

    A table that stores architectures in the notation of another space has no genotypes of this one. Genotypes are then
    sampled, and each stored architecture has the first of its genotypes.
    """
    if space.notation in STORED_AS:
        rng = random.Random(seed)
        sampled = [space.sample(rng) for _ in range(MAX_ARCHITECTURES)]
        found: dict[int, Genotype] = {}
        for genotype in dict.fromkeys(sampled):
            found.setdefault(table.row(genotype), genotype)
        return {row: genotype for row, genotype in found.items() if np.isfinite(values[row])}
    rows = np.flatnonzero(np.isfinite(values))
    if len(rows) > MAX_ARCHITECTURES:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MAX_ARCHITECTURES, replace=False))
    return {int(row): space.parse(table.architecture(int(row))) for row in rows}


def write_points(found: Sequence[CurvePoint], output: Path) -> None:
    """Write the table and the picture, and print the correlations."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CurvePoint._fields)
    writer.writerows([*point[:3], *(f"{value:.4g}" for value in point[3:])] for point in found)
    write_atomically(output / TABLE, text.getvalue())
    panels: dict[str, dict[str, dict[int, tuple[float, float]]]] = {}
    for point in found:
        curve = panels.setdefault(point.encoding, {}).setdefault(point.predictor, {})
        curve[point.size] = (point.kendall, point.kendall_std)
    save_figure(learning_curves_figure(panels, "Kendall's tau-b"), output / PICTURE)
    for encoding, curves in panels.items():
        sizes = sorted({size for curve in curves.values() for size in curve})
        print(f"{encoding:<18}" + "".join(f"{size:>8}" for size in sizes))
        for name, curve in curves.items():
            print(f"  {name:<16}" + "".join(f"{curve[size][0]:>8.3f}" for size in sizes))
    print(f"table          {output / TABLE}\npicture        {output / PICTURE}")
