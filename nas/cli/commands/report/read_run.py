"""Reading of a run directory for a report. Everything in it is untrusted, and may be missing or damaged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nas.architecture.cell import Genotype
from nas.cli.commands.report.options import RunOptions, read_options
from nas.cli.commands.report.read_lines import RunFiles, bands, history_curves, metric_curves, number_of
from nas.cli.overrides.run_record import choices_file, overrides_file, saved_choices, saved_config, saved_sources
from nas.cli.run_dir.command import config_flags, own_parts_flags
from nas.cli.run_dir.job_record import parse_overrides
from nas.cli.run_dir.layout import FAILURE_FILE, REPETITIONS, SUMMARY_FILE, has_failed, is_empty, last_checkpoint
from nas.cli.run_dir.read_yaml import read_yaml
from nas.nn.custom_ops import CUSTOM_OPS
from nas.report.run import Points, Query, Run
from nas.spaces.genotype_file import GENOTYPE_FILE, read_genotype_file
from nas.spaces.notation import parse_genotype
from nas.utils.errors import NasError, one_line
from nas.utils.is_number import is_number
from nas.utils.own_parts import OwnPart
from nas.utils.printable import printable

KINDS = ("search", "rank_proxies", "train", "eval", "export")
GROUPS = ("method", "space", "dataset", "experiment")
NO_SUMMARY = "summary.json is missing: the run is still running, or was stopped before its end."
EXPECTED = {"search": ("history.jsonl", GENOTYPE_FILE), "train": ("metrics.csv",)}
"""Files that each run of a kind writes."""

LOGS = ("search.log", "train.log")
INTERRUPTS = ("error: interrupted", "error: SIGUSR1")
"""Start of a line of a log that is no error: the run can be resumed."""

Scores = dict[str, list[list[float]]]


def read_run(directory: Path, shown: str, detailed: bool = True) -> Run:
    """Read a run directory.

    Args:
        directory: the run directory.
        shown: the path to print.
        detailed: whether to compose the configuration, which takes a second: for default values and names of ops.
    """
    try:
        return _read(directory, shown, detailed)
    except OSError as error:  # such as a directory of another user
        return Run(shown, problems=[f"The directory cannot be read: {printable(one_line(error), 500)}."])


def _read(directory: Path, shown: str, detailed: bool) -> Run:
    files = RunFiles(directory)
    if is_empty(directory):
        return Run(shown, problems=["The directory is empty: the run has not started."])
    overrides, choices = _record(directory, files)
    summary = files.json(SUMMARY_FILE)
    kind = _kind(summary, directory)
    history = files.epochs("history.jsonl")
    by_epoch, by_step = metric_curves(files.rows("metrics.csv"))
    failure = _failure(directory, files, finished=bool(summary))
    repetitions = files.objects(REPETITIONS)
    _name_missing(files, kind, summary, bool(repetitions))
    options = read_options(kind, overrides, directory) if detailed else RunOptions()
    final, counts = _final_genotype(directory, files), _op_counts(history)
    used = {*(() if final is None else final.origins), *(op for _, count in counts for op in count)}
    with CUSTOM_OPS.use([OwnPart(op, _not_built, op) for op in used]):  # a report only needs their names
        genotypes = _genotypes(history, files)
    started, ended = _times(directory)
    return Run(
        directory=shown,
        kind=kind,
        status="failed" if failure else "finished" if summary else "unfinished",
        summary=summary,
        choices=choices,
        overrides=parse_overrides(overrides),
        options=options.changed,
        epochs=by_epoch | history_curves(history),
        steps=by_step,
        genotypes=genotypes,
        ops=counts,
        scores=_scores(files),
        cells=options.cells,
        genotype=final or (genotypes[-1][1] if genotypes else None),
        queries=_queries(files.objects("queries.jsonl")),
        repetitions=repetitions,
        **_tables(files),
        problems=[printable(problem, 500) for problem in files.problems],
        failure=failure,
        started=started,
        ended=ended,
        resumable=last_checkpoint(directory) is not None,
        flags=_flags(directory, overrides),
        resume_flags=_flags(directory, overrides, resumed=True),
    )


def _failure(directory: Path, files: RunFiles, finished: bool) -> str:
    """Return the error that ended a run: that of failure.txt, or a user error in the last line of its log."""
    if has_failed(directory):
        return printable(files.text(FAILURE_FILE).partition("\n")[0], 500)
    for name in () if finished else LOGS:
        last = files.text(name).rstrip("\n").rpartition("\n")[2]
        if last.startswith("error: ") and not last.startswith(INTERRUPTS):
            return printable(last.removeprefix("error: "), 500)
    return ""


def _tables(files: RunFiles) -> dict[str, Any]:
    """Return the fields of a run that are read from anytime.csv and accuracy_range.csv."""
    anytime, ranges = files.rows("anytime.csv"), files.rows("accuracy_range.csv")
    volumes = [
        (number_of(row.get("query")), number_of(row.get("hypervolume"))) for row in files.rows("hypervolume.csv")
    ]
    points = [(x, y) for x, y in volumes if x is not None and y is not None]
    axis = "seconds" if anytime and "seconds" in anytime[0] else "queries"
    return {
        "anytime": bands(anytime, "name", (axis, "low", "mean", "high")),
        "anytime_axis": axis,
        "hypervolume": Points([x for x, _ in points], [y for _, y in points]),
        "accuracy_range": bands(ranges, "dataset", ("epoch", "minimum", "mode", "maximum"), shift=1),
        "optimum": {row["dataset"]: best for row in ranges if (best := number_of(row.get("optimum"))) is not None},
    }


def _record(directory: Path, files: RunFiles) -> tuple[list[str], dict[str, str]]:
    """Return the overrides and the choices in .hydra."""
    overrides: list[str] = []
    choices: dict[str, str] = {}
    for path in (overrides_file(directory), choices_file(directory)):
        if not path.is_file():
            files.problems.append(f".hydra/{path.name} is missing: options of the run are unknown.")
    try:
        if overrides_file(directory).is_file():
            lines = read_yaml(overrides_file(directory))
            overrides = [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []
        choices = {group: name for group, name in saved_choices(directory).items() if group in GROUPS}
    except NasError as error:
        files.problems.append(one_line(error))
    return overrides, choices


def _flags(directory: Path, overrides: Sequence[str], resumed: bool = False) -> list[str]:
    """Return the options that commands on the run need; none if its record is damaged or an option is not a line."""
    try:
        flags = [*config_flags(saved_sources(directory)), *own_parts_flags(overrides, resumed)]
    except NasError:
        return []  # named as damaged elsewhere
    return flags if all(printable(flag) == flag for flag in flags) else []


def _not_built(*args: Any) -> Any:
    raise NasError("a custom op of a report is not built")


def _kind(summary: dict[str, Any], directory: Path) -> str:
    mode = summary.get("mode")
    if mode is None and (directory / ".hydra" / "config.yaml").is_file():
        try:
            mode = saved_config(directory).get("mode")
        except NasError:
            mode = None  # the record is named as damaged elsewhere
    if mode is None and (directory / "history.jsonl").is_file():
        return "search"
    return mode if mode in KINDS else ""


def _name_missing(files: RunFiles, kind: str, summary: dict[str, Any], repeated: bool) -> None:
    """Add a sentence for each file that is missing."""
    if not summary and not files.has("summary.json"):
        files.problems.append(NO_SUMMARY)
    for name in () if repeated else EXPECTED.get(kind, ()):
        if not files.has(name):
            files.problems.append(f"{name} is missing: sections that need it are omitted.")


def _genotypes(history: Iterable[tuple[int, dict[str, Any]]], files: RunFiles) -> list[tuple[int, Genotype]]:
    """Return the genotype of each epoch, without those that cannot be parsed."""
    genotypes: list[tuple[int, Genotype]] = []
    known: dict[str, Genotype | None] = {}
    for epoch, line in history:
        text = line.get("genotype")
        if not isinstance(text, str):
            continue
        if text not in known:
            try:
                known[text] = parse_genotype(text)
            except (NasError, ValueError, RecursionError) as error:
                known[text] = None
                files.problems.append(f"history.jsonl: genotype of epoch {epoch}: {one_line(error)[:200]}")
        genotype = known[text]
        if genotype is not None:
            genotypes.append((epoch, genotype))
    return genotypes


def _final_genotype(directory: Path, files: RunFiles) -> Genotype | None:
    if not files.has(GENOTYPE_FILE):
        return None
    try:
        return read_genotype_file(directory / GENOTYPE_FILE)
    except NasError as error:
        files.problems.append(one_line(error))
        return None


def _op_counts(history: Iterable[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, int]]]:
    counts_by_epoch = []
    for epoch, line in history:
        counts = line.get("ops")
        if isinstance(counts, dict) and counts and all(is_number(count) and count >= 0 for count in counts.values()):
            counts_by_epoch.append((epoch, {printable(op, 40): int(count) for op, count in counts.items()}))
    return counts_by_epoch


def _scores(files: RunFiles) -> list[tuple[int, Scores]]:
    """Return the op scores of the epochs whose tables have the shape of the last epoch."""
    valid = [(epoch, line["scores"]) for epoch, line in files.epochs("alphas.jsonl") if _are_tables(line.get("scores"))]
    shapes = [{cell: (len(table), len(table[0])) for cell, table in scores.items()} for _, scores in valid]
    kept = [pair for pair, shape in zip(valid, shapes, strict=True) if shape == shapes[-1]]
    if len(kept) < len(valid):
        files.problems.append(
            f"alphas.jsonl: {len(valid) - len(kept)} epochs have tables of another shape and are left out."
        )
    return kept


def _are_tables(value: Any) -> bool:
    """Return whether a value is a mapping of rectangular tables of numbers."""
    if not isinstance(value, dict) or not value:
        return False
    for table in value.values():
        if not isinstance(table, list) or not table or not all(isinstance(row, list) and row for row in table):
            return False
        if len({len(row) for row in table}) > 1 or not all(is_number(score) for row in table for score in row):
            return False
    return True


def _queries(lines: Iterable[dict[str, Any]]) -> list[Query]:
    values: list[Any] = [line.get("value") for line in lines]
    return [Query(number, float(value) if is_number(value) else float("nan")) for number, value in enumerate(values)]


def _times(directory: Path) -> tuple[datetime | None, datetime | None]:
    """Return the times of the record, which is written at the start, and of the last result."""
    starts = [path.stat().st_mtime for path in (overrides_file(directory),) if path.is_file()]
    names = ("summary.json", "history.jsonl", "metrics.csv", FAILURE_FILE)
    ends = [path.stat().st_mtime for path in map(directory.joinpath, names) if path.is_file()]
    return _time(starts), _time(ends)


def _time(seconds: Sequence[float]) -> datetime | None:
    """Return the last of some times, None if there are none, or if a wrong clock has set one beyond any date."""
    try:
        return datetime.fromtimestamp(max(seconds)) if seconds else None
    except (OSError, OverflowError, ValueError):
        return None
