"""Records of the queries of a search: in its checkpoint, and in the lines of queries.jsonl."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.blackbox.ask_tell import AskTellLoop, Query, QueryOrder
from nas.spaces.base import Space
from nas.utils.json_lines import decode_object, read_log


def encode_queries(space: Space, loop: AskTellLoop) -> dict[str, Any]:
    """Return the queries of a run in primitives, for a checkpoint."""
    history = loop.history
    return {
        "history": [[space.native(query.genotype), query.value, query.seconds] for query in history],
        "ties": {number: query.tie for number, query in enumerate(history) if query.tie},
        "order": {number: list(query.order) for number, query in enumerate(history) if query.order is not None},
        "errors": {number: query.error for number, query in enumerate(history) if query.error is not None},
        "asked": loop.asked,
        "ended": loop.ended,
    }


def decode_queries(space: Space, saved: Mapping[str, Any]) -> list[Query]:
    """Return the queries of a checkpoint. Checkpoints of earlier versions have neither order, errors nor ties."""
    orders, errors, ties = (saved.get(key, {}) for key in ("order", "errors", "ties"))
    return [
        Query(
            space.parse(text),
            value,
            seconds,
            order=QueryOrder(*orders[number]) if number in orders else None,
            error=errors.get(number),
            tie=ties.get(number, 0.0),
        )
        for number, (text, value, seconds) in enumerate(saved["history"])
    ]


def encode_line(space: Space, number: int, query: Query, spent: float) -> dict[str, Any]:
    """Return the line of a query in queries.jsonl.

    Args:
        space: search space.
        number: number of the query in the order of the results.
        query: the query.
        spent: sum of the seconds up to this query.
    """
    return {
        "query": number,
        "genotype": space.native(query.genotype),
        "value": query.value if math.isfinite(query.value) else None,
        "seconds": query.seconds,
        "spent": spent,
        **({"fidelity": query.fidelity} if query.fidelity is not None else {}),
        **(query.order._asdict() if query.order is not None else {}),
        **({"tie": query.tie} if query.tie else {}),
        **({"error": query.error} if query.error is not None else {}),
    }


def read_queries(space: Space, path: Path) -> list[Query]:
    """Return the queries in queries.jsonl, from which ``AskTellLoop.replay`` restores the run.

    Raises:
        NasError: if a line is damaged.
    """
    return read_log(path, lambda line: _decode_line(space, decode_object(line)))


def _decode_line(space: Space, line: Mapping[str, Any]) -> Query:
    return Query(
        space.parse(line["genotype"]),
        math.nan if line["value"] is None else float(line["value"]),
        float(line["seconds"]),
        line.get("fidelity"),
        QueryOrder(line["position"], line["asked"]) if "position" in line else None,
        line.get("error"),
    )
