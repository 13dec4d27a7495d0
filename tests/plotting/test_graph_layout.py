"""Tests of the layered layout: no overlaps, few crossings, reproducible positions."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.plotting.graph_layout import LABEL_HEIGHT, Arrow, Box, Layout, Piece, layered_layout

Rectangle = tuple[float, float, float, float]  # left, bottom, right, top


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[int, Box], list[Arrow]]:
    nodes = draw(st.integers(2, 7))
    pairs = [(a, b) for b in range(1, nodes) for a in range(b)]
    links = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=16))
    boxes = {node: Box(draw(st.sampled_from([0.3, 0.6])), 0.4) for node in range(nodes)}
    return boxes, [Arrow(a, b, draw(st.sampled_from([0.0, 0.4, 1.0]))) for a, b in links]


def rectangle(x: float, y: float, width: float, height: float) -> Rectangle:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def inside(point: tuple[float, float], of: Rectangle) -> bool:
    slack = 1e-6
    return of[0] + slack < point[0] < of[2] - slack and of[1] + slack < point[1] < of[3] - slack


def along(pieces: list[Piece]) -> list[tuple[float, float]]:
    """Return points on the flat pieces and on the curves that join them."""
    points = [end for piece in pieces for end in piece]
    for (_, (x0, y0)), ((x1, y1), _) in zip(pieces, pieces[1:], strict=False):
        for t in (i / 20 for i in range(21)):
            ease = 3 * t**2 - 2 * t**3  # y of a Bezier curve with horizontal ends
            x = x0 + (x1 - x0) * (1.5 * t * (1 - t) ** 2 + 1.5 * t**2 * (1 - t) + t**3)
            points.append((x, y0 + (y1 - y0) * ease))
    return points


def rectangles(boxes: dict[int, Box], arrows: list[Arrow], layout: Layout) -> tuple[list[Rectangle], list[Rectangle]]:
    """Return the rectangles of the nodes and of the labels; an arrow without a label has an empty one."""
    nodes = [rectangle(*layout.nodes[node], *box) for node, box in boxes.items()]
    labels = [
        rectangle(*route.label, arrow.label, LABEL_HEIGHT) for route, arrow in zip(layout.routes, arrows, strict=True)
    ]
    return nodes, labels


@settings(max_examples=80, deadline=None)
@given(graphs())
def test_layered_layout_has_no_overlaps(graph: tuple[dict[int, Box], list[Arrow]]) -> None:
    boxes, arrows = graph
    layout = layered_layout(boxes, arrows)
    nodes, labels = rectangles(boxes, arrows, layout)
    shown = nodes + [label for label, arrow in zip(labels, arrows, strict=True) if arrow.label]
    for a, b in combinations(shown, 2):
        apart = a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6 or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6
        assert apart, f"{a} overlaps {b}"
    for left, bottom, right, top in shown:
        assert left >= -1e-6 and bottom >= -1e-6
        assert right <= layout.width + 1e-6 and top <= layout.height + 1e-6
    for i, route in enumerate(layout.routes):
        others = nodes + [label for j, label in enumerate(labels) if j != i and arrows[j].label]
        assert not any(inside(point, other) for point in along(route.pieces) for other in others)


@given(graphs())
@settings(max_examples=20, deadline=None)
def test_layered_layout_is_reproducible_from_left_to_right(graph: tuple[dict[int, Box], list[Arrow]]) -> None:
    boxes, arrows = graph
    layout = layered_layout(boxes, arrows)
    assert layout == layered_layout(boxes, arrows)
    for arrow in arrows:
        assert layout.nodes[arrow.source][0] < layout.nodes[arrow.target][0]
    for route in layout.routes:
        ends = [x for piece in route.pieces for x, _ in piece]
        assert ends == sorted(ends)


def test_layered_layout_of_one_link_is_straight() -> None:
    layout = layered_layout({0: Box(0.4, 0.4), 1: Box(0.4, 0.4)}, [Arrow(0, 1, 1.0)])
    assert {y for pieces in layout.routes[0].pieces for _, y in pieces} == {layout.nodes[0][1]}
    assert layout.height == pytest.approx(0.4)


def test_layered_layout_puts_the_first_input_on_top() -> None:
    boxes = {node: Box(0.4, 0.4) for node in range(4)}
    layout = layered_layout(boxes, [Arrow(0, 2, 1.0), Arrow(1, 2, 1.0), Arrow(0, 3, 1.0), Arrow(1, 3, 1.0)])
    assert layout.nodes[0][1] > layout.nodes[1][1]


def test_layered_layout_of_a_planar_graph_has_no_crossings() -> None:
    boxes = {node: Box(0.4, 0.4) for node in range(4)}
    layout = layered_layout(boxes, [Arrow(a, b, 1.0) for b in range(4) for a in range(b)])
    grid = np.linspace(0, layout.width, 500)
    curves = []
    for route in layout.routes:
        x, y = np.array(sorted(along(route.pieces))).T
        curves.append(np.interp(grid, x, y, left=np.nan, right=np.nan))
    for a, b in combinations(curves, 2):
        above = (a - b)[~np.isnan(a - b)]
        assert (above > -1e-6).all() or (above < 1e-6).all()
