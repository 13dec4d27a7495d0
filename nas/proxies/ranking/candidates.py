"""Which architectures are scored, in which order."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nas.architecture.cell import Genotype
from nas.spaces.base import Space
from nas.utils.errors import NasError

PATIENCE = 1000  # draws in a row that bring nothing new


@dataclass(frozen=True)
class Member:
    """An architecture of the pool; ``index`` is its number in a space that can be enumerated, else None."""

    genotype: Genotype
    index: int | None


class Candidates:
    """The whole of a space, the given ``indices`` of it, or ``count`` different architectures drawn from ``seed``.

    A drawn pool depends on space, count and seed alone; its order is that of the draws. Raises NasError where a space
    that cannot be enumerated is asked for all, or for indices.
    """

    def __init__(
        self, space: Space, count: int | None = None, indices: Sequence[int] | None = None, seed: int = 0
    ) -> None:
        self.space = space
        size = space.size
        if count is not None and indices is not None:
            raise NasError("ranking.count, ranking.indices: both select the architectures. Set one of them.")
        if size is None and (count is None or indices is not None):
            raise NasError(
                f"space '{space.name}' cannot be enumerated: give ranking.count=N to score N architectures drawn from "
                "ranking.sample_seed"
            )
        if count is not None and (count < 1 or (size is not None and count > size)):
            raise NasError(
                f"ranking.count={count}: give a whole number, at least 1"
                + ("" if size is None else f" and at most {size}, the architectures of space '{space.name}'")
            )
        self._drawn: list[Member] | None = None
        if size is None:
            assert count is not None
            self._drawn = list(_different(space, count, random.Random(seed)))
        else:
            self._order = self._indices(size, count, indices, seed)

    def _indices(self, size: int, count: int | None, indices: Sequence[int] | None, seed: int) -> Sequence[int]:
        if count is not None:
            return random.Random(seed).sample(range(size), count)
        if indices is None:
            return range(size)
        wrong = [i for i in indices if type(i) is not int or not 0 <= i < size]
        if wrong or not indices or len(set(indices)) < len(indices):
            what = f"{wrong[0]} is none of them" if wrong else "give at least one, and each once"
            raise NasError(f"ranking.indices: space '{self.space.name}' has indices 0 to {size - 1}; {what}")
        return indices

    def __len__(self) -> int:
        return len(self._order if self._drawn is None else self._drawn)

    def __getitem__(self, position: int) -> Member:
        if self._drawn is not None:
            return self._drawn[position]
        index = self._order[position]
        return Member(self.space.from_index(index), index)

    def digest(self) -> str:
        """A checksum of what the pool holds, in its order."""
        if self._drawn is None:
            text = ",".join(map(str, self._order))
        else:
            text = "\n".join(self.space.native(member.genotype) for member in self._drawn)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _different(space: Space, count: int, rng: random.Random) -> Iterator[Member]:
    seen: set[Genotype] = set()
    idle = 0
    while len(seen) < count:
        genotype = space.sample(rng)
        idle = idle + 1 if genotype in seen else 0
        if idle > PATIENCE:
            raise NasError(f"ranking.count={count}: no more than {len(seen)} were found in space '{space.name}'")
        if idle == 0:
            seen.add(genotype)
            yield Member(genotype, None)
