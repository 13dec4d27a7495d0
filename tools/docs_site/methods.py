"""Pages of the methods: the written part in docs/methods/, then configuration and results from their files."""

from __future__ import annotations

import re
from collections import defaultdict

from nas.leaderboard.entry import DATASETS, SPACES
from nas.zoo.results import Result, load_results, load_sources
from tools.docs_site.paths import CONF, DOCS


def method_index() -> str:
    """Return the table of all methods, with the first sentence of each page."""
    rows = []
    for path in sorted((DOCS / "methods").glob("*.md")):
        title, idea = _title_and_idea(path.read_text(encoding="utf-8"))
        rows.append(f"| [`{path.stem}`]({path.name}) | {title} | {idea} |")
    head = "# Methods\n\nEach page has the idea, the equation, the configuration and the results of a method.\n"
    return "\n".join([head, "| `method=` | name | idea |", "|---|---|---|", *rows]) + "\n"


def complete_method_page(method: str, markdown: str) -> str:
    """Add the configuration and the results of a method to its page."""
    text = (CONF / "method" / f"{method}.yaml").read_text(encoding="utf-8")
    config = f"## Configuration\n\n`conf/method/{method}.yaml`\n\n```yaml\n{text.rstrip()}\n```\n"
    return f"{markdown.rstrip()}\n\n{config}\n{_results(method)}"


def _title_and_idea(text: str) -> tuple[str, str]:
    """Return the title of a page and the first sentence of its text."""
    title, _, body = text.partition("\n")
    first = re.split(r"(?<=[.])\s", " ".join(body.split()), maxsplit=1)[0]
    return title.removeprefix("# ").strip(), first.replace("|", "\\|")


def _results(method: str) -> str:
    """Render the published and measured results of a method, one row per space, data set, metric and variant."""
    rows = [row for row in load_results() if row.method == method and row.kind == "search"]
    if not rows:
        return "## Results\n\nNo published or measured result is recorded in [results](../results.md).\n"
    sources, groups = load_sources(), defaultdict(list)
    for row in rows:
        groups[SPACES.get(row.space, row.space)].append(row)
    parts = [
        "## Results",
        "Published figures, and figures measured with this code. All methods: [results](../results.md).",
    ]
    head = "| data | figure | variant | published | measured here | source |\n|---|---|---|---|---|---|"
    for space, found in groups.items():
        parts += [f"### {space}", "\n".join([head, *map(_row, found)])]
    used = sorted({row.published.source for row in rows if row.published is not None})
    parts.append("\n".join(f"- **{name}**: {sources[name]}" for name in used))
    commands = sorted({row.command for row in rows if row.command})
    if commands:
        parts += ["Commands (`DIR` holds the data sets):", "```\n" + "\n".join(commands) + "\n```"]
    return "\n\n".join(parts) + "\n"


def _row(row: Result) -> str:
    unit = f", {row.metric.unit}" if row.metric.unit else ""
    published = ours = source = ""
    if row.published is not None:
        published, source = _figure(row.published.value, row.published.spread, row.published.runs), row.published.source
    if row.ours is not None:
        ours = _figure(row.ours.value, row.ours.spread, row.ours.runs)
    data = DATASETS.get(row.dataset or "", row.dataset or "")
    return f"| {data} | {row.metric.title}{unit} | {row.variant or ''} | {published} | {ours} | {source} |"


def _figure(value: object, spread: object, runs: int | None) -> str:
    deviation = "" if spread is None else f" ± {spread}"
    return f"{value}{deviation}" + ("" if runs is None else f" ({runs} runs)" if runs > 1 else " (1 run)")
