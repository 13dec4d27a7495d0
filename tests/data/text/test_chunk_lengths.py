"""nas.data.text.chunk_lengths: distribution of the lengths and division of a text."""

from __future__ import annotations

import statistics

import pytest

from nas.data.text.chunk_lengths import ChunkLengths, Span
from nas.utils.errors import NasError

TRAINING, SEARCH = ChunkLengths(), ChunkLengths(length_std=0.0)


@pytest.mark.parametrize("lengths", [TRAINING, SEARCH], ids=["training", "search"])
def test_chunks_follow_each_other_until_one_input_is_left(lengths: ChunkLengths) -> None:
    rows = 10_000
    spans = lengths.sample(rows, 0, 0, 3)
    assert spans[0].start == 0
    for span, following in zip(spans, spans[1:], strict=False):
        assert following.start == span.start + span.sampled and span.length == span.sampled
    last = spans[-1]
    assert last.start < rows - 2 <= last.start + last.sampled
    assert last.length == min(last.sampled, rows - 1 - last.start)


def test_lengths_of_a_search_are_35_or_17() -> None:
    lengths = [span.sampled for span in SEARCH.sample(400_000, 1)]
    assert set(lengths) == {35, 17}
    assert lengths.count(17) / len(lengths) == pytest.approx(0.05, abs=0.01)


def test_lengths_of_a_training_have_the_published_distribution() -> None:
    """Means 35 and 17.5 with weights 0.95 and 0.05, deviation 5, rounded toward zero, between 5 and 55."""
    lengths = [span.sampled for span in TRAINING.sample(2_000_000, 2)]
    assert min(lengths) >= 5 and max(lengths) <= 55
    assert statistics.fmean(lengths) == pytest.approx(0.95 * 34.5 + 0.05 * 17, abs=0.15)
    low = [length for length in lengths if length < 25]
    share = 0.05 * 0.93 + 0.95 * 0.0228  # normal probabilities of less than 25
    assert len(low) / len(lengths) == pytest.approx(share, abs=0.006)
    spread = statistics.pstdev([length for length in lengths if length > 35])
    assert spread == pytest.approx(3.0, abs=0.2), "the upper half of a normal distribution"


def test_lengths_depend_on_the_position_in_the_run_alone() -> None:
    first = TRAINING.sample(5_000, 0, 1)
    assert TRAINING.sample(5_000, 0, 1) == first
    assert TRAINING.sample(5_000, 0, 2) != first and TRAINING.sample(5_000, 1, 1) != first


def test_regular_chunks_cover_every_input() -> None:
    assert SEARCH.regular(72) == [Span(0, 35, 35), Span(35, 35, 35), Span(70, 1, 35)]
    assert SEARCH.regular(71) == [Span(0, 35, 35), Span(35, 35, 35)] and SEARCH.regular(1) == []


@pytest.mark.parametrize("options", [{"bptt": 0}, {"short_probability": 1.1}, {"length_std": -1.0}])
def test_values_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(NasError, match=next(iter(options))):
        ChunkLengths(**options)
