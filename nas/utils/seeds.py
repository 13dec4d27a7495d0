"""Seeds that depend on a position in the run, so that a resumed run samples the same random numbers."""

from __future__ import annotations

import hashlib


def derive_seed(*position: int | str) -> int:
    """Return a 63-bit seed for a position in the run, such as (run seed, epoch, batch).

    The position is hashed, since sums of small integers would collide.
    """
    return int.from_bytes(hashlib.blake2b(repr(position).encode(), digest_size=8).digest(), "big") >> 1
