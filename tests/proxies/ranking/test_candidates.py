"""Selection of the architectures to rank."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nas.architecture.cell import Genotype
from nas.proxies.ranking.candidates import Candidates
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201 import notation as nas_bench_201
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.support.ranking_tools import SPACE


def test_candidates_are_whole_space_or_sample() -> None:
    whole = Candidates(SPACE)
    assert len(whole) == 15625 and whole[7].genotype == nas_bench_201.from_index(7)
    sample = Candidates(SPACE, count=40, seed=1)
    indices = [sample[i].index for i in range(40)]
    assert len(set(indices)) == 40 and indices == [Candidates(SPACE, count=40, seed=1)[i].index for i in range(40)]
    assert indices != [Candidates(SPACE, count=40, seed=2)[i].index for i in range(40)]
    assert sample.digest() == Candidates(SPACE, indices=indices).digest() != whole.digest()  # type: ignore[arg-type]
    all_widths = Candidates(NatsSize((3, 8, 8), 4, (2, 4)))
    assert len(all_widths) == 32 and len({all_widths[i].genotype for i in range(32)}) == 32


def test_candidates_of_space_without_indices() -> None:
    space = Darts((3, 8, 8), 4)
    sample, again = Candidates(space, count=30, seed=1), Candidates(space, count=30, seed=1)
    assert len(sample) == 30 and len({sample[i].genotype for i in range(30)}) == 30 and sample[0].index is None
    assert [sample[i] for i in range(30)] == [again[i] for i in range(30)] and sample.digest() == again.digest()
    assert Candidates(space, count=10, seed=1)[9] == sample[9], "a shorter sample is a prefix of a longer one"

    class Few(Darts):
        def sample(self, rng: random.Random) -> Genotype:
            return super().sample(random.Random(rng.randrange(3)))

    assert len(Candidates(Few((3, 8, 8), 4), count=3)) == 3
    with pytest.raises(NasError, match="only 3 architectures"):
        Candidates(Few((3, 8, 8), 4), count=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 3, "indices": [1]}, "Set one of them"),
        ({"count": 0}, "ranking.count=0"),
        ({"count": 15626}, "15625"),
        ({"indices": []}, "the list is empty"),
        ({"indices": [3, 3]}, "repeats an index"),
        ({"indices": [15625]}, "15625 is out of range"),
        ({"indices": [1.5]}, "1.5 is out of range"),
    ],
)
def test_candidates_refuse_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message):
        Candidates(SPACE, **options)
    for other in ({}, {"indices": [1]}):
        with pytest.raises(NasError, match="ranking.count=N"):
            Candidates(Darts((3, 8, 8), 4), **other)
