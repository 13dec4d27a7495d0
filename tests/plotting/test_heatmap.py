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
    normal, reduce = figure.axes
    assert [text.get_text() for text in normal.texts] == [f"{v:.3g}" for v in scores.flatten().tolist() if v != 5]
    assert len(reduce.texts) == 17 and reduce.get_title() == "reduce"
    assert [label.get_text() for label in normal.get_yticklabels()] == [f"{a}->{b}" for a, b in EDGES]
    assert [label.get_text() for label in normal.get_xticklabels()] == list(cell.ops)
    page = figure.get_tightbbox()
    assert page.x0 >= 0 and page.y0 >= 0
    assert page.x1 <= figure.get_figwidth() and page.y1 <= figure.get_figheight()
