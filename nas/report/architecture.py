"""Charts of the architecture of a search over its epochs: op shares, op scores and the timeline of the genotype."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nas.architecture.cell import Genotype
from nas.plotting.figure import label, new_figure
from nas.plotting.op_colors import op_colors
from nas.report.chart import WIDTH, Chart, Line, area_chart, line_chart, series_color
from nas.report.run import Points, Run
from nas.report.svg import STYLE, css_color, inline_svg

MAX_ROWS = 40  # rows of a timeline
MAX_PANELS = 40  # panels of op scores
MAX_EPOCHS = 100  # epochs of a panel
OPEN_PANELS = 8  # panels that a page shows without a click

Choice = tuple[str, int, int]


class Shade(NamedTuple):
    """Entry of a table of scores: its text, and the share of the color in percent."""

    text: str
    share: int


@dataclass(frozen=True)
class ScoreTable:
    """Final scores of a cell type: names of the ops, and a row (edge, entries) per edge."""

    cell: str
    ops: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Shade]]]


def share_charts(run: Run) -> list[Chart]:
    """Draw the share of each op in the genotypes and in the scores."""
    charts: list[Chart] = []
    colors = op_colors(run.ops_in_order)
    if run.ops:
        x = [float(epoch) for epoch, _ in run.ops]
        parts = {op: [float(counts.get(op, 0)) for _, counts in run.ops] for op in colors}
        note = "Share of each op among the links of the genotype."
        used = {op: part for op, part in parts.items() if any(part)}
        if used:
            charts.append(area_chart("ops", "Ops of the genotype (%)", x, used, colors, note))
    if run.scores:
        x = [float(epoch) for epoch, _ in run.scores]
        ops, means = _mean_scores(run)
        colors = op_colors(ops)
        note = "Mean of the op scores over all edges."
        charts.append(area_chart("means", "Op scores (%)", x, means, colors, note))
    entropy = run.epochs.get("entropy", Points([], []))
    if entropy.x:
        line = Line("entropy", *entropy, color=series_color(0))
        charts.append(line_chart("entropy", "Entropy of the edges (nats)", [line], note="Mean over the edges."))
    return charts


def score_panels(run: Run) -> list[Chart]:
    """Draw the scores of the ops over the epochs, one small chart per edge."""
    charts: list[Chart] = []
    every = max(math.ceil(len(run.scores) / MAX_EPOCHS), 1)
    shown = run.scores[(len(run.scores) - 1) % every :: every]  # with the last epoch
    epochs = [float(epoch) for epoch, _ in shown]
    for cell, table in run.scores[-1][1].items() if run.scores else ():
        ops, edges = op_names(run, cell, len(table[0])), edge_names(run, cell, len(table))
        colors = op_colors(ops)
        for edge, name in enumerate(edges):
            values = np.asarray([scores[cell][edge] for _, scores in shown], float)
            lines = [
                Line(op, epochs, values[:, number].tolist(), colors[op])
                for number, op in enumerate(ops)
                if not _excluded(run, cell, edge, op)
            ]
            charts.append(_panel(f"scores-{len(charts)}", f"{cell} {name}", lines))
            if len(charts) == MAX_PANELS:
                return charts
    return charts


def score_tables(run: Run) -> list[ScoreTable]:
    """Return the final scores of each cell type."""
    tables = []
    for cell, table in run.scores[-1][1].items() if run.scores else ():
        ops = op_names(run, cell, len(table[0]))
        values = [value for row in table for value in row if math.isfinite(value)]
        low, high = min([0.0, *values]), max([1.0, *values])
        edges = edge_names(run, cell, len(table))
        rows = [
            (
                name,
                [_shade(value, low, high, _excluded(run, cell, edge, op)) for op, value in zip(ops, row, strict=True)],
            )
            for edge, (name, row) in enumerate(zip(edges, table, strict=True))
        ]
        tables.append(ScoreTable(cell, ops, rows))
    return tables


def score_legend(run: Run) -> list[tuple[str, str]]:
    """Return the legend (op, CSS color) of the panels of scores."""
    names = [op for cell, table in run.scores[-1][1].items() for op in op_names(run, cell, len(table[0]))]
    return [(op, css_color(color)) for op, color in op_colors(list(dict.fromkeys(names))).items()]


def timelines(run: Run) -> list[Chart]:
    """Draw the op of each edge of the genotype over the epochs, one chart per cell type."""
    if not run.genotypes:
        return []
    charts: list[Chart] = []
    colors = op_colors(run.ops_in_order)
    names = dict.fromkeys(name for _, genotype in run.genotypes for name in genotype.cells)
    for number, cell in enumerate(list(names)[:4]):
        rows = _rows(run.genotypes, cell)
        if rows:
            charts.append(_timeline(f"timeline-{number}", cell, rows, [e for e, _ in run.genotypes], colors))
    return charts


def changes(genotypes: Sequence[tuple[int, Genotype]]) -> list[int]:
    """Return the epochs in which the genotype differs from that of the epoch before."""
    pairs = zip(genotypes, genotypes[1:], strict=False)
    return [epoch for (_, before), (epoch, after) in pairs if before != after]


def op_names(run: Run, cell: str, count: int) -> list[str]:
    """Return the names of the ops of a cell type, numbers if they are unknown."""
    known = run.cells.get(cell)
    return list(known.ops) if known and len(known.ops) == count else [f"op {n + 1}" for n in range(count)]


def edge_names(run: Run, cell: str, count: int) -> list[str]:
    """Return the names of the edges of a cell type, numbers if they are unknown."""
    known = run.cells.get(cell)
    if known is None or len(known.edges) != count:
        return [f"edge {n + 1}" for n in range(count)]
    return [f"{source}→{target}" for source, target in known.edges]


def _excluded(run: Run, cell: str, edge: int, op: str) -> bool:
    known = run.cells.get(cell)
    return known is not None and (edge, op) in known.excluded


def _shade(value: float, low: float, high: float, excluded: bool) -> Shade:
    """Return the entry of a score, empty for an op that the edge does not have."""
    if excluded or not math.isfinite(value):
        return Shade("", 0)
    return Shade(f"{value:.2f}", round(80 * (value - low) / (high - low)))


def _mean_scores(run: Run) -> tuple[list[str], dict[str, list[float]]]:
    """Return the ops, and the mean score of each op over the edges of all cell types, by epoch."""
    rows: list[dict[str, float]] = []
    for _, scores in run.scores:
        columns_of_op: dict[str, list[float]] = {}
        for cell, table in scores.items():
            for op, column in zip(op_names(run, cell, len(table[0])), zip(*table, strict=True), strict=True):
                columns_of_op.setdefault(op, []).extend(column)
        rows.append({op: float(np.mean(values)) for op, values in columns_of_op.items()})
    ops = list(dict.fromkeys(op for row in rows for op in row))
    return ops, {op: [max(row.get(op, 0.0), 0.0) for row in rows] for op in ops}


def _panel(name: str, title: str, lines: Sequence[Line]) -> Chart:
    with rc_context(STYLE):
        figure = new_figure(1.75, 1.2)
        figure.patch.set_visible(False)
        axes = figure.add_axes((0.2, 0.17, 0.76, 0.78))
        for line in lines:
            axes.plot(line.x, line.y, color=line.color, lw=1.2, marker="o" if len(line.x) == 1 else "", ms=3)
        _limit_scores(figure, lines)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        final = ", ".join(f"{line.label} {line.y[-1]:.3f}" for line in lines)
        return Chart(title, inline_svg(figure, name, f"Scores of edge {title} by epoch. At the end: {final}."))


def _limit_scores(figure: Figure, lines: Sequence[Line]) -> None:
    """Show 0 to 1 for probabilities and gates."""
    values = [value for line in lines for value in line.y if math.isfinite(value)]
    if values and min(values) >= 0 and max(values) <= 1:
        figure.axes[0].set(ylim=(-0.02, 1.02), yticks=(0, 0.5, 1))


def _rows(genotypes: Sequence[tuple[int, Genotype]], cell: str) -> dict[tuple[int, int, int], dict[int, str]]:
    """Return the op by epoch of each edge (target, source, number among the links of the edge)."""
    rows: dict[tuple[int, int, int], dict[int, str]] = {}
    for epoch, genotype in genotypes:
        seen: Counter[tuple[int, int]] = Counter()
        for op, source, target in genotype.cells[cell].links if cell in genotype.cells else ():
            rows.setdefault((target, source, seen[source, target]), {})[epoch] = op
            seen[source, target] += 1
    return dict(sorted(rows.items())[:MAX_ROWS])


def _timeline(
    name: str,
    cell: str,
    rows: Mapping[tuple[int, int, int], Mapping[int, str]],
    epochs: Sequence[int],
    colors: Mapping[str, str],
) -> Chart:
    with rc_context(STYLE):
        height = max(2.0, 0.19 * len(rows) + 0.6)
        figure = new_figure(WIDTH, height)
        figure.patch.set_visible(False)
        axes = figure.add_axes((0.6 / WIDTH, 0.42 / height, 1 - 0.7 / WIDTH, 1 - 0.5 / height))
        axes.grid(visible=False)
        for row, by_epoch in enumerate(rows.values()):
            spans = _spans(by_epoch, epochs)
            bars = [(start - 0.5, end - start + 1) for _, start, end in spans]
            axes.broken_barh(bars, (row - 0.4, 0.8), facecolors=[colors[op] for op, _, _ in spans], lw=0)
        axes.set_yticks(range(len(rows)), [f"{source}→{target}" for target, source, _ in rows])
        axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel(label("epoch"))
        counts = [len(set(by_epoch.values())) for by_epoch in rows.values()]
        svg = inline_svg(
            figure, name, f"Ops of the edges of {cell} by epoch; {sum(n > 1 for n in counts)} edges change."
        )
    used = dict.fromkeys(op for by_epoch in rows.values() for op in by_epoch.values())
    note = "Bars: op of each edge. A gap means that the edge is not part of the genotype."
    return Chart(
        f"Timeline of the genotype: {cell}", svg, [(op, css_color(colors[op])) for op in colors if op in used], note
    )


def _spans(by_epoch: Mapping[int, str], epochs: Sequence[int]) -> list[tuple[str, int, int]]:
    """Return the ranges of consecutive recorded epochs with one op."""
    spans: list[tuple[str, int, int]] = []
    last = None
    for epoch in epochs:
        op = by_epoch.get(epoch)
        if op is not None and op == last:
            spans[-1] = (op, spans[-1][1], epoch)
        elif op is not None:
            spans.append((op, epoch, epoch))
        last = op
    return spans
