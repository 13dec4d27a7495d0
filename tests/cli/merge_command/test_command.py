"""``nas-search merge``: shards of a ranking joined to one run."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pytest

from nas.cli.merge_command import command
from tests.proxies.ranking.test_runs import NETWORK, rank, rows
from tests.support.compose_tools import script

COUNT = "ranking.count=12"


@pytest.mark.parametrize(("error", "code"), [(PermissionError("no access"), 1), (KeyboardInterrupt(), 130)])
def test_failures_are_one_line(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_merge", mock.Mock(side_effect=error))
    assert command.main(["run"]) == code
    assert capsys.readouterr().err in ("error: no access\n", "error: interrupted\n")


def test_merge_command_writes_one_run(tmp_path: Path) -> None:
    rank(tmp_path / "whole", NETWORK, COUNT, "seed=3").succeeded()
    for number in (1, 2):
        shard = f"ranking.shard={number}/2"
        rank(tmp_path / "shards" / str(number), NETWORK, COUNT, "seed=3", shard).succeeded()
    (tmp_path / "shards" / "2" / "summary.json").rename(tmp_path / "kept")
    refused = script("search", "merge", "shards", cwd=tmp_path)
    assert refused.returncode == 1 and "shard 2/2 is unfinished, with 6 scores. Resume it by" in refused.stderr
    (tmp_path / "kept").rename(tmp_path / "shards" / "2" / "summary.json")
    merged = script("search", "merge", "shards/2", "shards/1", cwd=tmp_path)
    assert merged.returncode == 0, merged.stderr
    assert "12 architectures" in merged.stdout
    assert rows(tmp_path / "shards" / "merged") == rows(tmp_path / "whole")
    summaries = [json.loads((tmp_path / run / "summary.json").read_text()) for run in ("whole", "shards/merged")]
    assert summaries[0]["genotype"] == summaries[1]["genotype"]
    assert "ranking.shard" not in (tmp_path / "shards" / "merged" / ".hydra" / "overrides.yaml").read_text()
    again = script("search", "merge", "shards/1", "shards/2", cwd=tmp_path)
    assert again.returncode == 1 and "merged: it exists. Give a new directory" in again.stderr
