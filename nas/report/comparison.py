"""Charts of several runs: curves with bands over seeds, results, and ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nas.plotting.figure import label, new_figure
from nas.report.chart import WIDTH, Chart, Line, legend_entry, line_chart, series_color, series_style
from nas.report.groups import Group, title_of
from nas.report.queries import best_so_far
from nas.report.run import Points, Run
from nas.report.statistics import Ranks
from nas.report.svg import GRAY, INK, STYLE, inline_svg
from nas.utils.direction import higher_is_better

MAX_GROUPS = 20
CURVES = (
    ("benchmark/test", "Benchmark accuracy, test (%)"),
    ("benchmark/valid", "Benchmark accuracy, valid (%)"),
    ("val/accuracy", "Validation accuracy (%)"),
    ("test/accuracy", "Test accuracy (%)"),
    ("train/accuracy", "Training accuracy (%)"),
    ("val/perplexity", "Validation perplexity"),
    ("test/perplexity", "Test perplexity"),
    ("train/perplexity", "Training perplexity"),
    ("train/loss", "Training loss"),
    ("val/loss", "Validation loss"),
    ("entropy", "Entropy of the edges (nats)"),
)


def curve_charts(groups: Sequence[Group]) -> list[Chart]:
    """Draw the mean of each metric over the seeds of a group, with the range from minimum to maximum."""
    charts = []
    for number, (name, title) in enumerate(CURVES):
        chart = _banded(f"curve-{number}", title, groups, partial(_metric, name), "epoch")
        charts += [chart] if chart else []
    skips = _banded("curve-skips", "Skips in the genotype", groups, _skips, "epoch")
    charts += [skips] if skips else []
    by_value: dict[str, list[Group]] = {}
    for group in groups:
        by_value.setdefault(group.value_of, []).append(group)
    for number, (value_of, having) in enumerate(by_value.items()):
        chart = _banded(f"curve-value-{number}", "Best value so far", having, _best, "evaluation", groups)
        if chart is not None:
            value = f" Value: {value_of}." if value_of else ""
            charts.append(Chart(chart.title, chart.svg, chart.legend, f"{chart.note}{value}".strip()))
    return charts


def result_chart(groups: Sequence[Group], name: str, identifier: str) -> Chart:
    """Draw the values of a result as points, and their mean and standard deviation, one row per group."""
    ranked = sorted(
        (g for g in groups if g.results(name)), key=lambda g: fmean(g.results(name)), reverse=not higher_is_better(name)
    )
    having = ranked[-MAX_GROUPS:]
    with rc_context(STYLE):
        figure = new_figure(WIDTH, 0.32 * len(having) + 0.75, layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        for row, group in enumerate(having):
            values = group.results(name)
            axes.plot(values, [row] * len(values), "o", color=GRAY, ms=4, zorder=2)
            std = float(np.std(values, ddof=1)) if len(values) > 1 else None
            axes.errorbar(
                fmean(values), row, xerr=std, fmt="D", color=_color(groups, group), ms=5, capsize=3, lw=1.4, zorder=3
            )
        _name_rows(axes, [group.name for group in having])
        axes.set_ylim(-0.6, len(having) - 0.4)
        text = ", ".join(f"{group.name} {fmean(group.results(name)):.2f}" for group in reversed(having))
        svg = inline_svg(figure, identifier, f"Means of {title_of(name)}: {text}.")
    note = "Gray: seeds. Colored: mean and standard deviation (n - 1)."
    title = title_of(name)
    return Chart(title[:1].upper() + title[1:], svg, (), note + _omitted(len(ranked), f"the best {MAX_GROUPS}"))


def rank_chart(ranks: Ranks, groups: Sequence[Group], name: str) -> Chart:
    """Draw the mean rank and the range of the ranks of each group, and the critical difference if it is known."""
    names = list(ranks.mean)[:MAX_GROUPS]
    by_name = {group.name: group for group in groups}
    with rc_context(STYLE):
        figure = new_figure(WIDTH, 0.32 * len(names) + 0.95, layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        for row, group in enumerate(reversed(names)):
            color = _color(groups, by_name[group])
            axes.plot([ranks.low[group], ranks.high[group]], [row, row], color=color, lw=2, alpha=0.4)
            axes.plot(ranks.mean[group], row, "D", color=color, ms=6)
        if ranks.critical_difference is not None:
            axes.plot([1, 1 + ranks.critical_difference], [len(names) - 0.4] * 2, color=INK, lw=1.5, marker="|", ms=6)
        _name_rows(axes, list(reversed(names)))
        axes.set(xlim=(0.8, len(ranks.mean) + 0.2), ylim=(-0.6, len(names) - 0.2))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("rank (1 is the best)")
        text = ", ".join(f"{group} {ranks.mean[group]:.2f}" for group in names)
        svg = inline_svg(figure, "ranks", f"Mean ranks by {title_of(name)}: {text}.")
    seeds = f"{ranks.seeds} common seed{'s' if ranks.seeds > 1 else ''}"
    note = f"By {title_of(name)} over {seeds}: mean rank, and the range of the ranks."
    if ranks.critical_difference is not None:
        note += f" Bar: critical difference {ranks.critical_difference:.2f} (Nemenyi, 5 %)."
    else:
        note += " A critical difference needs 3 groups and 5 common seeds."
    return Chart("Mean ranks", svg, (), note + _omitted(len(ranks.mean), f"the best {MAX_GROUPS}"))


def _banded(
    name: str,
    title: str,
    groups: Sequence[Group],
    points_of: Callable[[Run], Points | None],
    x_label: str,
    all_groups: Sequence[Group] | None = None,
) -> Chart | None:
    """Draw a line with a band for each group that has points, None if there is none."""
    lines: list[Line] = []
    several, left_out = False, 0
    for group in groups:
        curves = [points for points in map(points_of, group.runs) if points is not None and points.x]
        if not curves:
            continue
        if len(lines) == MAX_GROUPS:
            left_out += 1
            continue
        x = sorted({value for curve in curves for value in curve.x})
        table = np.full((len(curves), len(x)), math.nan)
        for row, curve in zip(table, curves, strict=True):
            value_at = dict(zip(curve.x, curve.y, strict=True))
            row[:] = [value_at.get(value, math.nan) for value in x]
        finite = [column[np.isfinite(column)] for column in table.T]
        middle, low, high = (
            [float(of(column)) if len(column) else math.nan for column in finite] for of in (np.mean, np.min, np.max)
        )
        number, banded = list(all_groups or groups).index(group), len(curves) > 1
        several |= banded
        lines.append(
            Line(
                group.name,
                x,
                middle,
                series_color(number),
                low if banded else (),
                high if banded else (),
                series_style(number),
            )
        )
    if not lines:
        return None
    note = "Mean over the seeds; band: minimum to maximum." if several else ""
    note = f"{note}{_omitted(len(lines) + left_out, f'the first {MAX_GROUPS}')}".strip()
    log = "perplexity" in title and all(y > 0 for line in lines for y in (*line.y, *line.low) if math.isfinite(y))
    chart = line_chart(name, title, lines, x_label, note, log)
    return chart if chart.legend else Chart(title, chart.svg, [legend_entry(lines[0])], note)


def _omitted(count: int, shown: str) -> str:
    """Return a sentence on the groups that a chart leaves out, "" if it shows all."""
    return f" Only {shown} of {count} groups are shown." if count > MAX_GROUPS else ""


def _color(groups: Sequence[Group], group: Group) -> str:
    return series_color(list(groups).index(group))


def _metric(name: str, run: Run) -> Points | None:
    return run.epochs.get(name)


def _skips(run: Run) -> Points | None:
    if not run.ops:
        return None
    counts = [sum(n for op, n in op_counts.items() if "skip" in op or "identity" in op) for _, op_counts in run.ops]
    return Points([float(epoch) for epoch, _ in run.ops], [float(count) for count in counts])


def _best(run: Run) -> Points | None:
    return best_so_far(run.queries) if run.queries else None


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [label(name, 28) for name in names])
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5))
