"""The benchmark of TE-NAS against the authors' program, which itself is not run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import bench_tenas
from tools.bench_tenas import (
    count_candidates,
    parse_arguments,
    process_seconds,
    remaining_ops,
    select_candidates,
    summarize,
)


def test_rounds_have_candidates_of_a_search() -> None:
    """Check for four, three and two ops per edge, 54 candidates in all."""
    assert [count_candidates(number) for number in range(3)] == [24, 18, 12]
    assert remaining_ops(0)[5] == [False, True, True, True, True]
    assert remaining_ops(2)[0] == [False, False, True, True, False]


@pytest.mark.parametrize("turns", [1, 3, 6, 54])
def test_select_candidates_covers_rounds(turns: int) -> None:
    selected = select_candidates(turns)
    assert len(set(selected)) == turns and selected == sorted(selected)
    assert all(i < count_candidates(number) for number, i in selected)
    assert {number for number, _ in selected} == {1: {1}, 3: {0, 1, 2}, 6: {0, 1, 2}, 54: {0, 1, 2}}[turns]


def test_process_seconds_divide_reference_among_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use 24 s for the shared reference of 24 candidates and 5 s per candidate."""
    clock = 0.0

    def measure(number: int, candidate: int | None) -> None:
        nonlocal clock
        clock += 24.0 if candidate is None else 5.0

    monkeypatch.setattr(bench_tenas.time, "process_time", lambda: clock)
    assert process_seconds(measure, [(0, 3)], whole=False) == pytest.approx(6)
    assert process_seconds(measure, [(0, i) for i in range(24)], whole=True) == pytest.approx(24 + 24 * 5)
    assert process_seconds(measure, [(0, 1), (2, 1)], whole=False) == pytest.approx(6 + 7)


def test_summarize_reports_median_ratio() -> None:
    found = summarize([1.0, 4.0, 3.0], [10.0, 10.0, 5.0])
    assert (found["ratio"], found["least"], found["largest"]) == (0.4, 0.1, 0.6)


def test_parse_arguments_refuses_wrong_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lib/procedures").mkdir(parents=True)
    with pytest.raises(SystemExit):
        parse_arguments([str(tmp_path)])
    assert "not a checkout" in capsys.readouterr().err
    (tmp_path / "lib/procedures/ntk.py").touch()
    assert parse_arguments([str(tmp_path)]).turns == 3 and parse_arguments([str(tmp_path), "--whole"]).turns == 1
    with pytest.raises(SystemExit):
        parse_arguments([str(tmp_path), "--turns", "0"])
