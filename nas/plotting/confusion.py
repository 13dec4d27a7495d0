"""The picture of a confusion matrix, of few classes or of many."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from nas.utils.io import write_atomically

NUMBERED, NAMED = 20, 120  # up to so many classes cells have numbers, and rows have names
DPI = 160
INK = "#263238"


def confusion_figure(counts: Tensor, names: Sequence[str] = ()) -> Figure:
    """``counts`` [classes, classes] by class (row) and the class an image was taken for (column), in percent of a row.

    Few classes have the numbers written into their cells. Colors grow with the square root of the share, of very many
    classes with the fourth root: rare mistakes stay visible in cells of two pixels.
    """
    classes = len(counts)
    shares = (100 * counts / counts.sum(1, keepdim=True).clamp(min=1)).numpy()
    names = list(names) or [str(label) for label in range(classes)]
    side = float(np.clip(0.55 * classes, 3.2, 7.0) if classes <= NUMBERED else np.clip(0.11 * classes, 6.0, 13.0))
    longest = max(map(len, names)) if classes <= NAMED else 4
    font = 9.0 if classes <= NUMBERED else max(4.5, 0.7 * 72 * side / classes)
    left = 0.6 + 0.0087 * font * longest
    width, height = left + side + 1.0, left + side + 0.5
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((left / width, left / height, side / width, side / height))
    drawn = axes.imshow(
        shares,
        cmap="Blues",
        norm=PowerNorm(0.5 if classes <= NAMED else 0.25, vmin=0, vmax=100),
        interpolation="nearest",
    )
    bar = figure.add_axes(((left + side + 0.15) / width, left / height, 0.15 / width, side / height))
    figure.colorbar(drawn, cax=bar, ticks=[0, 1, 5, 20, 50, 100]).set_label("% of the class", color=INK)
    if classes <= NAMED:
        axes.set_xticks(range(classes), names, rotation=90, fontsize=font)
        axes.set_yticks(range(classes), names, fontsize=font)
        axes.tick_params(length=0)
    axes.set_xlabel("taken for", color=INK)
    axes.set_ylabel("class", color=INK)
    recognized = float(100 * counts.diag().sum() / counts.sum().clamp(min=1))
    axes.set_title(f"{recognized:.2f} % of {int(counts.sum())} images", color=INK, fontsize=11)
    if classes <= NUMBERED:
        for row, column in np.argwhere(shares >= 0.05):
            share = shares[row, column]
            text = f"{share:.0f}" if share >= 9.95 else f"{share:.1f}"
            ink = "white" if share > 35 else INK
            axes.text(column, row, text, ha="center", va="center_baseline", fontsize=8, color=ink)
    return figure


def save_confusion(counts: Tensor, names: Sequence[str], path: Path) -> None:
    """Writes the picture as PNG, whole or not at all."""
    drawn = BytesIO()
    confusion_figure(counts, names).savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    write_atomically(path, drawn.getvalue())
