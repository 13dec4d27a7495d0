"""Shards of a ranking joined to the log of the whole ranking."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nas.proxies.ranking.candidates import parse_shard, pool_digest
from nas.proxies.ranking.score_log import LOG_FILE, ScoreRecord, encode_log, first_difference, read_scores
from nas.utils.errors import NasError
from nas.utils.program import job_command


class Shard(NamedTuple):
    """Finished run of one shard.

    Attributes:
        directory: run directory.
        number: number of the shard, from 1.
        shards: number of shards.
        header: identity of the ranking without its shard and its architectures.
        records: scores in the order of the shard.
    """

    directory: Path
    number: int
    shards: int
    header: dict[str, Any]
    records: list[ScoreRecord]


def read_shard(directory: Path) -> Shard:
    """Read the log of a shard. Raises NasError if the run is none, or its log is damaged."""
    header, records = read_scores(directory / LOG_FILE)
    ranking = header.get("ranking")
    shard = ranking.get("shard") if isinstance(ranking, Mapping) else None
    if not isinstance(ranking, Mapping) or shard is None:
        raise NasError(f"{directory}: the run ranks no shard. Give the runs of ranking.shard=1/N to N/N.")
    identity = {key: value for key, value in header.items() if key != "pool"}
    identity["ranking"] = {key: value for key, value in ranking.items() if key != "shard"}
    return Shard(directory, *parse_shard(str(shard)), identity, records)


def merge_shards(shards: Sequence[Shard]) -> bytes:
    """Return the log of the whole ranking.

    Raises:
        NasError: if shards are missing, repeated, incomplete, or of different rankings.
    """
    first = shards[0]
    for other in shards[1:]:
        for key in (first.header.keys() | other.header.keys()) - {"whole"}:
            if first.header.get(key) != other.header.get(key):
                difference = first_difference(key, other.header.get(key), first.header.get(key))
                raise NasError(f"{other.directory}: its ranking has {difference} as {first.directory}. Leave it out.")
        if other.shards != first.shards:
            raise NasError(
                f"{other.directory}: one of {other.shards} shards, but {first.directory} is one of {first.shards}. "
                "Leave out one."
            )
        if other.header.get("whole") != first.header.get("whole"):
            raise NasError(f"{other.directory}: it ranks other architectures than {first.directory}. Leave it out.")
    by_number = {shard.number: shard for shard in shards}
    if len(by_number) < len(shards):
        numbers = [shard.number for shard in shards]
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise NasError(f"shard {twice}/{first.shards}: two runs have it. Give one of them.")
    missing = [number for number in range(1, first.shards + 1) if number not in by_number]
    if missing:
        listed = ", ".join(f"{number}/{first.shards}" for number in missing[:10])
        raise NasError(f"{len(missing)} shards are missing: {listed}. Run them with ranking.shard=NUMBER/COUNT.")
    records = _interleave(by_number, first.shards)
    header = {key: value for key, value in first.header.items() if key != "whole"}
    return encode_log({**header, "pool": _digest(records)}, records)


def _interleave(by_number: Mapping[int, Shard], shards: int) -> list[ScoreRecord]:
    """Return the scores in the order of the whole ranking: shard i has every n-th architecture from the i-th on."""
    size = sum(len(shard.records) for shard in by_number.values())
    for number, shard in by_number.items():
        expected = len(range(number - 1, size, shards))
        if len(shard.records) != expected:
            raise NasError(
                f"{shard.directory}: shard {number}/{shards} has {len(shard.records)} scores instead of {expected}. "
                f"Run {job_command('search')} {shlex.quote(f'ckpt_path={shard.directory}')}"
            )
    return [by_number[position % shards + 1].records[position // shards] for position in range(size)]


def _digest(records: Sequence[ScoreRecord]) -> str:
    indices = [record.index for record in records if record.index is not None]
    return pool_digest(indices if len(indices) == len(records) else [record.architecture for record in records])
