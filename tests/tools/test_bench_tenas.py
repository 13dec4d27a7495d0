"""What the timing of TE-NAS beside the authors' program measures; their program itself is not run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import bench_tenas
from tools.bench_tenas import arguments, candidates, left_in, seconds, spread, summary


def test_rounds_are_those_of_a_search() -> None:
    """Four ops an edge, then three, then two: 54 candidates."""
    assert [candidates(number) for number in range(3)] == [24, 18, 12]
    assert left_in(0)[5] == [False, True, True, True, True]
    assert left_in(2)[0] == [False, False, True, True, False]


@pytest.mark.parametrize("turns", [1, 3, 6, 54])
def test_turns_are_spread_over_the_rounds(turns: int) -> None:
    places = spread(turns)
    assert len(set(places)) == turns and places == sorted(places)
    assert all(i < candidates(number) for number, i in places)
    assert {number for number, _ in places} == {1: {1}, 3: {0, 1, 2}, 6: {0, 1, 2}, 54: {0, 1, 2}}[turns]


def test_a_candidate_bears_its_share_of_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 s for what a round's 24 candidates share, 5 s for each of them."""
    clock = 0.0

    def measure(number: int, candidate: int | None) -> None:
        nonlocal clock
        clock += 24.0 if candidate is None else 5.0

    monkeypatch.setattr(bench_tenas.time, "process_time", lambda: clock)
    assert seconds(measure, [(0, 3)], whole=False) == pytest.approx(6)
    assert seconds(measure, [(0, i) for i in range(24)], whole=True) == pytest.approx(24 + 24 * 5)
    assert seconds(measure, [(0, 1), (2, 1)], whole=False) == pytest.approx(6 + 7)


def test_the_ratio_is_the_median_of_turns() -> None:
    found = summary([1.0, 4.0, 3.0], [10.0, 10.0, 5.0])
    assert (found["ratio"], found["least"], found["largest"]) == (0.4, 0.1, 0.6)


def test_bad_arguments_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lib/procedures").mkdir(parents=True)
    with pytest.raises(SystemExit):
        arguments([str(tmp_path)])
    assert "no checkout" in capsys.readouterr().err
    (tmp_path / "lib/procedures/ntk.py").touch()
    assert arguments([str(tmp_path)]).turns == 3 and arguments([str(tmp_path), "--whole"]).turns == 1
    with pytest.raises(SystemExit):
        arguments([str(tmp_path), "--turns", "0"])
