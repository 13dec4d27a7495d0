"""Scatter plot of predicted and measured latencies."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nas.plotting.figure import INK, label, new_figure


def latency_figure(measured: NDArray[np.float64], predicted: NDArray[np.float64], title: str, note: str) -> Figure:
    """Plot latencies [networks] in milliseconds with the diagonal.

    Args:
        measured: measured latencies.
        predicted: predicted latencies of the same networks.
        title: title.
        note: text in the corner, such as rank correlations.
    """
    figure = new_figure(4.4, 4.2, layout="constrained")
    axes = figure.add_subplot()
    ends = np.array([min(measured.min(), predicted.min()), max(measured.max(), predicted.max())])
    axes.plot(ends, ends, color=INK, lw=0.8, alpha=0.6)
    axes.scatter(predicted, measured, s=18, color="#1565c0", alpha=0.8, lw=0)
    axes.set_xlabel("predicted latency (ms)")
    axes.set_ylabel("measured latency (ms)")
    axes.set_title(label(title), fontsize=10, color=INK)
    axes.text(0.04, 0.95, note, transform=axes.transAxes, va="top", fontsize=9, color=INK)
    axes.grid(alpha=0.3)
    return figure
