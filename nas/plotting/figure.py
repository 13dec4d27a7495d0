"""Matplotlib figures without a display, saved atomically and with reproducible bytes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Literal

from matplotlib import rc_context
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import EngFormatter, MaxNLocator

from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError
from nas.utils.printable import printable

INK = "#263238"
DPI = 160
METADATA: Mapping[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""Formats of figures, with the metadata that would differ between equal figures."""
MAX_LABEL = 60  # characters
TITLE_FONT = 14.0
HEAD = 0.4  # inches of a title
BOLD = 1.2  # width of bold text relative to normal text, at most


def new_figure(width: float, height: float, layout: Literal["constrained", "tight"] | None = None) -> Figure:
    """Create a white figure of a size in inches, independent of pyplot."""
    figure = Figure(figsize=(width, height), facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


def label(text: str, limit: int = MAX_LABEL) -> str:
    """Return the text of a label from a configuration or a file: one line, no ``$...$`` markup, bounded length."""
    return printable(text, limit).replace("$", r"\$")


def use_prefixes(axis: Axis, values: Iterable[float]) -> None:
    """Label the ticks of large values with k, M or G, as in ``50 M``, instead of a common power of ten."""
    if max((abs(value) for value in values), default=0.0) >= 1e4:
        axis.set_major_formatter(EngFormatter())
        axis.set_major_locator(MaxNLocator(6))


def add_title(figure: Figure, title: str, left: float) -> None:
    """Write a title into the upper left corner, ``left`` inches from the left edge; nothing if it is empty."""
    width, height = figure.get_size_inches()
    if title:
        figure.text(
            left / width, 1 - 0.16 / height, label(title), fontsize=TITLE_FONT, fontweight="bold", color=INK, va="top"
        )


@lru_cache(maxsize=4096)
def text_width(text: str, font: float) -> float:
    """Return the width of a text in inches, which may be mathematical (``$...$``), at a font size in points."""
    mathematical = "$" in text.replace(r"\$", "")
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=font), mathematical)
    return float(width) / 72


def save_figure(figure: Figure, file: str | Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the suffix of ``file``. Equal figures give equal bytes.

    Raises:
        NasError: for another suffix.
    """
    file = Path(file)
    if file.suffix not in METADATA:
        raise NasError(f"file={file}: unknown format '{file.suffix}'. Use {', '.join(METADATA)}.")
    metadata = METADATA[file.suffix]
    buffer = BytesIO()
    with rc_context({"svg.hashsalt": "nas"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")  # names in other scripts than Latin
        figure.savefig(buffer, format=file.suffix[1:], dpi=DPI, metadata=metadata)
    write_atomically(file, buffer.getvalue())
