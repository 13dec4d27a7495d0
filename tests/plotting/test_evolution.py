"""Tests of the evolution of op scores."""

from __future__ import annotations

import math

import pytest
import torch

from nas.plotting.evolution import evolution_figure
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize


@pytest.mark.parametrize("kind", [NasBench201, Darts, NatsSize])
@pytest.mark.parametrize("epochs", [1, 3])
def test_evolution_has_a_panel_per_edge_and_a_line_per_op(kind: type, epochs: int) -> None:
    cells = kind((3, 32, 32), 10).cells
    tables = [{name: torch.rand(len(c.edges), len(c.ops)).tolist() for name, c in cells.items()} for _ in range(epochs)]
    figure = evolution_figure(range(4, 4 + epochs), tables, cells)
    edges = [(name, edge) for name, cell in cells.items() for edge in range(len(cell.edges))]
    for axes, (name, edge) in zip(figure.axes, edges, strict=True):
        assert [list(line.get_xdata()) for line in axes.lines] == [list(range(5, 5 + epochs))] * len(cells[name].ops)
        assert [list(line.get_ydata()) for line in axes.lines] == [
            [table[name][edge][op] for table in tables] for op in range(len(cells[name].ops))
        ]
        assert axes.get_ylim() == (-0.02, 1.02), "a fixed scale"
        source, target = cells[name].edges[edge]
        assert axes.get_title() == f"{source}->{target}"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == list(dict.fromkeys(op for c in cells.values() for op in c.ops))
    page = figure.get_tightbbox()
    assert page.x0 >= 0 and page.y0 >= 0
    assert page.x1 <= figure.get_figwidth() and page.y1 <= figure.get_figheight()


def test_evolution_has_a_scale_for_all_panels() -> None:
    cells = NasBench201((3, 32, 32), 10).cells
    table = torch.full((6, 5), 0.2)
    for highest, ceiling in ((0.21, 0.4), (0.6, 0.6), (0.61, 1.0)):
        table[3, 2] = highest - 1e-3
        figure = evolution_figure([0], [{"cell": table.double().tolist()}], cells)
        assert [axes.get_ylim()[1] for axes in figure.axes] == pytest.approx([1.02 * ceiling] * 6)


def test_evolution_omits_scores_of_a_diverged_search() -> None:
    cells = NasBench201((3, 32, 32), 10).cells
    finite, diverged = [[0.3] * 5] * 6, [[None, float("nan"), float("inf"), 0.1, 0.1]] * 6
    figure = evolution_figure([0, 1], [{"cell": finite}, {"cell": diverged}], cells)
    assert [axes.get_ylim()[1] for axes in figure.axes] == pytest.approx([1.02 * 0.4] * 6)
    assert all(math.isnan(line.get_ydata()[1]) for line in figure.axes[0].lines[:3])
    figure.draw_without_rendering()
    figure = evolution_figure([0], [{"cell": [[None] * 5] * 6}], cells)
    assert figure.axes[0].get_ylim()[1] == pytest.approx(1.02)
