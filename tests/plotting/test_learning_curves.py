"""Tests of the figure of learning curves."""

from __future__ import annotations

import numpy as np

from nas.plotting.learning_curves import learning_curves_figure


def test_figure_has_a_panel_per_encoding_and_a_line_per_predictor() -> None:
    curves = {"forest": {100: (0.5, 0.1), 10: (0.2, 0.05)}, "process": {10: (0.1, 0.1), 100: (0.4, 0.2)}}
    figure = learning_curves_figure({"paths": curves, "one_hot": {"forest": curves["forest"]}}, "tau")
    left, right = figure.axes
    assert (left.get_title(), right.get_title(), left.get_ylabel()) == ("paths", "one_hot", "tau")
    assert [line.get_label() for line in left.lines] == ["forest", "process"] and len(right.lines) == 1
    assert left.lines[0].get_color() == right.lines[0].get_color() != left.lines[1].get_color()
    assert np.array(left.lines[0].get_xydata()).tolist() == [[10, 0.2], [100, 0.5]]
    assert [text.get_text() for text in left.get_xticklabels()] == ["10", "100"]


def test_curves_without_a_correlation_are_drawn() -> None:
    nan = float("nan")
    figure = learning_curves_figure({"paths": {"forest": {10: (nan, nan)}}}, "tau")
    figure.canvas.draw()
    low, high = figure.axes[0].get_xlim()
    assert 0 < low < 10 < high
