"""Rankings by search.py mode=rank_proxies: files, resume after a kill, refused options."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from nas.blackbox.evaluators.zero_cost import ZeroCost
from nas.cli.build import build_data, build_space
from nas.cli.jobs.rank_proxies import build_ranking
from nas.cli.run_dir.sweep_table import COLUMNS, job_row
from nas.data.proxy_batches import ProxyBatches
from nas.proxies.ranking.ranking import ProxyRanking
from nas.proxies.ranking.score_log import ScoreRecord
from nas.spaces.genotype_file import load_genotype
from nas.spaces.nas_bench_201.cost import nas_bench_201_cost
from nas.spaces.nas_bench_201.notation import from_index
from nas.spaces.notation import native_string
from tests.support.compose_tools import ROOT, composed
from tests.support.error_tools import TINY, Outcome, run, snapshot

pytestmark = pytest.mark.slow

RANKING = ("mode=rank_proxies", *TINY, "space.channels=2", "space.cells_per_stage=1", "ranking.report.resamples=20")
NETWORK = "proxy=jacob_cov"


def rank(directory: Path, *more: str) -> Outcome:
    return run("search", *RANKING, *more, f"hydra.run.dir={directory}")


def rows(directory: Path) -> list[dict[str, Any]]:
    """Return the rows of the score table without times."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in table(directory).to_pylist()]


def table(directory: Path) -> Any:
    return pq.read_table(directory / "scores.parquet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rank twelve architectures."""
    directory = tmp_path_factory.mktemp("ranking") / "run"
    rank(directory, NETWORK, "ranking.count=12", "seed=3").succeeded()
    return directory


def test_ranking_states_a_missing_benchmark_once(tmp_path: Path) -> None:
    done = rank(tmp_path / "run", NETWORK, "ranking.count=2", f"paths.benchmark={tmp_path}")
    done.succeeded()
    missing = f"no benchmark of space 'nas_bench_201' in {tmp_path}"
    assert done.said.count(missing) == 1 and missing in (tmp_path / "run" / "report.txt").read_text()
    lines = [line for line in done.said.splitlines() if line]
    assert len(lines) == len(set(lines))


def test_ranking_writes_all_files(whole: Path) -> None:
    found = rows(whole)
    assert len(found) == 12 and len({row["index"] for row in found}) == 12
    for row in found:
        genotype = from_index(row["index"])
        assert row["architecture"] == native_string(genotype)
        assert (row["parameters"], row["macs"]) == nas_bench_201_cost(genotype, (3, 8, 8), 10)
    metadata = {key.decode(): value.decode() for key, value in table(whole).schema.metadata.items()}
    assert (metadata["proxy_name"], metadata["seed"], metadata["dataset_name"]) == ("jacob_cov", "3", "synthetic")
    assert json.loads(metadata["space"])["channels"] == 2 and json.loads(metadata["proxy"])["k"] == 1e-5
    best = max(found, key=lambda row: row["score"])
    assert native_string(load_genotype(whole)) == best["architecture"]
    report = json.loads((whole / "report.json").read_text())
    assert report["best"]["architecture"] == best["architecture"] and report["architectures"] == 12
    assert "no benchmark" in report["benchmark"] or "no accuracies" in report["benchmark"]
    page = (whole / "report.txt").read_text()
    assert page in (whole / "search.log").read_text() and "12 architectures" in page
    for picture in ("scatter.png", "cell.png"):
        assert (whole / picture).stat().st_size > 3000
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["mode"] == "rank_proxies" and summary["genotype"] == best["architecture"]
    assert summary["macs_rule"] == "macs_bias" and summary["network_size"] == "channels=16 cells_per_stage=5"
    row = job_row(whole)
    assert row["architectures"] == 12
    assert set(COLUMNS["rank_proxies"]) - set(row) == {"spearman", "kendall_tau_b"}


def test_ranking_of_indices_has_same_scores(whole: Path, tmp_path: Path) -> None:
    expected = {row["index"]: row["score"] for row in rows(whole)}
    some = list(expected)[7:3:-2]
    rank(tmp_path / "some", NETWORK, f"ranking.indices={some}".replace(" ", ""), "seed=3").succeeded()
    assert [(row["index"], row["score"]) for row in rows(tmp_path / "some")] == [(i, expected[i]) for i in some]


def start(directory: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "search.py"), *RANKING, *more, f"hydra.run.dir={directory}"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=directory.parent, env={**os.environ, "OMP_NUM_THREADS": "1"}, **quiet)  # type: ignore[call-overload, no-any-return]


def test_ranking_resumes_after_kill(whole: Path, tmp_path: Path) -> None:
    """Kill the process in the middle: no score is lost, none is measured twice."""
    directory = tmp_path / "killed"
    process, log = start(directory, NETWORK, "ranking.count=12", "seed=3"), directory / "scores.jsonl"
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if log.exists() and log.read_bytes().count(b"\n") >= 4:
            break
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL and not (directory / "summary.json").exists()
    before = log.read_bytes()
    kept = before[: before.rfind(b"\n") + 1]
    assert 4 <= kept.count(b"\n") < 13
    rank(directory, NETWORK, "ranking.count=12", "seed=3").refused("interrupted run", "ckpt_path=")
    run("search", f"ckpt_path={directory}", "seed=4").refused("ranking.seed=3, not 4", "hydra.run.dir")
    assert log.read_bytes() == before
    outcome = run("search", f"ckpt_path={directory}")
    outcome.succeeded()
    assert f"resumed after {kept.count(10) - 1} of 12" in outcome.said
    assert log.read_bytes().startswith(kept) and log.read_bytes().count(b"\n") == 13
    assert rows(directory) == rows(whole)
    report = [json.loads((d / "report.json").read_text()) for d in (directory, whole)]
    assert all(report[0][key] == report[1][key] for key in report[1] if key != "seconds")
    run("search", f"ckpt_path={directory}").refused("finished run")


def test_ranking_ends_at_sigterm_with_the_resume_command(whole: Path, tmp_path: Path) -> None:
    """Send the signal in the middle, to this process: a ranking has no trainer that would handle it."""
    measure = ProxyRanking.measure

    def terminated(self: ProxyRanking, position: int) -> ScoreRecord:
        if position == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return measure(self, position)

    directory = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProxyRanking, "measure", terminated)
        stopped = rank(directory, NETWORK, "ranking.count=12", "seed=3")
    stopped.refused(
        f"interrupted: all values so far are kept. To resume, run python search.py ckpt_path={directory}", code=130
    )
    leftover = directory / f".report.json.{'0' * 32}.tmp"
    leftover.touch()
    run("search", f"ckpt_path={directory}").succeeded()
    assert rows(directory) == rows(whole) and not leftover.exists()
    (directory / "summary.json").unlink()
    run("search", f"ckpt_path={directory}").succeeded()
    assert rows(directory) == rows(whole), "killed between the last score and the summary"


def test_ranking_refuses_wrong_options_in_one_line(whole: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    rank(new, "trainer=ddp_cpu").refused("mode=rank_proxies runs in one process", "trainer=cpu")
    rank(new, "ranking.count=3", "ranking.indices=[1]").refused("Set one of them")
    rank(new, "ranking.count=99999").refused("ranking.count=99999", "15625")
    rank(new, "ranking.count=0").refused("ranking.count=0: use a whole number from 1 to")
    rank(new, "proxy.batch_size=0").refused("batch_size=0")
    rank(new, "ranking.network={chanels:3}").refused("ranking.network.chanels", "channels, cells_per_stage")
    rank(new, "ranking.counts=3").refused("ranking.count")
    rank(new, "ranking.report.top=[0]").refused("top")
    rank(new, "ranking.report.tops=[1]").refused("ranking.report.top")
    rank(new, "proxy=synflw").refused("synflow")
    rank(new, "ranking.report.split=tst").refused("unknown ranking.report.split 'tst'", "'test'")
    rank(new, "ranking.report.dataset=cifar").refused("unknown ranking.report.dataset 'cifar'", "'cifar10'")
    run("search", "mode=rank_proxies", "space=darts", *TINY, f"hydra.run.dir={new}").refused(
        "cannot be enumerated", "count=N"
    )
    before = snapshot(whole)
    rank(whole, NETWORK).refused("finished run")
    assert snapshot(whole) == before
    assert not (new / "summary.json").exists() and not (new / "scores.jsonl").exists()


@pytest.mark.slow
def test_ranking_counts_regions_on_crops_without_augmentation(tmp_path: Path) -> None:
    """Augmented images have zero-padded borders. A black-box search uses the same crops."""
    small = ["proxy=linear_regions", "proxy.batch_size=40", "ranking.count=1", "dataset.pad=4", "dataset.size=40"]
    with composed("search", *RANKING, *small, f"paths.output={tmp_path}") as cfg:
        data = build_data(cfg)
        space = build_space(cfg.space, data)
        ranking = build_ranking(cfg, space, data, torch.device("cpu"))
        found = ranking.evaluator.batch()[0]
        assert torch.equal(found, ZeroCost(space, data, proxy=ranking.proxy, seed=cfg.seed)._evaluate.batch()[0])
        windows = ProxyBatches(data, cfg.seed).plain(40, cfg.seed).unfold(2, 3, 1).unfold(3, 3, 1)
        assert all((windows[i] == crop).all((-1, -2)).any() for i, crop in enumerate(found))


def test_ranking_of_darts_sample(tmp_path: Path) -> None:
    small = ("space=darts", "space.layers=3", "space.channels=5", "proxy=params", "ranking.count=3")
    run("search", "mode=rank_proxies", *TINY, *small, f"hydra.run.dir={tmp_path / 'a'}").succeeded()
    found = rows(tmp_path / "a")
    assert len({row["architecture"] for row in found}) == 3 and {row["index"] for row in found} == {None}
    assert all(row["parameters"] > row["score"] > 0 for row in found), (
        "the published network is larger than the measured one"
    )
    assert native_string(load_genotype(tmp_path / "a")) in {row["architecture"] for row in found}


def test_ranking_of_nats_size_by_params(tmp_path: Path) -> None:
    size = ("space=nats_size", "space.widths=[2,4]", "proxy=params")
    run("search", "mode=rank_proxies", *TINY, *size, f"hydra.run.dir={tmp_path / 'a'}").succeeded()
    found = rows(tmp_path / "a")
    assert len(found) == 32 and all(row["score"] == row["parameters"] for row in found)
    assert native_string(load_genotype(tmp_path / "a")) == "4:4:4:4:4"
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    assert report["spearman_parameters"] == pytest.approx(1) and report["best"]["equals"] == 0
