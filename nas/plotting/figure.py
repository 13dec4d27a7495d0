"""Matplotlib figures without a display, saved atomically and with reproducible bytes."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Literal

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nas.utils.atomic_write import write_atomically
from nas.utils.printable import printable

INK = "#263238"
DPI = 160
MAX_LABEL = 60  # characters


def new_figure(width: float, height: float, layout: Literal["constrained", "tight"] | None = None) -> Figure:
    """Create a white figure of a size in inches, independent of pyplot."""
    figure = Figure(figsize=(width, height), facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


def label(text: str, limit: int = MAX_LABEL) -> str:
    """Return the text of a label from a configuration or a file: one line, no ``$...$`` markup, bounded length."""
    return printable(text, limit).replace("$", r"\$")


def save_figure(figure: Figure, file: Path) -> None:
    """Write a figure as PNG or SVG, by the suffix of ``file``. Equal figures give equal bytes."""
    metadata = {"Date": None, "Creator": None} if file.suffix == ".svg" else {"Software": None}
    buffer = BytesIO()
    with rc_context({"svg.hashsalt": "nas"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")  # of a name in another script
        figure.savefig(buffer, format=file.suffix[1:], dpi=DPI, metadata=metadata)
    write_atomically(file, buffer.getvalue())
