"""Tests of the benchmark of training steps, without the authors' program."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tools import bench_training
from tools.bench_training import our_step, parse_arguments, summarize


def test_step_trains_the_network_with_drop_path_in_both_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_training, "CHANNELS", 4)
    monkeypatch.setattr(bench_training, "CELLS", 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        images, target = torch.randn(4, 3, 32, 32), torch.arange(4)
        losses = {}
        for variant in ("eager", "channels_last", "channels_last_bf16"):
            step = our_step(variant, images, target)
            torch.manual_seed(1)
            losses[variant] = [step(), step()]
    assert losses["eager"] == pytest.approx(losses["channels_last"], rel=1e-3)
    assert losses["eager"] == pytest.approx(losses["channels_last_bf16"], rel=0.05) and len(set(losses["eager"])) == 2


def test_summarize_reports_ratios_of_turns() -> None:
    found = summarize([1.0, 4.0, 3.0], {"eager": [1.0, 2.0, 1.0]})
    assert found == {"authors": 3.0, "eager": {"seconds": 1.0, "ratio": 2.0, "least": 1.0, "largest": 3.0}}


def test_parse_arguments_refuses_wrong_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cnn").mkdir()
    with pytest.raises(SystemExit):
        parse_arguments([str(tmp_path)])
    assert "not a checkout" in capsys.readouterr().err
    (tmp_path / "cnn/model.py").touch()
    assert parse_arguments([str(tmp_path), "--variants", "compiled"]).variants == ["compiled"]
    for wrong in (["--turns", "0"], ["--variants", "fast"]):
        with pytest.raises(SystemExit):
            parse_arguments([str(tmp_path), *wrong])
