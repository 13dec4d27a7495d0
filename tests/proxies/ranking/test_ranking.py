"""Rankings: independent of their order, resumable, with the size of the published networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.nn.macs import count_macs, count_parameters
from nas.proxies.ranking.score_log import LOG_FILE, ScoreRecord
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.support.ranking_tools import SPACE, SumOfWeights, make_ranking


def test_scores_are_independent_of_other_candidates(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    first = make_ranking().run(tmp_path / "a", {"proxy": 1})
    second = make_ranking(indices=[77, 5]).run(tmp_path / "b", {"proxy": 1})
    assert [e.index for e in first] == [5, 3, 900, 77]
    assert {e.index: e.score for e in second} == {e.index: e.score for e in first if e.index in (77, 5)}
    assert make_ranking(seed=1).measure(0).score != first[0].score == make_ranking().measure(0).score


def test_count_of_a_space_equals_that_of_its_network() -> None:
    for space in (SPACE, NatsSize((3, 8, 8), 4)):
        genotype = space.from_index(11)
        network = space.network(genotype)
        assert space.count(genotype) == (
            count_parameters(network),
            count_macs(network, space.shape, bias=True),
        )


class StopError(Exception):
    pass


def stop_after(count: int) -> Callable[[list[ScoreRecord]], None]:
    def on_progress(records: list[ScoreRecord]) -> None:
        if len(records) == count:
            raise StopError

    return on_progress


@pytest.mark.parametrize(
    "torn",
    [b"", b"{", b'{"architecture": "|none~0|", "index": 9', b"\xff\xfe"],
    ids=["none", "brace", "object", "bytes"],
)
@pytest.mark.parametrize("done", [0, 1, 3])
def test_ranking_resumes_after_torn_line(done: int, torn: bytes, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir(), (tmp_path / "cut").mkdir()
    expected = make_ranking().run(tmp_path / "whole", {"kind": "a"})
    with pytest.raises(StopError):
        make_ranking().run(tmp_path / "cut", {"kind": "a"}, stop_after(done))
    with (tmp_path / "cut" / LOG_FILE).open("ab") as file:
        file.write(torn)
    proxy = SumOfWeights()
    found = make_ranking(proxy).run(tmp_path / "cut", {"kind": "a"})
    assert proxy.calls == 4 - done
    assert [(e.architecture, e.score) for e in found] == [(e.architecture, e.score) for e in expected]
    lines = (tmp_path / "cut" / LOG_FILE).read_text().splitlines()
    assert len(lines) == 5 and all(map(json.loads, lines))


def test_ranking_refuses_log_out_of_order(tmp_path: Path) -> None:
    """Refuse a repeated, missing or surplus line."""
    make_ranking().run(tmp_path, {})
    log = tmp_path / LOG_FILE
    lines_of_log = log.read_bytes().splitlines(keepends=True)
    for lines, number in (
        ([*lines_of_log[:2], *lines_of_log[1:]], 3),
        ([lines_of_log[0], *lines_of_log[2:]], 2),
        ([*lines_of_log, lines_of_log[-1]], 6),
    ):
        log.write_bytes(b"".join(lines))
        with pytest.raises(NasError, match=f"line {number} is damaged.*Delete the line"):
            make_ranking().run(tmp_path, {})
        assert log.read_bytes() == b"".join(lines)


def test_sample_seed_selects_the_architectures() -> None:
    digests = [make_ranking(indices=None, count=5, sample_seed=seed).candidates.digest() for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
