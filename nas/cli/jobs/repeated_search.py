"""Repeated black-box searches in one process, with means over the repetitions: method.repetitions=N."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from nas.blackbox.anytime import save_curves, summarize
from nas.blackbox.ask_tell import Query
from nas.blackbox.evaluator import Evaluator
from nas.blackbox.repetition import RepetitionBuild, repetitions_of
from nas.blackbox.search import BlackBoxSearch
from nas.cli.budget import network_of_budget
from nas.cli.build import dataset_name, device_without_trainer
from nas.cli.overrides.renamed import has_old_names
from nas.cli.run_dir.elapsed import Elapsed, read_timing
from nas.cli.run_dir.environment import environment
from nas.cli.run_dir.figures import network_cost, split_figures
from nas.cli.run_dir.layout import REPETITIONS, remove_failure
from nas.cli.run_dir.read_yaml import read_yaml, record_of
from nas.cli.run_dir.record import save_record
from nas.cli.run_dir.repetition_log import decode_curve, encode_curve, read_repetitions
from nas.cli.run_dir.resume_command import resume_command
from nas.cli.run_dir.start import log_start_without_trainer
from nas.cli.run_dir.summary import Summary
from nas.cli.run_dir.terminal import finish_panel
from nas.data.kinds import DataSet
from nas.data.unloaded import unloaded
from nas.executors.base import Task, Workers
from nas.executors.in_order import in_order
from nas.executors.serial import Serial, SerialWorkers
from nas.plotting.cell import save_cell
from nas.spaces.genotype_file import save_genotype
from nas.utils.atomic_write import remove_temporary_files, write_atomically
from nas.utils.errors import NasError
from nas.utils.user_path import user_path

log = logging.getLogger(__name__)


def run_repetitions(cfg: DictConfig, search: BlackBoxSearch, data: DataSet) -> float | None:
    """Run repetition i with seed + i, write the run directory, and return the mean of the found values.

    With ``ckpt_path``, the directory of an interrupted run, its finished repetitions are kept.
    """
    _refuse_earlier_version(cfg.ckpt_path)
    rows = read_repetitions(cfg)
    device = device_without_trainer(cfg)
    log_start_without_trainer(cfg, device)
    finish_panel()
    evaluator = search.build_evaluator(data, device)
    output = Path(cfg.paths.output)
    output.mkdir(parents=True, exist_ok=True)
    remove_temporary_files(output)
    remove_failure(output)
    if cfg.ckpt_path is not None and (output / ".hydra").is_dir():
        save_record(output / ".hydra", cfg)  # a further resume has the present number of repetitions
    elapsed = Elapsed(output, read_timing(user_path(cfg.ckpt_path)) if rows else None)
    with _open_workers(search, evaluator, data, device) as workers:
        _run_missing(search, workers, rows, output / REPETITIONS, elapsed)
    duration = elapsed.figures()
    best = max((_best_query(search, row) for row in rows), key=lambda query: query.rank)
    budget = None if search.limits is None else search.limits.report(best.genotype)
    save_genotype(best.genotype, output / "genotype.json", budget)
    save_cell(best.genotype, output)
    curves = summarize([decode_curve(row) for row in rows], evaluator.best_accuracies())
    _, picture = save_curves(curves, output, evaluator)
    table, fidelities = averages(rows), {row.get("fidelity") for row in rows}
    write_atomically(output / "table.csv", _csv(table))
    values = {
        "mode": "search",
        "method": cfg.method.name,
        "space": search.space.name,
        "dataset": dataset_name(),
        **split_figures(data),
        "seed": search.seed,
        "repetitions": search.repetitions,
        "value_of": evaluator.describe_value(fidelities.pop() if len(fidelities) == 1 else None),
        "genotype": search.space.native(best.genotype),
        "genotype_is": "the best of all repetitions by value",
        "table": {name: {key: _finite(value) for key, value in row.items()} for name, row in table.items()},
        **duration,
        **network_cost(search.space, best.genotype, **network_of_budget(cfg)),
        **({} if budget is None else {"budget": budget}),
        **environment(device, "32-true"),
    }
    Summary(values, [("picture", str(picture))]).save(output)
    mean = table.get("value", {}).get("mean")
    return None if mean is None else float(mean)


def _refuse_earlier_version(ckpt_path: str | None) -> None:
    """Raise NasError if the run to resume is of an earlier version: its options cannot be compared with the present."""
    record = user_path(ckpt_path or "") / ".hydra" / "config.yaml"
    if ckpt_path is not None and record.is_file() and has_old_names(record_of(read_yaml(record), record)):
        raise NasError(
            f"ckpt_path={ckpt_path}: the repetitions are of an earlier version and cannot be resumed. Start from "
            "scratch in another directory."
        )


def _open_workers(search: BlackBoxSearch, evaluator: Evaluator, data: DataSet, device: torch.device) -> Workers:
    """Start the workers of the repetitions; this process has its evaluator already."""
    if isinstance(search.executor, Serial):
        return SerialWorkers(repetitions_of(search, evaluator, data, device.type))
    return search.executor.start(RepetitionBuild(search, unloaded(data)), device.type)


def _run_missing(
    search: BlackBoxSearch, workers: Workers, rows: list[dict[str, Any]], path: Path, elapsed: Elapsed
) -> None:
    """Run the repetitions that ``rows`` lacks; append each finished one to ``rows`` and as a line to ``path``.

    The file does not exist before the first one has finished, so that an error of its first query leaves nothing to
    resume.
    """
    if rows:
        log.info("resumed after %d of %d repetitions", len(rows), search.repetitions)
    if rows or path.exists():  # without an incomplete line
        write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))
    for outcome in in_order(workers, [Task(n, None, n) for n in range(len(rows), search.repetitions)]):
        number = outcome.position
        if outcome.error is not None:
            raise _failed_twice(number, outcome.error, path if rows else None)
        row, curve = outcome.value
        rows.append({**row, "curve": encode_curve(curve)})
        with path.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        elapsed.save()
        if (number + 1) % max(search.repetitions // 10, 1) == 0:
            log.info("repetition %d/%d  %.1f s", number + 1, search.repetitions, elapsed.passed())


def _failed_twice(number: int, error: str, path: Path | None) -> NasError:
    """Return the error for a repetition; ``path`` is the file of the finished ones, None without any."""
    resume = "" if path is None else f" To resume, run {resume_command(path.parent)}"
    return NasError(
        f"method.repetitions: repetition {number} failed twice ({error}). executor=serial hydra.verbose=nas shows the "
        f"traceback.{resume}"
    )


def _best_query(search: BlackBoxSearch, row: Mapping[str, Any]) -> Query:
    """Return the best query of a repetition."""
    value = math.nan if row["value"] is None else row["value"]
    return Query(search.space.parse(row["genotype"]), value, math.nan, row.get("fidelity"))


def averages(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return, for each numeric entry of the rows, the number n of rows with it, their mean and standard deviation."""
    names = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, int | float))
    means = {}
    for name in names:
        values = [float(row[name]) for row in rows if isinstance(row.get(name), int | float)]
        std = statistics.stdev(values) if len(values) > 1 else math.nan  # stdev divides by n - 1
        means[name] = {"n": len(values), "mean": statistics.fmean(values), "std": std}
    return {name: row for name, row in means.items() if name not in ("repetition", "seed")}


def _csv(table: Mapping[str, Mapping[str, float]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["name", "n", "mean", "std"])
    writer.writerows([name, row["n"], f"{row['mean']:.6g}", f"{row['std']:.6g}"] for name, row in table.items())
    return buffer.getvalue()


def _finite(value: float) -> float | None:
    """Return a number that JSON has: NaN, such as the standard deviation of one value, becomes None."""
    return value if math.isfinite(value) else None
