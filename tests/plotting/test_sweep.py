"""Tests of the figure of a sweep."""

from __future__ import annotations

import pytest

from nas.plotting.sweep import sweep_figure


def test_sweep_figure_sorts_by_the_mean_and_shows_each_job() -> None:
    values = {
        "method=darts": [90.0, 92.0],
        "method=gdas": [95.0],
        "method=drnas, a longer name $x$": [80.0, 84.0, 82.0],
    }
    figure = sweep_figure(values, "val_accuracy")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        r"method=drnas, a longer name \$x\$", "method=darts", "method=gdas"
    ]  # fmt: skip
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [sorted(line.get_xdata()) for line in points] == [[80, 82, 84], [90, 92], [95]]
    assert [text.get_text() for text in axes.texts] == ["82.00 ± 2.00", "91.00 ± 1.41", "95.00"]
    (low, high) = axes.containers[0].lines[1]
    assert sorted([low.get_xdata()[0], high.get_xdata()[0]]) == pytest.approx([80.0, 84.0])
    page = figure.get_tightbbox()
    assert page.x0 >= 0 and page.y0 >= 0
    assert page.x1 <= figure.get_figwidth() and page.y1 <= figure.get_figheight()
