"""Summary of a job: the values of summary.json, and their one rendering in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.cli.run_dir.layout import SUMMARY_FILE, remove_failure
from nas.cli.run_dir.terminal import WIDTH, panel
from nas.utils.atomic_write import write_json
from nas.utils.errors import NasError, one_line
from nas.utils.read_file import read_json
from nas.zoo.architectures import format_reported

log = logging.getLogger(__name__)

TITLES = {"search": "search finished", "train": "training finished", "eval": "evaluation", "export": "export"}
"""Titles of the panel by mode."""

Values = Mapping[str, Any]
Row = tuple[str, str]


RESULT_VALUES = ("value", "val_accuracy", "val_perplexity")
"""Keys of the result of a search."""
RESTORE = "Restore the file, or remove it and resume the run, which writes it again."


@dataclass(frozen=True)
class Summary:
    """Results of a job of any kind.

    Args:
        values: the content of summary.json. The rows of the log follow from the keys that are present.
        notes: further rows (label, text) only for the log, such as paths of pictures.
        report: text printed before the rows.
    """

    values: Values
    notes: Sequence[Row] = ()
    report: str = ""

    def rows(self) -> Iterator[Row]:
        """Yield the rows (label, text) of the log, in the same order for all jobs."""
        for part in PARTS:
            yield from part(self.values)
        yield from self.notes

    def save(self, directory: Path) -> None:
        """Write summary.json into a run directory, remove the error of an earlier attempt, and print the rows."""
        write_json(directory / SUMMARY_FILE, dict(self.values))
        remove_failure(directory)
        if self.report:
            log.info("%s", self.report.rstrip("\n"))
        with panel(TITLES.get(str(self.values.get("mode")), "result")):
            for label, text in self.rows():
                log.info("%-*s %s", WIDTH, label, text)


def read_summary(directory: Path) -> dict[str, Any]:
    """Return the values of a finished run.

    Raises:
        NasError: if summary.json cannot be read, or a value that a table or a mean of runs needs is damaged.
    """
    path = directory / SUMMARY_FILE
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise NasError(f"{path} is damaged: {one_line(error)[:200]}. {RESTORE}") from None
    if not isinstance(values, dict) or not isinstance(values.get("table", {}), dict):
        raise NasError(f"{path} is damaged: it is not the summary of a run. {RESTORE}")
    columns = values.get("table", {}).values()
    results = [values.get(name) for name in RESULT_VALUES]
    if not all(isinstance(column, dict) and "mean" in column for column in columns) or not all(
        type(result) in (int, float, type(None)) for result in results
    ):
        raise NasError(f"{path} is damaged: a result is not a number. {RESTORE}")
    return values


def format_limited(cost: Mapping[str, float]) -> str:
    """Return the text of a limited cost, from its ``value`` and its ``limit``."""
    value, limit = (f"{one:,}" if isinstance(one, int) else f"{one:.4g}" for one in (cost["value"], cost["limit"]))
    return f"{value} of at most {limit}" if cost["value"] <= cost["limit"] else f"{value} exceeds the limit {limit}"


def _genotype(values: Values) -> Iterator[Row]:
    yield "genotype", values["genotype"]
    if "weights" in values:
        yield "weights", f"{values['weights']} ({values['weights_kind']})"


def _cost(values: Values) -> Iterator[Row]:
    published = values.get("published", {})
    counted = {values.get("macs_rule", "macs"): values["macs"], **published.get("counted", {})}
    macs = [f"{value / 1e6:.2f} M" + (f" ({rule})" if len(counted) > 1 else "") for rule, value in counted.items()]
    total = values.get("parameters_with_auxiliary", 0)
    head = f" ({total / 1e6:.3f} M with the auxiliary head)" if total > values["parameters"] else ""
    # a training, evaluation or export has a single network
    network = "final network" if values.get("mode") in ("search", "rank_proxies") else "network"
    size = f"   {network} with {values['network_size']}" if values.get("network_size") else ""
    yield "parameters", f"{values['parameters'] / 1e6:.3f} M{head}   MACs {', '.join(macs)}{size}"
    for data, figures in published.get("reported", {}).items():
        yield "reported", f"{format_reported(figures)} on {data}"


def _budget(values: Values) -> Iterator[Row]:
    for name, cost in values.get("budget", {}).items():
        measured = f" (measured; predicted {cost['predicted']:.4g})" if "predicted" in cost else ""
        yield "budget", f"{name} {format_limited(cost)}{measured}"


def _search(values: Values) -> Iterator[Row]:
    if values.get("val_accuracy") is not None:
        yield (
            "val accuracy",
            f"{values['val_accuracy']:.2f} % of {values['val_images']} images: {values['val_accuracy_of']}",
        )
    if values.get("val_perplexity") is not None and "test_perplexity" not in values:
        text = f"{values['val_perplexity']:.2f} on {values['val_tokens']} tokens: {values['val_perplexity_of']}"
        yield "perplexity", text
    if "queries" in values:
        value = "none" if values["value"] is None else f"{values['value']:.6g}"
        yield "value", f"{value}, {values['value_of']}"
        seconds = f"{values['query_seconds']:.0f} {values['query_seconds_are']} s of evaluations"
        yield "queries", f"{values['queries']} with {seconds}, ended by {values['ended_by']}"
    for split in ("valid", "test"):
        if f"benchmark/{split}" in values:
            yield "benchmark", f"{split} {values[f'benchmark/{split}']:.2f} % ({values['benchmark_of']})"


def _repetitions(values: Values) -> Iterator[Row]:
    for name, column in values.get("table", {}).items():
        of = f"   {values['value_of']}" if name == "value" else ""
        spread = "" if column["std"] is None else f" +- {column['std']:.2f}"
        missing = "" if column["n"] == values["repetitions"] else f" of {values['repetitions']}: a mean of these alone"
        yield name, f"{column['mean']:.2f}{spread} (n = {column['n']}{missing}){of}"


def _test(values: Values) -> Iterator[Row]:
    if "test_accuracy" not in values:
        return
    top5 = values.get("test_top5_accuracy")
    text = f"top-1 {values['test_accuracy']:.2f} %" + ("" if top5 is None else f"   top-5 {top5:.2f} %")
    if "epochs" in values:
        text += f" after epoch {values['epochs']}"
    if values.get("best_test_accuracy") is not None:
        of = "" if values["best_images"] == values["images"] else f" of {values['best_images']} images"
        text += f" (best {values['best_test_accuracy']:.2f} %{of} after epoch {values['best_epochs']})"
    yield "test accuracy", text
    yield "tested on", f"{values['images']} {values['tested_on']} of {values['dataset']}"
    if "calibration_error" in values:
        error = f"expected calibration error {values['calibration_error']:.2f} %"
        yield "test loss", f"{values['test_loss']:.4f}   {error}"


def _language_model(values: Values) -> Iterator[Row]:
    if "test_perplexity" not in values:
        return
    text = f"test {values['test_perplexity']:.2f}"
    if values.get("val_perplexity") is not None:
        text += f"   validation {values['val_perplexity']:.2f}"
    if values.get("best_epochs") is not None:
        text += f" (best of {values['epochs']} epochs, after epoch {values['best_epochs']})"
    yield "perplexity", text
    yield "tested on", f"{values['tokens']} {values['tested_on']} of {values['dataset']}"


def _speed(values: Values) -> Iterator[Row]:
    if "tokens_per_second" in values:
        where = f"{values['device']}, {values['precision']}"
        yield "throughput", f"{values['tokens_per_second']:.0f} tokens/s in {values['columns']} column(s) ({where})"
    if "images_per_second" not in values:
        return
    batched, single = values["batch_seconds"], values["image_seconds"]
    threads = values["threads"]
    where = f"{values['device']}, {values['precision']}"
    if values["accelerator"] == "cpu":
        where += f", {threads} thread{'s' if threads > 1 else ''}"
    yield "throughput", f"{values['images_per_second']:.1f} images/s in batches of {batched['batch']} ({where})"
    median, low, high = (1e3 * single[key] for key in ("median", "low", "high"))
    spread = f"80 % of {single['runs']} between {low:.2f} and {high:.2f}"
    yield "latency", f"{median:.2f} ms for a single image ({spread})"


def _export(values: Values) -> Iterator[Row]:
    for name, difference in values.get("max_difference", {}).items():
        yield "difference", f"at most {difference:.3g} from the network, on {name} images"
    if "file" in values:
        yield "file", f"{values['file']} ({values['bytes'] / 1e6:.2f} MB)"


def _time(values: Values) -> Iterator[Row]:
    for job in ("search", "train"):
        if f"{job}_seconds" in values:
            step = values.get("step_seconds")
            speed = "" if step is None else f", {1000 * step:.0f} ms per step"
            yield f"{job} time", _format_duration(values[f"{job}_seconds"]) + speed + _parallel(values)


def _format_duration(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds:.1f} s"


def _parallel(values: Values) -> str:
    """Return the part of a duration about measurements in several workers and runs."""
    text = f", {values['measurement_seconds']:.1f} s of measurements" if "measurement_seconds" in values else ""
    if "longest_shard_seconds" in values:
        text += f", the sum of {values['shards']} shards (longest {values['longest_shard_seconds']:.1f} s)"
    return text


PARTS: Sequence[Callable[[Values], Iterator[Row]]] = (
    _genotype,
    _cost,
    _budget,
    _search,
    _repetitions,
    _test,
    _language_model,
    _speed,
    _export,
    _time,
)
