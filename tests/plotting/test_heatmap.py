"""Tests of score heatmaps."""

from __future__ import annotations

import torch

from nas.architecture.cell import Cell
from nas.plotting.heatmap import heatmap_figure
from nas.spaces.nas_bench_201.notation import EDGES


def test_heatmap_prints_every_score_except_excluded_ones() -> None:
    cell = Cell(EDGES, ("none", "skip_connect", "conv"), (3,), excluded=frozenset({(1, "conv")}))
    scores = torch.arange(18.0).reshape(6, 3)
    scores[4, 0] = -torch.inf
    figure = heatmap_figure({"normal": scores, "reduce": torch.zeros(6, 3)}, {"normal": cell, "reduce": cell})
    normal, reduce, bar = figure.axes
    assert bar.get_ylabel() == "score" and bar.get_ylim() == (0.0, 17.0)
    assert [text.get_text() for text in normal.texts] == [f"{v:.3g}" for v in scores.flatten().tolist() if v != 5]
    assert len(reduce.texts) == 17 and reduce.get_title() == "reduce"
    assert [label.get_text() for label in normal.get_yticklabels()] == [f"{a}->{b}" for a, b in EDGES]
    assert [label.get_text() for label in normal.get_xticklabels()] == list(cell.ops)
    page = figure.get_tightbbox()
    assert page.x0 >= 0 and page.y0 >= 0
    assert page.x1 <= figure.get_figwidth() and page.y1 <= figure.get_figheight()


def test_heatmap_of_probabilities_has_a_fixed_scale() -> None:
    """Compare the colors of 0.199 and 0.202, which are nearly the same on a fixed scale."""
    cell = Cell(EDGES, ("none", "skip_connect", "conv"), (3,))
    scores = torch.full((6, 3), 0.199)
    scores[0, 0] = 0.202
    figure = heatmap_figure({"cell": scores}, {"cell": cell}, "epoch 1")
    table, bar = figure.axes
    (image,) = table.images
    assert image.get_clim() == (0.0, 1.0) == bar.get_ylim()
    colors = image.to_rgba(image.get_array())
    assert abs(colors[0, 0] - colors[1, 1]).max() < 0.01
    assert [text.get_text() for text in figure.texts] == ["epoch 1"]
