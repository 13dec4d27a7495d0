"""Strings and indices of NATS-Bench's size space: the widths of five layers, as in ``8:16:24:32:40``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nas.architecture.cell import CellGenotype, Genotype, Link, format_links
from nas.spaces.check_inputs import require_text
from nas.utils.errors import NasError

NOTATION = "nats_size"
WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)
"""The benchmark's candidates for the output channels of a layer."""
MAX_WIDTH = 4096
LAYERS = 5
EDGES = tuple((layer, layer + 1) for layer in range(LAYERS))
PATTERN = re.compile(r"\s*\d+(\s*:\s*\d+)+\s*")
"""Matches any list of numbers with colons between them, valid widths or not."""


def native(genotype: Genotype) -> str:
    """Return the widths as ``8:16:24:32:40``."""
    return ":".join(map(str, widths_of(genotype)))


def parse(text: str) -> Genotype:
    """Parse widths such as ``8:16:24:32:40``. Raises NasError for any other text."""
    require_text(text)
    parts = [part.strip() for part in text.split(":")]
    if len(parts) != LAYERS or not all(re.fullmatch(r"[1-9]\d{0,5}", part) for part in parts):
        raise NasError(f"genotype={text}: not a NATS-Bench size. Write the channels of five layers as 8:16:24:32:40.")
    return from_widths([int(part) for part in parts])


def from_widths(widths: Sequence[int]) -> Genotype:
    """Return the genotype whose five layers have these output channels."""
    links = tuple(Link(str(width), *edge) for width, edge in zip(widths, EDGES, strict=True))
    return Genotype(NOTATION, {"cell": CellGenotype(links, (LAYERS,))})


def widths_of(genotype: Genotype) -> tuple[int, ...]:
    """Return the output channels of the five layers. Raises NasError if the genotype has no such layers."""
    if genotype.space != NOTATION or set(genotype.cells) != {"cell"}:
        raise NasError(
            f"genotype of space '{genotype.space}' (cells {', '.join(genotype.cells)}) has no widths of layers."
        )
    links = genotype.cells["cell"].links
    ops = {(link.source, link.target): link.op for link in links}
    if (
        len(links) != LAYERS
        or set(ops) != set(EDGES)
        or not all(re.fullmatch(r"[1-9]\d{0,5}", op) for op in ops.values())
    ):
        raise NasError(
            f"genotype: space {NOTATION} has one width for each of {LAYERS} layers, found {format_links(links)}."
        )
    widths = tuple(int(ops[edge]) for edge in EDGES)
    if max(widths) > MAX_WIDTH:
        text = ":".join(map(str, widths))
        raise NasError(f"genotype={text}: at most {MAX_WIDTH} channels per layer are supported. Use smaller widths.")
    return widths


def from_index(index: int, widths: Sequence[int] = WIDTHS) -> Genotype:
    """Return the architecture at ``index`` in lexicographic order, the last layer varying fastest.

    Raises NasError for an index that no combination of ``widths`` has.
    """
    size = len(widths) ** LAYERS
    if not 0 <= index < size:
        raise NasError(f"index={index}: {len(widths)} widths have the indices 0 to {size - 1}.")
    digits = [index // len(widths) ** place % len(widths) for place in reversed(range(LAYERS))]
    return from_widths([widths[digit] for digit in digits])


def to_index(genotype: Genotype, widths: Sequence[int] = WIDTHS) -> int:
    """Return the lexicographic index of an architecture. Raises NasError if a width is not a candidate."""
    index = 0
    for width in widths_of(genotype):
        if width not in widths:
            raise NasError(
                f"genotype={native(genotype)}: unknown width {width}. Choose from {', '.join(map(str, widths))}."
            )
        index = index * len(widths) + list(widths).index(width)
    return index
