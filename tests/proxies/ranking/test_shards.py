"""Rankings in workers and in shards, and their joined run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.executors.base import Workers
from nas.executors.processes import Processes
from nas.proxies import evaluate
from nas.proxies.ranking.candidates import Candidates
from nas.proxies.ranking.measure import chunk_sizes
from nas.proxies.ranking.merge import merge_shards, read_shard
from nas.proxies.ranking.ranking import ProxyRanking
from nas.proxies.ranking.score_log import ScoreRecord, read_scores
from nas.utils.errors import NasError
from tests.proxies.ranking.test_runs import NETWORK, rank, rows, start
from tests.support.error_tools import run
from tests.support.executor_tools import children, wait_for
from tests.support.query_tools import darts
from tests.support.ranking_tools import SPACE, SumOfWeights, batches, make_ranking

COUNT = "ranking.count=12"


class Dying(SumOfWeights):
    """Proxy whose process dies, or which raises, at some architectures.

    Args:
        folder: Directory that counts the attempts.
        dies: Numbers of parameters at which the process kills itself, with the number of attempts that do.
        raises: Whether each architecture raises instead.
    """

    def __init__(self, folder: Path, dies: dict[int, int], raises: bool = False) -> None:
        super().__init__()
        self.folder, self.dies, self.raises = folder, dies, raises

    def __call__(self, network: Any, *rest: Any) -> float:
        size = sum(p.numel() for p in network.parameters())
        if self.raises:
            raise RuntimeError("not defined")
        attempts = len(list(self.folder.glob(f"{size}.*")))
        (self.folder / f"{size}.{attempts}").touch()
        if attempts < self.dies.get(size, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(network, *rest)


def on_device(device: str) -> Any:
    return batches


def scores(records: list[ScoreRecord]) -> list[tuple[int | None, float]]:
    return [(record.index, record.score) for record in records]


def sizes(ranking: ProxyRanking) -> list[int]:
    """Return the numbers of parameters of the measured networks."""
    space, candidates = ranking.space, ranking.candidates
    found = [space.network(candidates[i].genotype, **space.supernet_size()) for i in range(len(candidates))]
    return [sum(p.numel() for p in network.parameters()) for network in found]


def processes(ranking: ProxyRanking) -> Callable[[], Workers]:
    return partial(ranking.start_workers, Processes(workers=2, threads=1), on_device, "cpu")


def test_killed_workers_cost_no_score_but_their_own(tmp_path: Path) -> None:
    """Six chunks of two: one death costs a repetition, an architecture that always kills ranks last alone."""
    options: dict[str, Any] = {"indices": [5, 3, 900, 77, 15624, 6, 8000, 9, 10, 11, 12, 13], "chunk": 2}
    for folder in ("serial", "parallel", "attempts"):
        (tmp_path / folder).mkdir()
    expected = scores(make_ranking(**options).run(tmp_path / "serial", {}))
    size = sizes(make_ranking(**options))
    assert size.count(size[3]) == size.count(size[6]) == 1, "the test knows an architecture by its size"
    ranking = make_ranking(Dying(tmp_path / "attempts", {size[3]: 1, size[6]: 99}), **options)
    found = scores(ranking.run(tmp_path / "parallel", {}, workers=processes(ranking)))
    assert found[6] == (8000, float("-inf")) and expected[6][0] == 8000
    assert [pair for number, pair in enumerate(found) if number != 6] == [
        pair for number, pair in enumerate(expected) if number != 6
    ]


@pytest.mark.parametrize(
    ("total", "chunk", "workers", "expected"),
    [
        (64, 4, 2, [4] * 13 + [3, 3, 2, 1, 1, 1, 1]),
        (5, 4, 64, [1] * 5),
        (3, 1, 1, [1, 1, 1]),
        (0, 4, 2, []),
    ],
)
def test_last_chunks_shrink(total: int, chunk: int, workers: int, expected: list[int]) -> None:
    found = list(chunk_sizes(total, chunk, workers))
    assert found == expected and sum(found) == total


def test_workers_receive_the_batch_of_the_first_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The builder of other batches fails, and is used for a batch that is too large to be sent."""
    (tmp_path / "own").mkdir()
    ranking = make_ranking()
    workers = partial(ranking.start_workers, Processes(workers=1, threads=1), no_images, "cpu")
    assert scores(ranking.run(tmp_path, {}, workers=workers)) == scores(make_ranking().run(tmp_path / "own", {}))
    monkeypatch.setattr(evaluate, "MAX_SHARED_BYTES", 0)
    assert make_ranking().evaluator.shared_batch() is None


def test_shared_batch_is_sent_without_the_images_behind_it() -> None:
    evaluator = make_ranking().evaluator
    x, y = evaluator.batch()
    evaluator._batch = (torch.cat([x] * 50)[: len(x)], torch.cat([y] * 50)[: len(y)])
    shared = evaluator.shared_batch()
    assert shared is not None and torch.equal(shared.batch[0], x)
    assert [part.untyped_storage().nbytes() for part in shared.batch] == [x.nbytes, y.nbytes]


def no_images(device: str) -> Any:
    raise AssertionError(device)


def test_proxy_that_never_works_ends_the_ranking(tmp_path: Path) -> None:
    ranking = make_ranking(Dying(tmp_path, {}, raises=True), indices=list(range(50)))
    with pytest.raises(NasError, match="proxy=weights: none of the first 8 architectures works: RuntimeError: not def"):
        ranking.run(tmp_path, {})


def test_proxy_that_fails_on_all_of_few_architectures_is_an_error(tmp_path: Path) -> None:
    ranking = make_ranking(Dying(tmp_path, {}, raises=True), indices=[3, 5])
    with pytest.raises(NasError, match="proxy=weights: none of the 2 architectures works: RuntimeError: not def"):
        ranking.run(tmp_path, {})


@pytest.mark.parametrize("options", [{}, {"count": 50, "seed": 3}, {"indices": [9, 1, 4, 7]}])
def test_shards_divide_the_architectures(options: dict[str, Any]) -> None:
    whole = Candidates(SPACE, **options)
    parts = [Candidates(SPACE, **options, shard=f"{number}/3") for number in (1, 2, 3)]
    assert sum(map(len, parts)) == len(whole) and max(map(len, parts)) - min(map(len, parts)) <= 1
    for position in range(min(len(whole), 60)):
        assert parts[position % 3][position // 3] == whole[position]
    assert len({part.digest() for part in [whole, *parts]}) == 4


def test_shards_of_a_space_that_cannot_be_enumerated_divide_its_sample() -> None:
    space = darts()
    whole = Candidates(space, count=7, seed=2)
    parts = [Candidates(space, count=7, seed=2, shard=f"{number}/2") for number in (1, 2)]
    assert [parts[p % 2][p // 2] for p in range(7)] == [whole[p] for p in range(7)]


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0", "-1/2"])
def test_shard_is_refused(shard: str) -> None:
    with pytest.raises(NasError, match=f"ranking.shard={shard}: use NUMBER/COUNT"):
        Candidates(SPACE, count=5, shard=shard)
    with pytest.raises(NasError, match="shard=1/9: there are 5 architectures. Use fewer"):
        Candidates(SPACE, count=5, shard="1/9")


def run_shard(folder: Path, shard: str, identity: dict[str, Any] | None = None) -> Path:
    """Rank a shard of seven architectures without the command line."""
    directory = folder / shard.replace("/", "_")
    directory.mkdir(parents=True)
    ranking = make_ranking(indices=None, count=7, shard=shard)
    ranking.run(directory, {"ranking": {"count": 7, "shard": shard, **(identity or {})}})
    return directory


def test_merged_log_is_that_of_the_whole_ranking(tmp_path: Path) -> None:
    make_ranking(indices=None, count=7).run(tmp_path, {"ranking": {"count": 7}})
    shards = [read_shard(run_shard(tmp_path, f"{number}/3")) for number in (2, 1, 3)]
    (tmp_path / "merged.jsonl").write_bytes(merge_shards(shards))
    whole, merged = read_scores(tmp_path / "scores.jsonl"), read_scores(tmp_path / "merged.jsonl")
    assert merged[0] == whole[0] and scores(merged[1]) == scores(whole[1])
    for given, message in (
        (shards[:2], "1 shards are missing: 3/3"),
        ([*shards, shards[0]], "shard 2/3: two runs have it"),
        ([shards[0]._replace(records=shards[0].records[:-1]), *shards[1:]], r"shard 2/3 has 1 scores instead of 2"),
        ([read_shard(run_shard(tmp_path / "other", "1/2")), *shards], "one of 3 shards, but .* is one of 2"),
        ([read_shard(run_shard(tmp_path / "more", "1/3", {"seed": 4})), shards[0]], "ranking.seed=None, not 4"),
    ):
        with pytest.raises(NasError, match=message):
            merge_shards(given)
    with pytest.raises(NasError, match="the run ranks no shard"):
        read_shard(tmp_path)


def test_shards_of_other_indices_are_refused(tmp_path: Path) -> None:
    for number, indices in ((1, [0, 2]), (2, [11, 13])):
        (tmp_path / str(number)).mkdir()
        make_ranking(indices=indices, shard=f"{number}/2").run(
            tmp_path / str(number), {"ranking": {"shard": f"{number}/2"}}
        )
    with pytest.raises(NasError, match="2: it ranks other architectures than .*1"):
        merge_shards([read_shard(tmp_path / number) for number in ("1", "2")])


@pytest.mark.slow
def test_ranking_in_processes_survives_kills_of_a_worker_and_of_itself(tmp_path: Path) -> None:
    """Kill a worker, then the first process: the log is a prefix of the ranking, and a resume completes it."""
    whole, directory = tmp_path / "whole", tmp_path / "killed"
    rank(whole, NETWORK, COUNT, "seed=3", "threads=1").succeeded()
    workers = ["executor=processes", "executor.workers=2", "ranking.chunk=2", "threads=1"]
    process, log = start(directory, NETWORK, COUNT, "seed=3", *workers), directory / "scores.jsonl"
    wait_for(lambda: log.exists() and log.read_bytes().count(b"\n") >= 2 or process.poll() is not None, 60)
    below = children(process.pid)
    spawned = [pid for pid in below if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(spawned[0], signal.SIGKILL)
    wait_for(lambda: log.read_bytes().count(b"\n") >= 5 or process.poll() is not None, 60)
    process.kill()
    process.wait()
    kept = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")][1:]
    assert 4 <= len(kept) <= 12
    assert wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in spawned)), "workers end with it"
    run("search", f"ckpt_path={directory}").succeeded()
    assert rows(directory) == rows(whole)
    assert log.read_text().splitlines(keepends=True)[1 : len(kept) + 1] == kept
