"""Range of the benchmark accuracies of sampled architectures over the epochs of a search (figure of DrNAS)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas.benchmarks.accuracy_range import AccuracyRange
from nas.plotting.figure import INK, label, new_figure

BAND, LINE, GRAY = "#ffb74d", "#e65100", "#90a4ae"
FONT = 9.0
TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16_120": "ImageNet16-120"}


def accuracy_range_figure(ranges: Sequence[AccuracyRange]) -> Figure:
    """Plot one panel per data set: the range of the samples as a band, mean and mode as lines, the optimum dashed."""
    datasets = list(dict.fromkeys(line.dataset for line in ranges))
    width, height = 3.1 * len(datasets) + 0.3, 3.2
    figure = new_figure(max(width, 4.2), height)
    top, bottom, left = 0.3, 0.85, 0.6
    for position, dataset in enumerate(datasets):
        corner = ((left + 3.1 * position) / figure.get_figwidth(), bottom / height)
        axes = figure.add_axes((*corner, 2.5 / figure.get_figwidth(), (height - top - bottom) / height))
        _draw_panel(axes, [line for line in ranges if line.dataset == dataset])
        axes.set_title(label(TITLES.get(dataset, dataset)), fontsize=FONT + 2, fontweight="bold", color=INK)
    figure.axes[0].set_ylabel("test accuracy (%)", fontsize=FONT, color=INK)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(handles), fontsize=FONT, labelcolor=INK, frameon=False)
    return figure


def _draw_panel(axes: Axes, ranges: Sequence[AccuracyRange]) -> None:
    epochs = [line.epoch + 1 for line in ranges]
    marker = "o" if len(epochs) == 1 else ""
    samples = max((line.samples for line in ranges), default=0)
    low, high = [line.minimum for line in ranges], [line.maximum for line in ranges]
    axes.fill_between(epochs, low, high, color=BAND, alpha=0.45, lw=0, label=f"range of {samples} samples")
    if len(epochs) == 1:
        axes.vlines(epochs, low, high, color=BAND, lw=6, alpha=0.45)
    axes.plot(epochs, [x.mean for x in ranges], color=BAND, lw=1.4, marker=marker, ms=4, label="mean of the samples")
    axes.plot(epochs, [x.mode for x in ranges], color=LINE, lw=2.0, marker=marker, ms=5, label="mode")
    optimum = ranges[-1].optimum
    if math.isfinite(optimum):
        axes.axhline(optimum, color=INK, lw=1.0, ls=(0, (4, 3)), label="optimum")
        axes.annotate(
            f"{optimum:.2f}", (1.0, optimum), (-2, 3), ("axes fraction", "data"), "offset points",
            ha="right", va="bottom", fontsize=FONT - 1, color=INK,
        )  # fmt: skip
    axes.set_ylim(0, 100)
    axes.set_xlabel("epoch", fontsize=FONT, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(labelsize=FONT - 1, length=2, colors=INK)
    axes.grid(axis="y", color=GRAY, alpha=0.3, lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRAY)
