"""Output files of a ranking."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from nas.proxies.ranking.outputs import plot_ranks, write_scores
from nas.proxies.ranking.score_log import ScoreRecord
from tests.support.ranking_tools import NATIVE, record


def test_write_scores_keeps_types_and_metadata(tmp_path: Path) -> None:
    records = [record(math.nan, 0), record(2.5, 1), ScoreRecord(NATIVE[2], None, -math.inf, 0.1, 1, 2)]
    write_scores(records, {"proxy_name": "weights", "space": {"channels": 2}}, tmp_path / "s.parquet")
    table = pq.read_table(tmp_path / "s.parquet")
    assert table.column_names == ["architecture", "index", "score", "seconds", "parameters", "macs"]
    assert table["index"].to_pylist() == [0, 1, None] and table["architecture"].to_pylist() == NATIVE[:3]
    assert repr(table["score"].to_pylist()) == "[nan, 2.5, -inf]"
    metadata = table.schema.metadata
    assert metadata[b"proxy_name"] == b"weights" and json.loads(metadata[b"space"]) == {"channels": 2}


def test_plot_ranks_shows_all_points() -> None:
    axes = plot_ranks(np.array([3.0, -math.inf, 5.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]), "x", "y", "t").axes[0]
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [2.5, 1.0, 4.0, 2.5]
    low, high = axes.get_ylim()
    assert low < 1 and high > 4


def test_ticks_of_ranks_are_whole_numbers() -> None:
    axes = plot_ranks(np.arange(20.0), np.arange(20.0), "x", "y", "t").axes[0]
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
