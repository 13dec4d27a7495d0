"""Leaderboard as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader

from nas.leaderboard.board import Table

TEMPLATE = "leaderboard.html"


def to_html(tables: Sequence[Table], sources: Mapping[str, str]) -> str:
    """Return the page: a sortable table of all tasks with filters. All texts are escaped."""
    environment = Environment(
        loader=PackageLoader("nas.leaderboard"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    cited = {name: sources[name] for name in sources if any(e.source == name for t in tables for _, e in t.rows)}
    names = {
        "space": _options([(table.task.space, table.task.space_title) for table in tables]),
        "dataset": _options([(table.task.dataset, table.task.dataset_title) for table in tables]),
        "metric": _options([(table.task.metric, table.task.metric_title) for table in tables]),
    }
    return environment.get_template(TEMPLATE).render(tables=tables, sources=cited, filters=names) + "\n"


def _options(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return dict(sorted(set(pairs), key=lambda pair: pair[1]))
