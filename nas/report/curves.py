"""Charts of the metrics of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas.report.chart import Chart, Line, line_chart, series_color
from nas.report.run import Points, Run
from nas.report.svg import SERIES
from nas.utils.is_number import is_number

HALVES = ("train", "arch", "val", "test")
HALF_COLORS = dict(zip(HALVES, SERIES, strict=False))
GROUPS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("Loss", {f"{half}/loss": half for half in HALVES}),
    ("Accuracy (%)", {f"{half}/accuracy": half for half in HALVES}),
    ("Perplexity", {f"{half}/perplexity": half for half in HALVES}),
    ("Learning rates", {"weights_lr": "weights", "arch_lr": "architecture", "train/learning_rate": "weights"}),
    ("Temperature", {"tau": "tau"}),
    ("Largest Hessian eigenvalue", {"eigenvalue": "eigenvalue"}),
    ("Peak memory (GB)", {"memory/peak_gb": "memory"}),
)
"""Title of a chart, and its metrics with their labels."""
STEPS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("Loss by step", {"step/train_loss": "train", "step/arch_loss": "arch"}),
    ("Accuracy by step (%)", {"step/train_accuracy": "train", "step/arch_accuracy": "arch"}),
    ("Perplexity by step", {"step/train_perplexity": "train", "step/arch_perplexity": "arch"}),
)
BEST = "best of the benchmark"
BENCHMARK = {"benchmark/valid": "valid", "benchmark/test": "test"}
ELSEWHERE = ("entropy", "queries", "spent", "best", "fidelity", "seconds", "step", "epoch")
PREFIXES_ELSEWHERE = ("accuracy_range/", "ops/", "ops_", "time/", "memory/", "test/top")
"""Metrics of other charts, and of no chart."""
MAX_OTHERS = 8


def metric_charts(run: Run) -> list[Chart]:
    """Draw the metrics by epoch and by step."""
    charts = [
        _chart(f"metric-{number}", title, run.epochs, labels, "epoch") for number, (title, labels) in enumerate(GROUPS)
    ]
    charts[3:3] = [
        _chart(f"step-{number}", title, run.steps, labels, "step")
        for number, (title, labels) in enumerate(STEPS)
        if max((len(run.steps[name].x) for name in labels if name in run.steps), default=0) > 1
    ]
    return [chart for chart in [*charts, *_other_charts(run)] if chart is not None]


def benchmark_charts(run: Run) -> list[Chart]:
    """Draw the accuracy of the genotypes in a tabular benchmark, and the range over sampled architectures."""
    of, best = run.summary.get("benchmark_of"), run.summary.get("benchmark_best")
    charts = []
    for number, (name, split) in enumerate(BENCHMARK.items()):
        if name in run.epochs:
            optimum: Any = best.get(name) if isinstance(best, Mapping) else None
            line = Line("genotype", *run.epochs[name], color=series_color(number))
            note = f"Genotype of each epoch, trained from scratch: {of}." if isinstance(of, str) else ""
            reference = (BEST, float(optimum)) if is_number(optimum) else None
            title = f"Benchmark accuracy, {split} (%)"
            charts.append(line_chart(f"benchmark-{split}", title, [line], note=note, reference=reference))
    for number, (dataset, band) in enumerate(run.accuracy_range.items()):
        line = Line("mode", band.x, band.middle, series_color(number), band.low, band.high)
        note = "Band: minimum to maximum over architectures sampled from the current distribution. Line: its mode."
        best_of = run.optimum.get(dataset)
        charts.append(
            line_chart(
                f"range-{number}",
                f"Sampled architectures, {dataset} (%)",
                [line],
                note=note,
                reference=None if best_of is None else (BEST, best_of),
            )
        )
    return charts


def _chart(
    name: str, title: str, metrics: Mapping[str, Points], labels: Mapping[str, str], x_label: str
) -> Chart | None:
    present = {key: label for key, label in labels.items() if key in metrics}
    if not present:
        return None
    lines = [
        Line(label, *metrics[key], color=HALF_COLORS.get(label, series_color(number)))
        for number, (key, label) in enumerate(present.items())
    ]
    positive = all(y > 0 for line in lines for y in line.y)
    log = positive and ((title == "Learning rates" and len(lines) > 1) or title.startswith("Perplexity"))
    return line_chart(name, title, lines, x_label, log=log)


def _other_charts(run: Run) -> Sequence[Chart]:
    """Draw further metrics of the history, such as the scores of TE-NAS."""
    shown = {name for _, labels in GROUPS for name in labels} | {*BENCHMARK, *ELSEWHERE}
    others = [
        name
        for name, points in run.epochs.items()
        if name not in shown and not name.startswith(PREFIXES_ELSEWHERE) and points.x
    ]
    return [
        line_chart(f"other-{number}", name, [Line(name, *run.epochs[name], color=SERIES[0])])
        for number, name in enumerate(others[:MAX_OTHERS])
    ]
