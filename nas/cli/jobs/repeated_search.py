"""Many independent searches by queries in one process, and what they found on average."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from nas.architecture.cell import Genotype
from nas.blackbox.anytime import anytime_curve, save_curves, summarize
from nas.blackbox.ask_tell import AskTellLoop, Query
from nas.blackbox.evaluator import Evaluator
from nas.blackbox.search import BlackBoxSearch
from nas.cli.build import device_without_trainer
from nas.cli.run_dir.layout import REPETITIONS
from nas.cli.run_dir.record import save_record
from nas.cli.run_dir.repetition_log import curve, finished, trace_of
from nas.cli.run_dir.summary import cost, environment
from nas.data.base import ImageData
from nas.plotting.cell import save_cell
from nas.spaces.genotype_file import save_genotype
from nas.utils.atomic_write import write_atomically, write_json

log = logging.getLogger(__name__)


def repeat(cfg: DictConfig, search: BlackBoxSearch, data: ImageData) -> float | None:
    """Repetition i searches with seed + i; writes the run directory and returns the mean value of what they found.

    With ``ckpt_path``, the directory of an interrupted run, those that it has finished are not made again.
    """
    rows = finished(cfg)
    device = device_without_trainer(cfg)
    evaluator = search.build_evaluator(data, device)
    output, began = Path(cfg.paths.output), time.perf_counter()
    output.mkdir(parents=True, exist_ok=True)
    if cfg.ckpt_path is not None and (output / ".hydra").is_dir():
        save_record(output / ".hydra", cfg)  # to go on once more with as many repetitions as now
    _run(search, evaluator, rows, output / REPETITIONS)
    best = max((_query(search, row) for row in rows), key=lambda query: query.rank)
    seconds = time.perf_counter() - began
    save_genotype(best.genotype, output / "genotype.json")
    save_cell(best.genotype, output)
    _, picture = save_curves(summarize([trace_of(row) for row in rows], evaluator.best_accuracies()), output, evaluator)
    table, lengths = averages(rows), {row.get("fidelity") for row in rows}
    write_atomically(output / "table.csv", _csv(table))
    summary = {
        "method": cfg.method.name,
        "space": search.space.name,
        "dataset": HydraConfig.get().runtime.choices["dataset"],
        "seed": search.seed,
        "repetitions": search.repetitions,
        "value_of": evaluator.label_at(lengths.pop() if len(lengths) == 1 else None),
        "genotype": search.space.native(best.genotype),
        "genotype_is": "the best of all repetitions by value",
        "table": {name: {key: _number(value) for key, value in one.items()} for name, one in table.items()},
        "search_seconds": round(seconds, 3),
        **cost(search.space, best.genotype),
        **environment(device, "32-true"),
    }
    write_json(output / "summary.json", summary)
    _report(summary, table, picture)
    mean = table.get("value", {}).get("mean")
    return None if mean is None else float(mean)


def _run(search: BlackBoxSearch, evaluator: Evaluator, rows: list[dict[str, Any]], path: Path) -> None:
    """Makes the repetitions that ``rows`` lacks: a row is added for each, and a line of ``path``, as it ends.

    Before the first has ended there is no file: a mistake that its first query shows leaves nothing to go on with.
    """
    known: dict[Genotype, dict[str, float]] = {}
    began = time.perf_counter()
    if rows:
        log.info("goes on after %d of %d repetitions", len(rows), search.repetitions)
    if rows or path.exists():  # without a line that was cut off
        write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))
    for number in range(len(rows), search.repetitions):
        loop = search.new_loop(search.seed + number)
        evaluator.reset(search.seed + number)
        while loop.step(evaluator):
            pass
        found = curve(anytime_curve(loop, evaluator, known))
        rows.append({**_row(search, loop, number, known), "curve": found})
        with path.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        if (number + 1) % max(search.repetitions // 10, 1) == 0:
            log.info("repetition %d/%d  %.1f s", number + 1, search.repetitions, time.perf_counter() - began)


def _query(search: BlackBoxSearch, row: Mapping[str, Any]) -> Query:
    """The best query of a repetition."""
    value = math.nan if row["value"] is None else row["value"]
    return Query(search.space.parse(row["genotype"]), value, math.nan, row.get("fidelity"))


def averages(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """For each number that the rows hold: of how many rows, their mean and standard deviation (n - 1)."""
    names = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, int | float))
    found = {}
    for name in names:
        values = [float(row[name]) for row in rows if isinstance(row.get(name), int | float)]
        std = statistics.stdev(values) if len(values) > 1 else math.nan
        found[name] = {"n": len(values), "mean": statistics.fmean(values), "std": std}
    return {name: one for name, one in found.items() if name not in ("repetition", "seed")}


def _row(
    search: BlackBoxSearch, loop: AskTellLoop, number: int, known: Mapping[Genotype, Mapping[str, float]]
) -> dict[str, Any]:
    best = loop.best
    assert best is not None
    return {
        "repetition": number,
        "seed": search.seed + number,
        "genotype": search.space.native(best.genotype),
        "value": best.value if math.isfinite(best.value) else None,
        "queries": len(loop.history),
        "genotypes": len({query.genotype for query in loop.history}),
        "spent": loop.spent,
        "ended_by": loop.ended,
        **({"fidelity": best.fidelity} if best.fidelity is not None else {}),
        **known[best.genotype],
    }


def _csv(table: Mapping[str, Mapping[str, float]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["name", "n", "mean", "std"])
    writer.writerows([name, one["n"], f"{one['mean']:.6g}", f"{one['std']:.6g}"] for name, one in table.items())
    return buffer.getvalue()


def _number(value: float) -> float | None:
    """JSON has no NaN: the standard deviation of one."""
    return value if math.isfinite(value) else None


def _report(summary: Mapping[str, Any], found: Mapping[str, Mapping[str, float]], picture: Path) -> None:
    count, seconds = summary["repetitions"], summary["search_seconds"]
    table = Table(title=f"{summary['method']}: {count} repetitions in {seconds:.1f} s", title_justify="left")
    for column in ("of the best genotype of a repetition", "n", "mean", "std"):
        table.add_column(column, justify="left" if column.startswith("of") else "right")
    for name, one in found.items():
        said = f"{name}: {summary['value_of']}" if name == "value" else name
        table.add_row(said, str(one["n"]), f"{one['mean']:.2f}", f"{one['std']:.2f}")
    Console(highlight=False, width=100).print(table)
    for name, one in found.items():
        if one["n"] < count:
            log.info("%s is known of %d of %d found genotypes alone: its mean is not one of all", name, one["n"], count)
    log.info("picture       %s", picture)
