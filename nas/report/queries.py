"""Charts of black-box searches: values of the evaluations, and the best value so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas.report.chart import MAX_POINTS, Chart, Line, line_chart, series_color
from nas.report.run import Points, Query, Run
from nas.utils.is_number import is_number


def query_charts(run: Run) -> list[Chart]:
    """Draw the evaluations of a black-box search, or the means over its repetitions."""
    charts = []
    if run.queries:
        x = [query.number + 1.0 for query in run.queries]
        lines = [
            Line("evaluation", x, [query.value for query in run.queries], series_color(0), style="points"),
            Line("best so far", *best_so_far(run.queries), color=series_color(1), style="steps"),
        ]
        of = run.summary.get("value_of")
        note = f"Value: {of}." if isinstance(of, str) else ""
        if len(x) > MAX_POINTS:
            note = f"{note} A part of the {len(x)} evaluations is shown.".strip()
        charts.append(line_chart("queries", "Value of the evaluations", lines, "evaluation", note))
    if run.hypervolume.x:
        line = Line("hypervolume", *run.hypervolume, color=series_color(2), style="steps")
        note = f"Objectives: {', '.join(objectives)}." if (objectives := _objectives(run)) else ""
        charts.append(line_chart("hypervolume", "Hypervolume of the Pareto front", [line], "evaluation", note))
    if run.repetitions:
        for number, (name, band) in enumerate(run.anytime.items()):
            line = Line("mean", band.x, band.middle, series_color(number), band.low, band.high)
            axis = "simulated seconds of evaluations" if run.anytime_axis == "seconds" else "evaluation"
            note = f"Mean over {len(run.repetitions)} repetitions, with its 95 % interval."
            charts.append(line_chart(f"anytime-{number}", f"Best so far: {name}", [line], axis, note))
    return charts


def _objectives(run: Run) -> list[str]:
    """Return the objectives of a Pareto search with those of its genotype."""
    objectives = run.summary.get("objectives")
    return (
        [f"{name} {value:,.6g}" for name, value in objectives.items() if is_number(value)]
        if isinstance(objectives, dict)
        else []
    )


def best_so_far(queries: Sequence[Query]) -> Points:
    """Return the best value after each evaluation; NaN before the first valid one."""
    best, values = math.nan, []
    for query in queries:
        if not query.value <= best and math.isfinite(query.value):
            best = query.value
        values.append(best)
    return Points([query.number + 1.0 for query in queries], values)
