"""The HTML page of a report."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nas.report import architecture, facts
from nas.report.cells import cell_pictures, draw_cell
from nas.report.comparison import curve_charts, rank_chart, result_chart
from nas.report.curves import benchmark_charts, metric_charts
from nas.report.groups import Group, columns_of, common_scores, group_runs, title_of
from nas.report.queries import query_charts
from nas.report.run import Run
from nas.report.statistics import mean_and_std, paired_tests, rank_groups
from nas.spaces.notation import native_string
from nas.utils.direction import higher_is_better
from nas.utils.printable import REPLACEMENT


def run_page(run: Run) -> str:
    """Return the page of one run."""
    tables = architecture.score_tables(run)
    panels = architecture.score_panels(run)
    pictures = cell_pictures(run.genotypes)
    last = draw_cell(run.genotype, "final") if run.genotype is not None and not pictures else None
    return _render(
        "run.html",
        title=run.title,
        run=run,
        facts=facts,
        genotype="" if run.genotype is None else native_string(run.genotype),
        pictures=pictures,
        last=last,
        changed=len(architecture.changes(run.genotypes)),
        metrics=metric_charts(run),
        benchmark=benchmark_charts(run),
        queries=query_charts(run),
        shares=architecture.share_charts(run),
        timelines=architecture.timelines(run),
        tables=tables,
        panels=panels,
        panels_open=len(panels) <= architecture.OPEN_PANELS,
        panel_legend=architecture.score_legend(run) if panels else [],
    )


def comparison_page(runs: Sequence[Run]) -> str:
    """Return the page that compares several runs."""
    groups = group_runs(runs)
    columns = columns_of(groups)
    scores = common_scores(groups)
    main = scores[0] if scores else None
    having = [group for group in groups if main is not None and group.results(main)]
    by_seed = {group.name: group.by_seed(main) for group in having} if main is not None else {}
    ranks = rank_groups(by_seed, lower_is_better=main is not None and not higher_is_better(main))
    best = [draw_cell(run.genotype, f"cell-{n}") if run.genotype else None for n, run in enumerate(runs)]
    return _render(
        "comparison.html",
        title=f"Comparison of {len(runs)} runs",
        runs=list(zip(runs, best, strict=True)),
        facts=facts,
        groups=groups,
        columns=columns,
        cells={(group.name, name): _cell(group, name) for group in groups for name, _ in columns},
        main=title_of(main) if main else "",
        tests=paired_tests(by_seed),
        comparable=_comparability(having),
        results=[result_chart(groups, name, f"result-{number}") for number, name in enumerate(scores[:4])],
        ranks=rank_chart(ranks, groups, str(main)) if ranks is not None else None,
        curves=curve_charts(groups),
        native=native_string,
    )


def _comparability(groups: Sequence[Group]) -> str:
    """Return a sentence on groups that differ in more than the method, "" if there is none."""
    different = [
        name
        for name, values in (
            ("data set", {group.dataset for group in groups}),
            ("space", {group.space for group in groups}),
            ("kind of run", {group.kind for group in groups}),
        )
        if len(values) > 1
    ]
    repeated = [group.name for group in groups if group.repeated_seeds]
    text = f"The groups differ in {' and '.join(different)}, so they are not directly comparable. " if different else ""
    if repeated:
        text += f"Several runs have the same seed in {', '.join(repeated)}; tests and ranks use the last of them."
    return text.strip()


def _cell(group: Group, name: str) -> str:
    """Return mean and standard deviation of a result as text."""
    values = group.results(name)
    if not values:
        return "–"
    mean, std = mean_and_std(values)
    digits = {"parameters": 3, "spearman": 4, "value": _value_digits(std)}.get(name, 2)
    text = f"{mean:.6g}" if digits is None else f"{mean:.{digits}f}"
    if std is not None:
        text += f" ± {std:.3g}" if digits is None else f" ± {std:.{digits}f}"
    return text if len(values) == len(group.members) else f"{text} (n = {len(values)})"


def _value_digits(std: float | None) -> int | None:
    """Return the decimals of mean and standard deviation of values of any magnitude, None for significant digits."""
    if not std or not math.isfinite(std):
        return None
    digits = 2 - math.floor(math.log10(std))  # three significant digits of the deviation
    return max(digits, 0) if -4 < digits <= 6 else None


def _render(template: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("nas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["isfinite"] = math.isfinite
    style, script = _read("style.css"), _read("slider.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template(template).render(
        **values,
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        script_digest=digest,
        made=f"{datetime.now():%Y-%m-%d %H:%M}",
    )
    return re.sub("[\ud800-\udfff]", REPLACEMENT, page)  # lone surrogates cannot be encoded


def _read(name: str) -> str:
    return resources.files("nas.report").joinpath("templates", name).read_text(encoding="utf-8")
