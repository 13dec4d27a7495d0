"""Picture of a Pareto front and its hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nas.plotting.figure import INK, label, new_figure, use_prefixes

BLUE, GREY, RED = "#1565c0", "#b0bec5", "#c62828"
Values = NDArray[np.float64]


@dataclass(frozen=True)
class FrontPicture:
    """Content of the picture.

    Attributes:
        names: labels of the objectives.
        position: index of the vertical objective; each other one has a panel.
        points: all evaluated points [points, objectives], in their own directions.
        front: points of the front.
        picked: index of the selected point of the front.
        known: points of the true front; None if it is unknown.
        hypervolume: hypervolume after each query.
    """

    names: Sequence[str]
    position: int
    points: Values
    front: Values
    picked: int
    known: Values | None
    hypervolume: Sequence[float]


def front_figure(content: FrontPicture) -> Figure:
    """Draw one panel per cost and one of the hypervolume."""
    costs = [number for number in range(len(content.names)) if number != content.position]
    figure = new_figure(4.4 * (len(costs) + 1), 3.8, layout="constrained")
    panels = figure.subplots(1, len(costs) + 1, squeeze=False)[0]
    for axes, cost in zip(panels, costs, strict=False):
        _draw_front(axes, content, cost, line=len(costs) == 1)
    axes = panels[-1]
    axes.step(range(1, len(content.hypervolume) + 1), content.hypervolume, where="post", color=BLUE, lw=1.6)
    axes.set_xlabel("queries")
    axes.locator_params(axis="x", integer=True)
    axes.set_ylabel("hypervolume" if content.known is None else "share of the hypervolume of the true front")
    axes.grid(alpha=0.3)
    return figure


def _draw_front(axes: Axes, content: FrontPicture, cost: int, line: bool) -> None:
    columns = [cost, content.position]
    x, y = content.points[:, columns].T
    axes.scatter(x, y, s=9, color=GREY, lw=0, label="evaluated")
    known_points = [] if content.known is None else [content.known]
    if content.known is not None:
        known = content.known[np.argsort(content.known[:, cost])][:, columns]
        axes.plot(*known.T, color=INK, lw=0.9, alpha=0.7, label="true front", drawstyle="steps-post" if line else None)
    front = content.front[np.argsort(content.front[:, cost])][:, columns]
    axes.plot(*front.T, "o", color=BLUE, ms=4, label="front")
    axes.plot(*content.front[content.picked, columns], "*", color=RED, ms=12, label="selected")
    low, high = front[:, 1].min(), front[:, 1].max()
    margin = (high - low) or 1.0
    # poor networks would hide the front
    top = max(float(part[:, content.position].max()) for part in (content.points, content.front, *known_points))
    axes.set_ylim(max(float(y.min()), low - margin / 2) - margin / 20, top + margin / 10)
    axes.set_xlabel(label(content.names[cost]))
    use_prefixes(axes.xaxis, x)
    axes.set_ylabel(label(content.names[content.position]))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
