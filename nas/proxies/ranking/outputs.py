"""The files that a finished scan leaves: its scores as Parquet, and a picture."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import rankdata

from nas.proxies.ranking.correlation import Values
from nas.proxies.ranking.log import Entry
from nas.utils.atomic_write import write_atomically

TABLE_FILE, PICTURE_FILE = "scores.parquet", "scatter.png"
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


def write_table(entries: Sequence[Entry], identity: Mapping[str, Any], path: Path) -> None:
    """Writes the scores, one row an architecture; ``identity`` becomes the file's metadata, each value as JSON."""
    columns = {name: [getattr(entry, name) for entry in entries] for name in SCHEMA.names}
    told = {key: value if isinstance(value, str) else json.dumps(value) for key, value in identity.items()}
    table = pa.table(columns, schema=SCHEMA.with_metadata({"format": "nas-scores", "version": "2", **told}))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_atomically(path, buffer.getvalue())


def scatter(good: Values, values: Values, x: str, y: str, title: str) -> Figure:
    """``values`` over the rank by score, the best at the right, equals at their mean rank."""
    figure = Figure(figsize=(6.4, 4.4), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ranks = rankdata(good)
    axes.plot(ranks, values, ".", markersize=2 if len(ranks) > 2000 else 5, alpha=0.5, color="#1565c0")
    axes.set(xlabel=x, ylabel=y, xlim=(0, len(ranks) + 1))
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    low, high = np.nanpercentile(values, [2, 100])
    if high > low:
        room = 0.05 * (high - low)
        axes.set_ylim(max(low - 4 * room, np.nanmin(values) - room), high + room)
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    """Writes a PNG, whole or not at all."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=150, metadata={"Software": None})
    write_atomically(path, drawn.getvalue())
