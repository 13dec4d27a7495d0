"""Matplotlib figures as inline SVG that follows the colors of a page."""

from __future__ import annotations

import re
import warnings
from html import escape
from io import StringIO
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

INK, GRID = "#0a0b01", "#0a0b02"
SERIES = tuple(f"#0a0c{number:02x}" for number in range(10))
GRAY = "#0a0b03"
CSS = {INK: "currentColor", GRID: "var(--grid)", GRAY: "var(--none)"}
CSS |= {color: f"var(--s{number})" for number, color in enumerate(SERIES)}
"""Colors of figures, and the CSS colors that replace them."""
STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    **{f"{axis}tick.{kind}.size": 0 for axis in "xy" for kind in ("major", "minor")},
    "figure.facecolor": "none",
}
"""Style of all charts of a report."""
_PIXELS = 1.35  # CSS pixels of a point at the natural size


def inline_svg(figure: Figure, name: str, description: str, css_class: str = "chart") -> Markup:
    """Return a figure as an SVG element.

    Args:
        figure: the figure.
        name: prefix of the ids in the element, unique in its page.
        description: text for screen readers.
        css_class: class of the element; "chart" for the colors of the page.
    """
    buffer = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")  # names in other scripts than Latin
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") : text.rindex("</svg>")]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|<defs>\s*</defs>", "", text, flags=re.DOTALL)
    head, _, body = text.partition(">")
    width, height = (float(size) for size in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)[0])
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    colored = css_class == "chart"
    body = re.sub(r"<[^<>]*>", lambda tag: _compact(tag[0], name, used, colored), body)
    body = re.sub(r">\s+<", "><", body)
    sizes = f"max-width:{_PIXELS * width:.0f}px;--least:{width:.0f}px"
    start = (
        f'<svg class="{css_class}" viewBox="0 0 {width:.1f} {height:.1f}" style="{sizes}" role="img" '
        f'aria-label="{escape(description)}">'
    )
    return Markup(f"{start}{body.strip()}</svg>")  # noqa: S704 - matplotlib has escaped all texts


def css_color(color: str) -> str:
    """Return the CSS color of a color of a chart; colors of ops are lighter on a dark page."""
    return CSS.get(color, f"color-mix(in srgb, {color}, white var(--lighter))")


def _compact(tag: str, name: str, used: set[str], colored: bool) -> str:
    """Return a tag with unique ids, short numbers and, if ``colored``, CSS colors."""
    tag = re.sub(r'\bid="([^"]*)"', lambda match: f'id="{name}-{match[1]}"' if match[1] in used else "", tag)
    tag = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", tag)
    tag = re.sub(r"-?\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), tag)
    if colored:
        tag = re.sub(r"(?<=: )#[0-9a-f]{6}\b", lambda color: css_color(color[0]), tag)
    return re.sub(r"\s+", " ", tag).replace(" >", ">").replace("<g >", "<g>")
