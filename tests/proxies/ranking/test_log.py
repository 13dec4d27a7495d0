"""The log of a scan: what it keeps, and which logs it refuses."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from nas.proxies.ranking.log import LOG_FILE, ScoreLog
from nas.utils.errors import NasError
from tests.proxies.ranking.test_ranking import entry, scan


def test_numbers_survive_the_log(tmp_path: Path) -> None:
    values = [math.nan, math.inf, -math.inf, 1e55, 0.1 + 0.2, -0.0]
    with ScoreLog(tmp_path / "log", {}) as log:
        for i, value in enumerate(values):
            log.append(entry(value, i))
    with ScoreLog(tmp_path / "log", {}) as log:
        assert [repr(e.score) for e in log.entries] == [repr(v) for v in values]
        assert log.entries[3] == entry(1e55, 3)
    for line in (tmp_path / "log").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_other_logs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with ScoreLog(path, {"proxy": {"bn": False, "keep": ("a",)}, "seed": 1}) as log:
        log.append(entry(1.0))
    ScoreLog(path, {"proxy": {"bn": False, "keep": ["a"]}, "seed": 1}).__exit__(None, None, None)
    before = path.read_bytes()
    with pytest.raises(NasError, match=r"proxy\.bn=False, not True"):
        ScoreLog(path, {"proxy": {"bn": True, "keep": ["a"]}, "seed": 1})
    with pytest.raises(NasError, match="seed=1, not 2"):
        ScoreLog(path, {"proxy": {"bn": False, "keep": ["a"]}, "seed": 2})
    assert path.read_bytes() == before
    path.write_bytes(before.replace(b'"index"', b'"idx"'))
    with pytest.raises(NasError, match="damaged in line 2"):
        ScoreLog(path, {"seed": 1})
    for other in (b"", b"[]\n", b'{"format": "x"}\n', b"no JSON\n"):
        path.write_bytes(other)
        with pytest.raises(NasError, match="is not a log of scores"):
            ScoreLog(path, {})
    path.write_bytes(b'{"format": "nas-scores", "version": 1, "score_name": "naswot"}\n')
    with pytest.raises(NasError, match="written by an older version of nas and cannot be resumed. Start"):
        ScoreLog(path, {})


def test_a_log_out_of_order_is_refused(tmp_path: Path) -> None:
    """A line twice, left out, or too many: what follows would be scores of others, or none at all."""
    scan().run(tmp_path, {})
    log = tmp_path / LOG_FILE
    whole = log.read_bytes().splitlines(keepends=True)
    for lines, number in (
        ([*whole[:2], *whole[1:]], 3),
        ([whole[0], *whole[2:]], 2),
        ([*whole, whole[-1]], 6),
    ):
        log.write_bytes(b"".join(lines))
        with pytest.raises(NasError, match=f"damaged in line {number}.*delete the line"):
            scan().run(tmp_path, {})
        assert log.read_bytes() == b"".join(lines)


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_two_processes_do_not_write_one_log(tmp_path: Path) -> None:
    with ScoreLog(tmp_path / "log", {}) as log:
        log.append(entry(1.0))
        with pytest.raises(NasError, match="written by another process"):
            ScoreLog(tmp_path / "log", {})
        log.append(entry(2.0, 1))
    with ScoreLog(tmp_path / "log", {}) as log:
        assert [e.score for e in log.entries] == [1.0, 2.0]
