"""Selection and order of the architectures to rank."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nas.architecture.cell import Genotype
from nas.spaces.base import Space
from nas.utils.errors import NasError

MAX_REPEATS = 1000
"""Consecutive repeated samples after which a space counts as exhausted."""


@dataclass(frozen=True)
class CandidateArchitecture:
    """Architecture to rank; ``index`` is its number in an enumerable space, else None."""

    genotype: Genotype
    index: int | None


class Candidates:
    """Architectures to rank: all of a space, the given indices, or a random sample without repetition.

    A sample depends only on space, count and seed.

    Args:
        space: search space.
        count: size of the sample; None disables sampling.
        indices: indices into an enumerable space, each at most once.
        seed: seed of the sample.
        shard: part of these architectures, such as "3/16": every 16th from the third on, so that all parts have similar
            sizes and costs. None keeps all.

    Raises:
        NasError: if an option is out of range, or a space that cannot be enumerated is used without ``count``.
    """

    def __init__(
        self,
        space: Space,
        count: int | None = None,
        indices: Sequence[int] | None = None,
        seed: int = 0,
        shard: str | None = None,
    ) -> None:
        self.space = space
        size = space.size
        if count is not None and indices is not None:
            raise NasError("ranking.count, ranking.indices: both select the architectures. Set one of them.")
        if size is None and (count is None or indices is not None):
            raise NasError(
                f"space={space.name}: the space cannot be enumerated. Set ranking.count=N to sample N architectures."
            )
        if count is not None and (count < 1 or (size is not None and count > size)):
            bounds = "of at least 1" if size is None else f"from 1 to {size}, the size of the space"
            raise NasError(f"ranking.count={count}: use a whole number {bounds}.")
        self._sample: list[CandidateArchitecture] | None = None
        if size is None:
            assert count is not None
            self._sample = list(_sample_distinct(space, count, random.Random(seed)))
        else:
            self._order = self._select_indices(size, count, indices, seed)
        self.whole: str | None = None
        """Checksum of the architectures of all shards; None without a shard."""
        if shard is not None:
            self.whole = self.digest()
            self._keep(*parse_shard(shard))

    def _keep(self, number: int, shards: int) -> None:
        """Keep one of several parts of the architectures."""
        if len(self) < shards:
            raise NasError(f"ranking.shard={number}/{shards}: there are {len(self)} architectures. Use fewer shards.")
        part = slice(number - 1, None, shards)
        if self._sample is None:
            self._order = self._order[part]
        else:
            self._sample = self._sample[part]

    def _select_indices(self, size: int, count: int | None, indices: Sequence[int] | None, seed: int) -> Sequence[int]:
        if count is not None:
            return random.Random(seed).sample(range(size), count)
        if indices is None:
            return range(size)
        wrong = [i for i in indices if type(i) is not int or not 0 <= i < size]
        if wrong or not indices or len(set(indices)) < len(indices):
            problem = f"{wrong[0]} is out of range" if wrong else "the list is empty or repeats an index"
            raise NasError(f"ranking.indices: {problem}. Space '{self.space.name}' has indices 0 to {size - 1}.")
        return indices

    def __len__(self) -> int:
        return len(self._order if self._sample is None else self._sample)

    def __getitem__(self, position: int) -> CandidateArchitecture:
        if self._sample is not None:
            return self._sample[position]
        index = self._order[position]
        return CandidateArchitecture(self.space.from_index(index), index)

    def digest(self) -> str:
        """Return a checksum of the architectures and their order."""
        if self._sample is None:
            return pool_digest(self._order)
        return pool_digest([self.space.native(candidate.genotype) for candidate in self._sample])


def pool_digest(architectures: Sequence[int] | Sequence[str]) -> str:
    """Return a checksum of architectures, given as indices or as native strings, and of their order."""
    separator = "\n" if isinstance(architectures[0], str) else ","
    return hashlib.sha256(separator.join(map(str, architectures)).encode()).hexdigest()[:16]


def parse_shard(text: str) -> tuple[int, int]:
    """Return number and count of a shard such as "3/16". Raises NasError if the number is not from 1 to the count."""
    number, _, shards = str(text).partition("/")
    if not (number.isdecimal() and shards.isdecimal() and 1 <= int(number) <= int(shards)):
        raise NasError(f"ranking.shard={text}: use NUMBER/COUNT with a number from 1 to the count, such as 3/16.")
    return int(number), int(shards)


def _sample_distinct(space: Space, count: int, rng: random.Random) -> Iterator[CandidateArchitecture]:
    seen: set[Genotype] = set()
    repeats = 0
    while len(seen) < count:
        genotype = space.sample(rng)
        repeats = repeats + 1 if genotype in seen else 0
        if repeats > MAX_REPEATS:
            raise NasError(f"ranking.count={count}: only {len(seen)} architectures of space '{space.name}' were found.")
        if repeats == 0:
            seen.add(genotype)
            yield CandidateArchitecture(genotype, None)
