"""Pictures of the genotypes of a search at chosen epochs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nas.architecture.cell import Genotype
from nas.plotting.cell import cell_figure
from nas.report.svg import inline_svg
from nas.spaces.notation import native_string
from nas.utils.errors import NasError

log = logging.getLogger(__name__)
MAX_PICTURES = 25


@dataclass(frozen=True)
class CellPicture:
    """Picture of a genotype, and the first and the last epoch with it; 0 if they are unknown."""

    first: int
    last: int
    genotype: str
    svg: Markup


def cell_pictures(genotypes: Sequence[tuple[int, Genotype]], name: str = "cell") -> list[CellPicture]:
    """Draw the genotypes of a search in order.

    Consecutive epochs with the same genotype share a picture. Of more than ``MAX_PICTURES``, evenly spread ones are
    drawn, the first and the last included.
    """
    spans: list[tuple[int, int, Genotype]] = []
    for epoch, genotype in genotypes:
        if spans and spans[-1][2] == genotype:
            spans[-1] = (spans[-1][0], epoch, genotype)
        else:
            spans.append((epoch, epoch, genotype))
    if len(spans) > MAX_PICTURES:
        step = (len(spans) - 1) / (MAX_PICTURES - 1)
        spans = [spans[round(number * step)] for number in range(MAX_PICTURES)]
    pictures: list[CellPicture] = []
    for first, last, genotype in spans:
        svg = draw_cell(genotype, f"{name}-{len(pictures)}")
        if svg is not None:
            pictures.append(CellPicture(first, last, native_string(genotype), svg))
    return pictures


def draw_cell(genotype: Genotype, name: str) -> Markup | None:
    """Draw a genotype, None if it cannot be drawn, as for a malformed one of a damaged file."""
    try:
        figure = cell_figure(genotype)
    except (NasError, ValueError, KeyError, IndexError, RecursionError) as error:
        log.info("a genotype was not drawn: %s", error)
        return None
    figure.patch.set_visible(False)
    return inline_svg(figure, name, f"Cell: {native_string(genotype)[:300]}", "cell")
