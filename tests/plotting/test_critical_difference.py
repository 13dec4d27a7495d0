"""Critical-difference diagrams: bars by brute force, and what a diagram shows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from nas.plotting.critical_difference import RankPanel, cliques, critical_difference_figure


@pytest.mark.parametrize("seed", range(20))
def test_cliques_are_the_maximal_ranges_without_a_difference(seed: int) -> None:
    ranks = sorted(np.random.default_rng(seed).uniform(1, 8, size=7).tolist())
    equal = [(a, b) for a, b in combinations(range(7), 2) if ranks[b] - ranks[a] < 1.5]
    maximal = [(a, b) for a, b in equal if not any(c <= a and b <= d and (a, b) != (c, d) for c, d in equal)]
    assert cliques(ranks, 1.5) == maximal


def test_diagram_shows_names_ranks_and_bars() -> None:
    ranks = {"third": 2.6, "first": 1.2, "second": 2.2}
    figure = critical_difference_figure([RankPanel("One", ranks, 0.5), RankPanel("Two", ranks, None)])
    one, two = figure.axes
    texts = [text.get_text() for text in one.texts]
    assert {"One", "first  1.20", "second  2.20", "2.60  third", "critical difference 0.50"} <= set(texts)
    thick = [line for line in one.lines if line.get_linewidth() > 3]
    assert len(thick) == 1 and not [line for line in two.lines if line.get_linewidth() > 3]
    low, high = thick[0].get_xdata()
    axis = next(line for line in one.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] == 2.1)
    scale = (axis.get_xdata()[1] - axis.get_xdata()[0]) / 2  # inches of a rank
    assert (low, high) == pytest.approx((2.1 + 1.2 * scale - 0.03, 2.1 + 1.6 * scale + 0.03))
    assert not any("critical" in text.get_text() for text in two.texts)
