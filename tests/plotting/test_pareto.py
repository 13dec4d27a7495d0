"""Picture of trials with several objectives."""

from __future__ import annotations

import pytest

from nas.plotting.pareto import pareto_figure


def test_front_is_a_line_through_its_points() -> None:
    values = [(90.0, 5.0), (80.0, 2.0), (85.0, 6.0), (70.0, 1.0)]
    (axes,) = pareto_figure(values, [values[0], values[1], values[3]], ["val_accuracy", "macs"]).axes
    points, front = axes.lines
    assert [*zip(*points.get_data(), strict=True)] == [(5.0, 90.0), (2.0, 80.0), (6.0, 85.0), (1.0, 70.0)]
    assert [*zip(*front.get_data(), strict=True)] == [(1.0, 70.0), (2.0, 80.0), (5.0, 90.0)]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("macs", "val accuracy")


@pytest.mark.parametrize(("names", "panels"), [(["a", "b", "c"], 3), (["a", "b", "c", "d"], 3)])
def test_more_objectives_have_a_panel_per_pair(names: list[str], panels: int) -> None:
    values = [list(map(float, range(len(names))))]
    figure = pareto_figure(values, [], names)
    assert len(figure.axes) == panels


def test_large_values_have_prefixes_instead_of_a_common_power() -> None:
    (axes,) = pareto_figure([(90.0, 5.1e7), (80.0, 2e6)], [], ["val_accuracy", "macs"]).axes
    assert axes.xaxis.get_major_formatter()(5e7) == "50 M"
    axes.figure.canvas.draw()
    assert "80" in [tick.get_text() for tick in axes.get_yticklabels()]
