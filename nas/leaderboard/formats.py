"""Leaderboards as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from nas.leaderboard.board import Table
from nas.leaderboard.entry import Entry
from nas.leaderboard.page import to_html
from nas.utils.errors import NasError

COLUMNS = ("rank", "value", "model", "source", "protocol")
FIELDS = (
    *("space", "dataset", "metric", "unit", "rank", "value", "spread", "runs", "model", "variant", "kind"),
    *("search_dataset", "source", "origin", "protocol", "genotype", "command"),
)


def cells(rank: int, entry: Entry) -> tuple[str, ...]:
    """Return the texts of a row, in the order of COLUMNS."""
    return (str(rank), entry.value_text(), entry.name, entry.source, entry.protocol or "-")


def to_markdown(tables: Sequence[Table], sources: Mapping[str, str]) -> str:
    """Return one Markdown table per task and the list of the cited sources."""
    parts = ["# Leaderboard\n"]
    for table in tables:
        task = table.task
        better = "higher" if task.higher else "lower"
        parts += [
            f"## {_escape(task.space_title)}, {_escape(task.dataset_title)}: {task.metric_title}\n",
            f"Mean ± standard deviation (number of runs), {better} is better. **Bold** rows are runs.\n",
            _markdown_line(COLUMNS),
            "|---" * len(COLUMNS) + "|",
        ]
        parts += [_markdown_line(_marked(entry, cells(rank, entry))) for rank, entry in table.rows]
        parts.append("")
    cited = [name for name in sources if any(e.source == name for table in tables for _, e in table.rows)]
    if cited:
        parts += ["## Sources\n", *(f"- **{_escape(name)}**: {_escape(sources[name])}" for name in cited), ""]
    return "\n".join(parts)


def to_csv(tables: Sequence[Table], sources: Mapping[str, str]) -> str:
    """Return one line per entry with the columns FIELDS."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in records(tables):
        writer.writerow(["" if row[name] is None else row[name] for name in FIELDS])
    return buffer.getvalue()


def to_json(tables: Sequence[Table], sources: Mapping[str, str]) -> str:
    """Return the entries and the sources as JSON."""
    content = {"entries": list(records(tables)), "sources": dict(sources)}
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def records(tables: Iterable[Table]) -> Iterable[dict[str, object]]:
    """Yield the entries as flat records with the keys FIELDS."""
    for table in tables:
        for rank, entry in table.rows:
            record = {**asdict(entry), **asdict(entry.task), "rank": rank}
            yield {name: record[name] for name in FIELDS}


WRITERS: Mapping[str, Callable[[Sequence[Table], Mapping[str, str]], str]] = {
    ".md": to_markdown,
    ".csv": to_csv,
    ".json": to_json,
    ".html": to_html,
}
"""Formats by the ending of the file."""


def check_output(path: Path, overwrite: bool) -> None:
    """Raise NasError if a leaderboard cannot be written to ``path``."""
    if path.suffix not in WRITERS:
        raise NasError(f"--output={path}: unknown format. Use a name that ends in {', '.join(WRITERS)}.")
    if path.is_dir() or not path.parent.is_dir():
        problem = "is a directory" if path.is_dir() else f"there is no directory {path.parent}"
        raise NasError(f"--output={path}: {problem}. Give a file in an existing directory.")
    if path.exists() and not overwrite:
        raise NasError(f"--output={path}: the file exists. Add --overwrite, or give another name.")


def _marked(entry: Entry, texts: Sequence[str]) -> list[str]:
    """Return the escaped texts, bold if the entry is a run."""
    escaped = [_escape(text) for text in texts]
    return [f"**{text}**" for text in escaped] if entry.origin == "run" else escaped


def _markdown_line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _escape(text: str) -> str:
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return text
