"""Draw docs/images/proxies.png from nas/zoo/results.yaml: ``python tools/proxy_picture.py``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from nas.plotting.figure import INK, new_figure, save_figure
from nas.zoo.results import Measured, Result, load_results

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "proxies.png"
ALL = "networks trained on all of CIFAR-10"
"""Start of the variant of the plotted correlations; the number of cells may follow."""
BASELINES = ("params", "macs", "l2_norm")
BLUE, GRAY, ORANGE = "#1565c0", "#78909c", "#ef6c00"


def measured_correlations(results: Sequence[Result]) -> list[tuple[Result, Measured]]:
    """Return the measured Spearman correlations of proxies with CIFAR-10 on NAS-Bench-201, the lowest first.

    A proxy that is measured on several numbers of cells has the row of the most cells.
    """
    measured = [
        (result, result.ours)
        for result in results
        if result.ours is not None
        and (result.kind, result.space, result.dataset) == ("proxy", "nas_bench_201", "cifar10")
        and result.metric.name == "spearman"
        and (result.variant or "").startswith(ALL)
    ]
    largest: dict[str, tuple[Result, Measured]] = {}
    for result, ours in sorted(measured, key=lambda pair: _cells(pair[0])):
        largest[result.name] = result, ours
    return sorted(largest.values(), key=lambda pair: float(pair[1].value))


def proxies_figure(rows: Sequence[tuple[Result, Measured]]) -> Figure:
    """Plot a row per proxy: the correlation with its interval, and the published one."""
    figure = new_figure(6.4, 0.26 * len(rows) + 0.9, "constrained")
    axes = figure.add_subplot()
    for height, (result, ours) in enumerate(rows):
        color = GRAY if result.proxy in BASELINES else BLUE
        if ours.interval is not None:
            axes.plot([float(end) for end in ours.interval], [height, height], color=color, lw=2.2, alpha=0.45)
        axes.plot(float(ours.value), height, "o", color=color, ms=5)
        if result.published is not None:
            axes.plot(float(result.published.value), height, "D", mfc="none", mec=ORANGE, ms=6, mew=1.3)
    axes.set_yticks(range(len(rows)), [_name(result) for result, _ in rows], fontsize=9, color=INK)
    axes.set_xlabel("Spearman correlation with the test accuracy, CIFAR-10", fontsize=9, color=INK)
    axes.tick_params(labelsize=9, colors=INK)
    axes.grid(axis="x", alpha=0.3)
    axes.plot([], [], "o", color=BLUE, ms=5, label="proxy, 95 % interval")
    axes.plot([], [], "o", color=GRAY, ms=5, label="size of the network")
    if any(result.published for result, _ in rows):
        axes.plot([], [], "D", mfc="none", mec=ORANGE, ms=6, label="published")
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def _cells(result: Result) -> float:
    """Return the number of cells of a measurement, infinite without one in the variant."""
    stated = re.search(r"(\d+) cells$", result.variant or "")
    return int(stated[1]) if stated else math.inf


def _name(result: Result) -> str:
    cells = _cells(result)
    return result.name if math.isinf(cells) else f"{result.name} ({cells})"


if __name__ == "__main__":
    save_figure(proxies_figure(measured_correlations(load_results())), PICTURE)
