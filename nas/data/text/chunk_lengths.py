"""Random lengths of the chunks of text for backpropagation through time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator

from nas.utils.ranges import COUNT, NOT_NEGATIVE, PROBABILITY, check_ranges
from nas.utils.seeds import derive_seed

SHORTEST = 5
"""Smallest length of a chunk with a random length, unless the text ends earlier."""
LONGEST_EXTRA = 20
"""Largest length above ``bptt``."""


class Span(NamedTuple):
    """Rows of a chunk.

    ``start`` is the first row and ``length`` the number of rows. ``sampled`` is the length before it was cut off at the
    end of the text. The learning rate of the step is scaled by ``sampled``.
    """

    start: int
    length: int
    sampled: int


@check_ranges(bptt=COUNT, short_probability=PROBABILITY, length_std=NOT_NEGATIVE)
@dataclass(frozen=True)
class ChunkLengths:
    """Distribution of chunk lengths (Merity et al., ICLR 2018, section 5, as in quark0/darts).

    The mean is ``bptt``, or ``bptt`` / 2 with probability ``short_probability``. With ``length_std`` above 0 the length
    is normally distributed around it, between 5 and ``bptt`` + 20. Lengths are rounded toward zero.

    Args:
        bptt: usual number of rows of a chunk.
        short_probability: probability of the mean ``bptt`` / 2.
        length_std: standard deviation in rows; 0: the length is the mean.
    """

    bptt: int = 35
    short_probability: float = 0.05
    length_std: float = 5.0

    def sample(self, rows: int, *position: int | str) -> list[Span]:
        """Divide the inputs of a text into chunks.

        Args:
            rows: rows of the text; the last row is a target alone.
            position: position in the run, which the lengths are a function of.
        """
        shortest = SHORTEST if self.length_std else max(self.bptt // 2, 1)
        count = max(rows, 0) // shortest + 1
        generator = Generator().manual_seed(derive_seed("chunk lengths", *position))
        short = torch.rand(count, generator=generator, dtype=torch.float64) < self.short_probability
        means = torch.where(short, self.bptt / 2, float(self.bptt))
        noise = torch.randn(count, generator=generator, dtype=torch.float64)
        sampled = (means + self.length_std * noise).long()
        sampled = sampled.clamp(SHORTEST, self.bptt + LONGEST_EXTRA) if self.length_std else sampled.clamp(min=1)
        return _spans(rows, sampled.tolist())

    def regular(self, rows: int) -> list[Span]:
        """Divide the inputs of a text into chunks of ``bptt`` rows, for evaluation."""
        return [
            Span(start, min(self.bptt, rows - 1 - start), self.bptt) for start in range(0, max(rows - 1, 0), self.bptt)
        ]


def _spans(rows: int, lengths: list[int]) -> list[Span]:
    """Return chunks of these lengths, until at most one input is left, as in the published loop."""
    spans: list[Span] = []
    start = 0
    for length in lengths:
        if start >= rows - 2:
            break
        spans.append(Span(start, min(length, rows - 1 - start), length))
        start += length
    return spans
