"""Pools, logs, scans and their reports, without the front door."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import nas.benchmarks
import nas.proxies.ranking.report
from nas.architecture.cell import Genotype
from nas.nn.macs import count_macs, count_parameters
from nas.proxies.proxy import Proxy
from nas.proxies.ranking.candidates import Candidates
from nas.proxies.ranking.log import LOG_FILE, Entry
from nas.proxies.ranking.outputs import scatter, write_table
from nas.proxies.ranking.ranking import ProxyRanking, size
from nas.proxies.ranking.report import RankingReport, text
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import from_index, native, parse
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.support.golden_tools import shared_folder

SPACE = NasBench201((3, 8, 8), 4, channels=2, cells_per_stage=1)
NATIVE = [native(from_index(index)) for index in range(6)]


class Weights(Proxy):
    """The sum of a network's first weights: another number for every seed, and none for some."""

    name = "weights"
    batch_size = 2

    def __init__(self, higher_is_better: bool = True) -> None:
        self.higher_is_better = higher_is_better
        self.calls = 0

    def __call__(self, network: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> float:
        self.calls += 1
        return sum(float(p.double().sum()) for p in network.parameters()) + float(batch[0].sum())


def batches(count: int) -> tuple[Tensor, Tensor]:
    return torch.ones(count, 3, 8, 8), torch.zeros(count, dtype=torch.long)


def scan(proxy: Proxy | None = None, **options: Any) -> ProxyRanking:
    return ProxyRanking(
        SPACE, Weights() if proxy is None else proxy, batches, **{"indices": [5, 3, 900, 77], **options}
    )


def test_pools() -> None:
    everything = Candidates(SPACE)
    assert len(everything) == 15625 and everything[7].genotype == from_index(7)
    drawn = Candidates(SPACE, count=40, seed=1)
    indices = [drawn[i].index for i in range(40)]
    assert len(set(indices)) == 40 and indices == [Candidates(SPACE, count=40, seed=1)[i].index for i in range(40)]
    assert indices != [Candidates(SPACE, count=40, seed=2)[i].index for i in range(40)]
    assert drawn.digest() == Candidates(SPACE, indices=indices).digest() != everything.digest()  # type: ignore[arg-type]
    sizes = Candidates(NatsSize((3, 8, 8), 4, (2, 4)))
    assert len(sizes) == 32 and len({sizes[i].genotype for i in range(32)}) == 32


def test_pools_of_a_space_without_numbers() -> None:
    space = Darts((3, 8, 8), 4)
    pool, again = Candidates(space, count=30, seed=1), Candidates(space, count=30, seed=1)
    assert len(pool) == 30 and len({pool[i].genotype for i in range(30)}) == 30 and pool[0].index is None
    assert [pool[i] for i in range(30)] == [again[i] for i in range(30)] and pool.digest() == again.digest()
    assert Candidates(space, count=10, seed=1)[9] == pool[9], "a longer sample begins with the shorter"

    class Few(Darts):
        def sample(self, rng: random.Random) -> Genotype:
            return super().sample(random.Random(rng.randrange(3)))

    assert len(Candidates(Few((3, 8, 8), 4), count=3)) == 3
    with pytest.raises(NasError, match="no more than 3"):
        Candidates(Few((3, 8, 8), 4), count=4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": 3, "indices": [1]}, "Set one of them"),
        ({"count": 0}, "ranking.count=0"),
        ({"count": 15626}, "15625"),
        ({"indices": []}, "at least one"),
        ({"indices": [3, 3]}, "each once"),
        ({"indices": [15625]}, "15625 is none"),
        ({"indices": [1.5]}, "1.5 is none"),
    ],
)
def test_pools_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(NasError, match=said):
        Candidates(SPACE, **options)
    for other in ({}, {"indices": [1]}):
        with pytest.raises(NasError, match="ranking.count=N"):
            Candidates(Darts((3, 8, 8), 4), **other)


def test_scores_do_not_depend_on_the_run(tmp_path: Path) -> None:
    """Nor on what was scored before: the same seed, the same network."""
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    first = scan().run(tmp_path / "a", {"proxy": 1})
    second = scan(indices=[77, 5]).run(tmp_path / "b", {"proxy": 1})
    assert [e.index for e in first] == [5, 3, 900, 77]
    assert {e.index: e.score for e in second} == {e.index: e.score for e in first if e.index in (77, 5)}
    assert scan(seed=1).measure(0).score != first[0].score == scan().measure(0).score


def test_sizes_are_those_of_the_published_network() -> None:
    for space in (SPACE, NatsSize((3, 8, 8), 4)):
        genotype = space.from_index(11)
        network = space.network(genotype)
        assert size(space, genotype) == (count_parameters(network), count_macs(network, space.shape, bias=True))


class StopError(Exception):
    pass


def stop_after(count: int) -> Callable[[list[Entry]], None]:
    def told(entries: list[Entry]) -> None:
        if len(entries) == count:
            raise StopError

    return told


@pytest.mark.parametrize("torn", [b"", b"{", b'{"architecture": "|none~0|", "index": 9', b"\xff\xfe"])
@pytest.mark.parametrize("done", [0, 1, 3])
def test_goes_on_where_it_stopped(done: int, torn: bytes, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir(), (tmp_path / "cut").mkdir()
    expected = scan().run(tmp_path / "whole", {"kind": "a"})
    with pytest.raises(StopError):
        scan().run(tmp_path / "cut", {"kind": "a"}, stop_after(done))
    with (tmp_path / "cut" / LOG_FILE).open("ab") as file:
        file.write(torn)
    proxy = Weights()
    found = scan(proxy).run(tmp_path / "cut", {"kind": "a"})
    assert proxy.calls == 4 - done
    assert [(e.architecture, e.score) for e in found] == [(e.architecture, e.score) for e in expected]
    lines = (tmp_path / "cut" / LOG_FILE).read_text().splitlines()
    assert len(lines) == 5 and all(map(json.loads, lines))


def entry(score: float, index: int = 0) -> Entry:
    return Entry(NATIVE[index], index, score, 0.5, 100 + index, 1000 - index)


def test_parquet(tmp_path: Path) -> None:
    entries = [entry(math.nan, 0), entry(2.5, 1), Entry(NATIVE[2], None, -math.inf, 0.1, 1, 2)]
    write_table(entries, {"proxy_name": "weights", "space": {"channels": 2}}, tmp_path / "s.parquet")
    table = pq.read_table(tmp_path / "s.parquet")
    assert table.column_names == ["architecture", "index", "score", "seconds", "parameters", "macs"]
    assert table["index"].to_pylist() == [0, 1, None] and table["architecture"].to_pylist() == NATIVE[:3]
    assert repr(table["score"].to_pylist()) == "[nan, 2.5, -inf]"
    told = table.schema.metadata
    assert told[b"proxy_name"] == b"weights" and json.loads(told[b"space"]) == {"channels": 2}


class Held:
    """A benchmark that holds a few architectures."""

    def __init__(self, stored: dict[str, float]) -> None:
        self.stored = stored

    def row(self, genotype: Genotype) -> int:
        name = native(genotype)
        if name not in self.stored:
            raise NasError("not held")
        return list(self.stored).index(name)

    def accuracies(self, dataset: str, split: str, epochs: int, seed: str) -> Any:
        if dataset != "cifar10":
            raise NasError(f"no {dataset}: there is cifar10")
        assert (split, epochs, seed) == ("test", 200, "mean")
        return np.array(list(self.stored.values()))


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Held(dict(zip(NATIVE[:5], [90.0, 91.0, math.nan, 93.0, 94.0], strict=True)))
    monkeypatch.setattr(nas.benchmarks, "find_benchmark", lambda root, notation: table)


ENTRIES = [entry(score, i) for i, score in enumerate([5.0, 4.0, 9.0, math.nan, 4.0, 1.0])]


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("higher", [True, False])
def test_report(higher: bool) -> None:
    report = RankingReport("data", "cifar10", top=(1, 2, 9), resamples=50)
    truth = report.truth(SPACE, ENTRIES)
    found = report(ENTRIES, higher, truth)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["architectures"], found["not_finite"], found["distinct_scores"]) == (6, 1, 5)
    assert found["with_accuracy"] == 4  # of the third there is none, the sixth is not held
    sign = 1 if higher else -1
    ranks, true = [sign * 5.0, sign * 4.0, -100.0, sign * 4.0], [90.0, 91.0, 93.0, 94.0]
    assert found["spearman"]["value"] == pytest.approx(stats.spearmanr(ranks, true).statistic)
    assert found["kendall_tau_b"]["value"] == pytest.approx(stats.kendalltau(ranks, true).statistic)
    assert [row["k"] for row in found["top"]] == [1, 2]
    best = [row["accuracy"]["value"] for row in found["top"]]
    assert best == ([90.0, pytest.approx((91 + 94) / 2)] if higher else [pytest.approx((91 + 94) / 2), 94.0])
    assert found["best"]["architecture"] == NATIVE[2 if higher else 5] and found["best"]["accuracy"] is None
    low, high = found["spearman"]["interval"]
    assert -1 <= low <= high <= 1 and found["best_possible_accuracy"] == 94.0
    said = text(found, "weights")
    assert "Spearman" in said and "top 2" in said and "1 not finite" in said and "mean of the benchmark's seeds" in said


@pytest.mark.usefixtures("held")
def test_report_without_accuracies(monkeypatch: pytest.MonkeyPatch) -> None:
    for dataset, reason in (("digits", "no digits: there is cifar10"), ("cifar10", "no benchmark of space")):
        if dataset == "cifar10":
            monkeypatch.setattr(nas.benchmarks, "find_benchmark", lambda root, notation: None)
        report = RankingReport("data", dataset)
        found = report(ENTRIES, True, report.truth(SPACE, ENTRIES))
        assert reason in found["benchmark"] and found["with_accuracy"] == 0 and "spearman" not in found
        to_higher_is_better = [5, 4, 9, -100, 4, 1]
        assert found["spearman_parameters"] == pytest.approx(stats.spearmanr(to_higher_is_better, range(6)).statistic)
        assert reason in text(found, "weights") and "Kendall" not in text(found, "weights")
    with pytest.raises(NasError, match="top"):
        RankingReport("data", "cifar10", top=(0,))


def test_picture_shows_all_points() -> None:
    axes = scatter(np.array([3.0, -math.inf, 5.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]), "x", "y", "t").axes[0]
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [2.5, 1.0, 4.0, 2.5]
    low, high = axes.get_ylim()
    assert low < 1 and high > 4


@pytest.mark.data
def test_parameters_against_the_table() -> None:
    """The correlation of the real benchmark's own columns, by scipy."""
    file = shared_folder() / "data" / "nas_bench_201" / "nb201.parquet"
    if not file.exists():
        pytest.skip(f"there is no {file}")
    rows = pq.read_table(file, columns=["arch_str", "cifar10_test_acc_200", "cifar10_params_M_formula"]).to_pylist()[
        :900
    ]
    space = NasBench201((3, 32, 32), 10)
    sizes = [size(space, parse(row["arch_str"])) for row in rows]
    entries = [
        Entry(row["arch_str"], i, float(p), 0.1, p, m) for i, (row, (p, m)) in enumerate(zip(rows, sizes, strict=True))
    ]
    report = RankingReport(str(shared_folder() / "data"), "cifar10", resamples=20)
    found = report(entries, True, report.truth(space, entries))
    expected = stats.spearmanr(
        [row["cifar10_params_M_formula"] for row in rows], [row["cifar10_test_acc_200"] for row in rows]
    )
    assert found["with_accuracy"] == 900 and found["spearman"]["value"] == pytest.approx(expected.statistic, abs=1e-9)
    assert found["spearman_parameters"] == pytest.approx(1.0)
