"""Lines at the start of a run."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nas.cli.build import build_trainer
from tests.support.compose_tools import composed, tiny


def test_start_names_directory_choices_and_device(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with composed("search", *tiny("darts"), "epochs=3", "seed=5", f"paths.output={tmp_path}", "callbacks={}") as cfg:
        build_trainer(cfg)
    run, config, device = (
        next(m for m in caplog.messages if m.startswith(name)) for name in ("run", "config", "device")
    )
    assert run.split() == ["run", str(tmp_path)]
    assert "method=darts space=nas_bench_201 dataset=synthetic trainer=cpu logger=csv seed=5 epochs=3" in config
    assert "network=" not in config and "experiment=" not in config and ".hydra/config.yaml" in config
    assert device.split()[1] == "cpu" and "thread" in device and device.endswith("32-true")
