"""The log of scores: exact numbers, and refused files."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from nas.proxies.ranking.score_log import ScoreLog
from nas.utils.errors import NasError
from tests.support.ranking_tools import record


def test_score_log_keeps_numbers_exactly(tmp_path: Path) -> None:
    values = [math.nan, math.inf, -math.inf, 1e55, 0.1 + 0.2, -0.0]
    with ScoreLog(tmp_path / "log", {}) as log:
        for i, value in enumerate(values):
            log.append(record(value, i))
    with ScoreLog(tmp_path / "log", {}) as log:
        assert [repr(e.score) for e in log.records] == [repr(v) for v in values]
        assert log.records[3] == record(1e55, 3)
    for line in (tmp_path / "log").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_score_log_refuses_other_rankings_and_files(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with ScoreLog(path, {"proxy": {"bn": False, "keep": ("a",)}, "seed": 1}) as log:
        log.append(record(1.0))
    ScoreLog(path, {"proxy": {"bn": False, "keep": ["a"]}, "seed": 1}).__exit__(None, None, None)
    before = path.read_bytes()
    with pytest.raises(NasError, match=r"proxy\.bn=False, not True"):
        ScoreLog(path, {"proxy": {"bn": True, "keep": ["a"]}, "seed": 1})
    with pytest.raises(NasError, match="seed=1, not 2"):
        ScoreLog(path, {"proxy": {"bn": False, "keep": ["a"]}, "seed": 2})
    assert path.read_bytes() == before
    path.write_bytes(before.replace(b'"index"', b'"idx"'))
    with pytest.raises(NasError, match="line 2 is damaged"):
        ScoreLog(path, {"seed": 1})
    row, good = before.splitlines(keepends=True)[1], {"proxy": {"bn": False, "keep": ["a"]}, "seed": 1}
    listed = json.dumps({**json.loads(row), "architecture": ["a"]}).encode() + b"\n"
    for bad in (row[:20] + b"\n", b"\xff" + row[1:], row.replace(b"100", b'"100"'), b"\n", listed):
        path.write_bytes(before + bad + row)
        with pytest.raises(NasError, match=f"{path}: line 3 is damaged. Delete it"):
            ScoreLog(path, good)
        assert path.read_bytes() == before + bad + row
    for other in (b"", b"[]\n", b'{"format": "x"}\n', b"no JSON\n", b"\xff\n", b"[" * 100_000 + b"\n"):
        path.write_bytes(other)
        with pytest.raises(NasError, match="is not a log of scores"):
            ScoreLog(path, {})
    path.write_bytes(b'{"format": "nas-scores", "version": 1, "score_name": "naswot"}\n')
    with pytest.raises(NasError, match="written by an older version of nas and cannot be resumed. Start"):
        ScoreLog(path, {})


def test_option_of_another_version_is_a_difference(tmp_path: Path) -> None:
    """The log has no such option, and null is not the same."""
    path = tmp_path / "log"
    ScoreLog(path, {"ranking": {"count": 1}}).__exit__(None, None, None)
    with pytest.raises(NasError, match=r"ranking\.limit=\(absent\), not None. Start the ranking in another"):
        ScoreLog(path, {"ranking": {"count": 1, "limit": None}})


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_score_log_refuses_second_writer(tmp_path: Path) -> None:
    with ScoreLog(tmp_path / "log", {}) as log:
        log.append(record(1.0))
        with pytest.raises(NasError, match="written by another process"):
            ScoreLog(tmp_path / "log", {})
        log.append(record(2.0, 1))
    with ScoreLog(tmp_path / "log", {}) as log:
        assert [e.score for e in log.records] == [1.0, 2.0]
