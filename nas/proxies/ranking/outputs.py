"""Output files of a ranking: scores as Parquet, and a scatter plot."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import rankdata

from nas.benchmarks.checksum import encode_table
from nas.proxies.ranking.correlation import Values
from nas.proxies.ranking.score_log import FORMAT, VERSION, ScoreRecord
from nas.utils.atomic_write import write_atomically

SCORES_FILE, PLOT_FILE = "scores.parquet", "scatter.png"
SCHEMA = pa.schema(
    [
        ("architecture", pa.string()),
        ("index", pa.int64()),
        ("score", pa.float64()),
        ("seconds", pa.float64()),
        ("parameters", pa.int64()),
        ("macs", pa.int64()),
    ]
)


def write_scores(records: Sequence[ScoreRecord], identity: Mapping[str, Any], path: Path) -> None:
    """Write the scores, one row per architecture, with a checksum (``nas.benchmarks.checksum``).

    Args:
        records: scores.
        identity: metadata of the file; each value is stored as JSON.
        path: Parquet file.
    """
    columns = {name: [getattr(record, name) for record in records] for name in SCHEMA.names}
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in identity.items()}
    schema = SCHEMA.with_metadata({"format": FORMAT, "version": str(VERSION), **metadata})
    write_atomically(path, encode_table(pa.table(columns, schema=schema)))


def plot_ranks(scores: Values, values: Values, x_label: str, y_label: str, title: str) -> Figure:
    """Plot ``values`` over the rank by score, best at the right, with mean ranks for ties.

    Args:
        scores: scores, higher is better [N].
        values: values on the y axis [N].
        x_label: label of the x axis.
        y_label: label of the y axis.
        title: title.
    """
    figure = Figure(figsize=(6.4, 4.4), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ranks = rankdata(scores)
    axes.plot(ranks, values, ".", markersize=2 if len(ranks) > 2000 else 5, alpha=0.5, color="#1565c0")
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(0, len(ranks) + 1))
    axes.locator_params(axis="x", integer=True)
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    low, high = np.nanpercentile(values, [2, 100])
    if high > low:
        margin = 0.05 * (high - low)
        axes.set_ylim(max(low - 4 * margin, np.nanmin(values) - margin), high + margin)
    return figure


def save_plot(figure: Figure, path: Path) -> None:
    """Write a PNG atomically."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150, metadata={"Software": None})
    write_atomically(path, image.getvalue())
