"""``nas-search merge``: shards of a ranking joined to one run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from nas.cli.commands import merge as command
from tests.proxies.ranking.test_runs import NETWORK, rank, rows
from tests.support.compose_tools import script

COUNT = "ranking.count=12"


@pytest.mark.parametrize(("error", "code"), [(PermissionError("no access"), 1), (KeyboardInterrupt(), 130)])
def test_failures_are_one_line(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_merge", mock.Mock(side_effect=error))
    assert command.main(["run"]) == code
    assert capsys.readouterr().err in ("error: no access\n", "error: interrupted. Run the command again.\n")


class InterruptedProcess(subprocess.Popen[bytes]):
    """Process that sleeps instead of writing a report, and whose first wait is interrupted."""

    started: InterruptedProcess | None = None

    def __init__(self, command: list[str], **options: Any) -> None:
        super().__init__(["sleep", "60"], **options)
        type(self).started = self

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not self.is_killed:
            raise KeyboardInterrupt
        return super().wait(timeout)

    is_killed = False

    def kill(self) -> None:
        self.is_killed = True
        super().kill()


@pytest.mark.parametrize("existed", [False, True])
def test_interrupted_report_leaves_nothing(
    existed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output, shard = tmp_path / "merged", tmp_path / "1"
    if existed:
        output.mkdir()
    monkeypatch.setattr(command, "_shards_in", lambda run: [shard])
    monkeypatch.setattr(command, "_read", mock.Mock())
    monkeypatch.setattr("nas.proxies.ranking.merge.merge_shards", lambda shards: b"log")
    monkeypatch.setattr(command, "_write_record", mock.Mock())
    monkeypatch.setattr(subprocess, "Popen", InterruptedProcess)
    assert command.main([str(shard), "--output", str(output)]) == 130
    process = InterruptedProcess.started
    assert process is not None and process.returncode is not None
    assert output.exists() == existed and (not existed or not any(output.iterdir()))
    assert capsys.readouterr().err == "error: interrupted. Run the command again.\n"


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [(["run", "hydra.run.dir=x"], "Use --output for its directory"), (["threads=1"], "no run is given")],
)
def test_mistakes_are_one_line(arguments: list[str], phrase: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and phrase in error


@pytest.mark.slow
def test_merge_command_writes_one_run(tmp_path: Path) -> None:
    """The space belongs to the user, so that the report needs -cd as well."""
    (tmp_path / "conf" / "space").mkdir(parents=True)
    (tmp_path / "conf" / "space" / "mine.yaml").write_text("defaults: [nas_bench_201, _self_]\n")
    ranking = (NETWORK, COUNT, "seed=3", "-cd", str(tmp_path / "conf"), "space=mine")
    rank(tmp_path / "whole", *ranking).succeeded()
    for number in (1, 2):
        rank(tmp_path / "shards" / str(number), *ranking, f"ranking.shard={number}/2").succeeded()
    (tmp_path / "shards" / "2" / "summary.json").rename(tmp_path / "kept")
    refused = script("search", "merge", "shards", cwd=tmp_path)
    assert (
        refused.returncode == 1
        and "shard 2/2 is unfinished, with 6 scores. Run python search.py ckpt_path=" in refused.stderr
    )
    (tmp_path / "kept").rename(tmp_path / "shards" / "2" / "summary.json")
    failed = script("search", "merge", "shards/1", "shards/2", cwd=tmp_path)
    assert failed.returncode == 1 and "space=mine is not a choice" in failed.stderr
    assert not (tmp_path / "shards" / "merged").exists()
    given = ("-cd", "conf", "ranking.report.resamples=25")
    merged = script("search", "merge", "shards/2", "shards/1", *given, cwd=tmp_path)
    assert merged.returncode == 0, merged.stderr
    assert "12 architectures" in merged.stdout
    assert rows(tmp_path / "shards" / "merged") == rows(tmp_path / "whole")
    summaries = [json.loads((tmp_path / run / "summary.json").read_text()) for run in ("whole", "shards/merged")]
    assert summaries[0]["genotype"] == summaries[1]["genotype"]
    parts = [json.loads((tmp_path / "shards" / run / "summary.json").read_text()) for run in ("1", "2")]
    seconds = [part["search_seconds"] for part in parts]
    assert summaries[1]["search_seconds"] == pytest.approx(sum(seconds), abs=0.5)
    assert (summaries[1]["shards"], summaries[1]["longest_shard_seconds"]) == (2, max(seconds))
    assert "ranking.shard" not in (tmp_path / "shards" / "merged" / ".hydra" / "overrides.yaml").read_text()
    again = script("search", "merge", "shards/1", "shards/2", cwd=tmp_path)
    assert again.returncode == 1 and "merged: exists already. Name a new directory" in again.stderr
