"""Wall-clock duration of rankings and repetitions."""

from __future__ import annotations

import json
from pathlib import Path

from nas.cli.run_dir.elapsed import SAVE_INTERVAL, Elapsed, merge_timings, read_timing


def test_parts_of_a_run_add_up(tmp_path: Path) -> None:
    clock = 100.0
    first = Elapsed(tmp_path, now=lambda: clock)
    first.finish()
    assert not (tmp_path / "timing.json").exists(), "the run has not begun"
    first.save_sometimes()
    clock += SAVE_INTERVAL / 2
    first.save_sometimes()
    assert read_timing(tmp_path) == {"search_seconds": 0.0}, "written a moment ago"
    clock += SAVE_INTERVAL / 2
    first.save_sometimes()
    assert read_timing(tmp_path) == {"search_seconds": SAVE_INTERVAL}
    clock += 1.0
    first.finish()
    second = Elapsed(tmp_path, read_timing(tmp_path), now=lambda: clock)
    clock += 2.0
    assert second.passed() == 2.0 and second.figures() == {"search_seconds": SAVE_INTERVAL + 3.0}


def test_duration_is_unknown_without_that_of_the_earlier_part(tmp_path: Path) -> None:
    assert Elapsed(tmp_path, read_timing(tmp_path)).figures() == {"search_seconds": None}
    for text in ("[1]", "{", '{"search_seconds": "long"}'):
        (tmp_path / "timing.json").write_text(text)
        assert read_timing(tmp_path) == {}


def test_shards_have_a_sum_and_a_longest_one(tmp_path: Path) -> None:
    found = merge_timings([3.0, 5.5])
    assert found == {"search_seconds": 8.5, "shards": 2, "longest_shard_seconds": 5.5}
    (tmp_path / "timing.json").write_text(json.dumps(found))
    merged = Elapsed(tmp_path, read_timing(tmp_path), now=lambda: 0.0)
    merged.save()
    assert read_timing(tmp_path) == found, "the report of the joined run keeps them"
    assert merge_timings([3.0, None]) == {"shards": 2}
