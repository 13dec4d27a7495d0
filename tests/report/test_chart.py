"""nas.report.chart and comparison: thinned lines, and charts of many groups."""

from __future__ import annotations

import math

import pytest
from matplotlib.figure import Figure

from nas.report import chart
from nas.report.chart import MAX_POINTS, Line
from nas.report.comparison import MAX_GROUPS, curve_charts, result_chart
from nas.report.groups import group_runs
from nas.report.queries import best_so_far
from nas.report.run import Points, Query, Run

LENGTH = 7 * MAX_POINTS


def drawn(line: Line) -> tuple[list[float], list[float]]:
    axes = Figure().add_subplot()
    chart._draw(axes, line)
    return list(axes.lines[0].get_xdata()), list(axes.lines[0].get_ydata())


def test_many_evaluations_are_drawn_as_they_are_below_the_best_so_far() -> None:
    values = [math.nan if n % 5 == 0 else (37 * n) % 1009 for n in range(LENGTH)]
    queries = [Query(number, value) for number, value in enumerate(values)]
    numbers = [number + 1.0 for number in range(LENGTH)]
    x, y = drawn(Line("evaluation", numbers, values, "#000000", style="points"))
    best_x, best = drawn(Line("best so far", *best_so_far(queries), "#000000", style="steps"))
    assert len(x) <= MAX_POINTS + 2 and all(y == values[int(x) - 1] or math.isnan(y) for x, y in zip(x, y, strict=True))
    highest = max(value for value in values if not math.isnan(value))
    assert max(value for value in y if not math.isnan(value)) == highest == best[-1]
    assert best == [best_so_far(queries).y[int(x) - 1] for x in best_x]


def test_nan_leaves_out_its_value_alone_and_a_band_keeps_its_limits() -> None:
    y = [1.0 if n % 2 else math.nan for n in range(LENGTH)]
    y[: LENGTH // 2] = [math.nan] * (LENGTH // 2)
    low, high = ([float(sign * (n % 7)) for n in range(LENGTH)] for sign in (-1, 1))
    x = [float(n) for n in range(LENGTH)]
    _, middle = drawn(Line("mean", x, y, "#000000"))
    assert middle[:150] == pytest.approx([math.nan] * 150, nan_ok=True) and middle[150:] == [1.0] * 150
    axes = Figure().add_subplot()
    chart._draw(axes, Line("mean", x, y, "#000000", low, high))
    limits = axes.collections[0].get_datalim(axes.transData)
    assert (limits.y0, limits.y1) == (-6, 6)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [((48.4, 50.6), ["48.5", "49", "49.5", "50", "50.5"]), ((60.0, 800.0), ["100", "200", "500"])],
    ids=["one_decade", "several"],
)
def test_ticks_of_a_logarithmic_axis_are_plain_numbers(values: tuple[float, float], ticks: list[str]) -> None:
    axes = Figure().add_subplot()
    axes.plot([1, 2], values)
    chart._logarithmic(axes)
    low, high = axes.get_ylim()
    shown = [text.get_text() for text in axes.get_yticklabels() if low <= text.get_position()[1] <= high]
    assert shown == ticks and not axes.get_yticks(minor=True).size


def test_colors_repeat_with_dashes_and_charts_name_the_groups_they_leave_out() -> None:
    runs = [
        Run(
            "run",
            "search",
            summary={"method": f"m{n}", "val_accuracy": 90.0 + n},
            epochs={"train/loss": Points([1], [n])},
        )
        for n in range(MAX_GROUPS + 2)
    ]
    groups = group_runs(runs)
    (curve,) = curve_charts(groups)
    assert len(set(curve.legend)) == len(curve.legend) == MAX_GROUPS
    assert [text for text, _ in curve.legend[9:11]] == ["m9", "m10 (dashed)"] and curve.legend[0][1] == curve.legend[
        10
    ][1]
    assert curve.note == f"Only the first {MAX_GROUPS} of {MAX_GROUPS + 2} groups are shown."
    assert result_chart(groups, "val_accuracy", "x").note.endswith(
        f"Only the best {MAX_GROUPS} of 22 groups are shown."
    )
    assert "Only" not in result_chart(groups[:3], "val_accuracy", "x").note
