"""Figures of confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from nas.plotting.figure import INK, label, new_figure, save_figure

MAX_NUMBERED = 20  # classes up to which cells show numbers
MAX_NAME = 40  # characters of a name
MAX_NAMED = 120  # classes up to which rows and columns show names


def confusion_figure(counts: Tensor, names: Sequence[str] = ()) -> Figure:
    """Plot ``counts`` [classes, classes] by true class (row) and predicted class (column), in percent of each row.

    Cells show numbers if there are few classes. Colors follow the square root of the percentage, or its fourth root if
    there are very many classes, so that rare errors are visible in cells of two pixels.
    """
    classes = len(counts)
    percentages = (100 * counts / counts.sum(1, keepdim=True).clamp(min=1)).numpy()
    names = [label(name, MAX_NAME) for name in names] or [str(number) for number in range(classes)]
    side = float(np.clip(0.55 * classes, 3.2, 7.0) if classes <= MAX_NUMBERED else np.clip(0.11 * classes, 6.0, 13.0))
    longest = max(map(len, names)) if classes <= MAX_NAMED else 4
    font = 9.0 if classes <= MAX_NUMBERED else max(4.5, 0.7 * 72 * side / classes)
    left = 0.6 + 0.0087 * font * longest
    width, height = left + side + 1.0, left + side + 0.5
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, left / height, side / width, side / height))
    image = axes.imshow(
        percentages,
        cmap="Blues",
        norm=PowerNorm(0.5 if classes <= MAX_NAMED else 0.25, vmin=0, vmax=100),
        interpolation="nearest",
    )
    bar = figure.add_axes(((left + side + 0.15) / width, left / height, 0.15 / width, side / height))
    figure.colorbar(image, cax=bar, ticks=[0, 1, 5, 20, 50, 100]).set_label("% of the true class", color=INK)
    if classes <= MAX_NAMED:
        axes.set_xticks(range(classes), names, rotation=90, fontsize=font)
        axes.set_yticks(range(classes), names, fontsize=font)
        axes.tick_params(length=0)
    axes.set_xlabel("predicted class", color=INK)
    axes.set_ylabel("true class", color=INK)
    accuracy = float(100 * counts.diag().sum() / counts.sum().clamp(min=1))
    axes.set_title(f"{accuracy:.2f} % of {int(counts.sum())} images", color=INK, fontsize=11)
    if classes <= MAX_NUMBERED:
        for row, column in np.argwhere(percentages >= 0.05):
            percentage = percentages[row, column]
            text = f"{percentage:.0f}" if percentage >= 9.95 else f"{percentage:.1f}"
            ink = "white" if percentage > 35 else INK
            axes.text(column, row, text, ha="center", va="center_baseline", fontsize=8, color=ink)
    return figure


def save_confusion(counts: Tensor, names: Sequence[str], path: Path) -> None:
    """Write the figure as PNG, atomically."""
    save_figure(confusion_figure(counts, names), path)
