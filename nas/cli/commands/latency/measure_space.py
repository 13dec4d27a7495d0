"""Measurement of the command ``nas-search latency``: table, picture and report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf, open_dict

from nas.cli.build import build_data, build_space
from nas.cli.checks.options import check_network, check_options
from nas.cli.commands.latency.options import Options
from nas.cli.overrides.compose import compose_job
from nas.cli.overrides.hydra_internals import split_arguments
from nas.cli.overrides.installed import provide_choices
from nas.cli.own_parts import own_parts_in_use
from nas.cli.run_dir.hydra_config import hydra_config_of
from nas.cli.run_dir.progress import LoopProgress
from nas.latency.choices import KINDS, Kind
from nas.latency.measure import measure_table
from nas.latency.predictor import PredictionError, held_out_predictions, prediction_error
from nas.latency.table import LatencyTable
from nas.latency.table_file import save_table
from nas.plotting.figure import save_figure
from nas.plotting.latency import latency_figure
from nas.spaces.base import Space
from nas.utils.errors import NasError


def measure_space(options: Options) -> str:
    """Measure the ops and networks of a space, write table and picture, and return the report."""
    with _space(options) as space:
        return _measure(space, options)


@contextmanager
def _space(options: Options) -> Iterator[Space]:
    """Build the space for the images of the data set; no image is read."""
    flags, _ = split_arguments([] if options.config_dir is None else ["--config-dir", options.config_dir])
    provide_choices(options.overrides)
    cfg = compose_job("search", options.overrides, flags)
    with hydra_config_of(cfg):
        with open_dict(cfg):
            del cfg["hydra"]
        check_options(OmegaConf.masked_copy(cfg, ["dataset", "space"]))
        with own_parts_in_use(cfg):
            yield build_space(cfg.space, build_data(cfg))


def _measure(space: Space, options: Options) -> str:
    """Measure, write table and picture, and return the report."""
    check_network("network", space, options.network)
    output = options.output(space.name)
    picture = output.with_suffix(".png")
    for path in (output, picture):
        _check_output(path, options.values["overwrite"])
    networks, seed = options.values["networks"], options.values["seed"]
    table = measure_table(space, options.setup, options.network, networks, seed, LoopProgress)
    predictions = {kind: held_out_predictions(table, space, kind) for kind in KINDS}
    errors = {kind: prediction_error(*pair) for kind, pair in predictions.items()}
    lowest: Kind = min(KINDS, key=lambda kind: errors[kind].mean_ms)
    chosen = options.predictor or lowest
    table = replace(table, predictor=chosen)
    save_table(table, space, output, {"held_out": {kind: error._asdict() for kind, error in errors.items()}})
    note = f"Kendall {errors[chosen].kendall:.2f}\nSpearman {errors[chosen].spearman:.2f}"
    title = f"{space.name}, {options.setup.backend}, {chosen}, held-out networks"
    save_figure(latency_figure(*predictions[chosen], title, note), picture)
    return _report(space, table, errors, output, picture)


def _check_output(path: Path, overwrite: bool) -> None:
    if path.suffix == "" or not os.path.isdir(path.parent):
        raise NasError(f"output={path}: needs a file name with suffix .json in an existing directory.")
    if os.path.isdir(path):
        raise NasError(f"output={path}: is a directory. Give a file.")
    if os.path.lexists(path) and not overwrite:
        raise NasError(f"output={path}: exists. Choose another file, or set overwrite=true.")


def _report(space: Space, table: LatencyTable, errors: dict[Kind, PredictionError], output: Path, picture: Path) -> str:
    size = space.describe_size(**table.network)
    images = "x".join(map(str, table.shape))
    lines = {
        "space": f"{space.name}, images {images}, {table.classes} classes{f', {size}' if size else ''}",
        "conditions": table.describe(),
        "ops": _interval([table.latency(timing) for timing in table.ops.values()]),
        "networks": _interval([table.latency(timing) for timing in table.networks.values()]),
        **{f"held out {kind}": _error(error) for kind, error in errors.items()},
        "predictor": table.predictor,
        "table": str(output),
        "picture": str(picture),
    }
    return "\n".join(f"{name:<16}{text}" for name, text in lines.items())


def _interval(values: Sequence[float]) -> str:
    return f"{len(values)}, {min(values):.3g} to {max(values):.3g} ms"


def _error(error: PredictionError) -> str:
    return (
        f"mean error {error.mean_ms:.3g} ms ({error.mean_percent:.1f} %), Kendall {error.kendall:.3f}, Spearman "
        f"{error.spearman:.3f}"
    )
